// The page's curves and sliders. Texts are on the page already: here only numbers are put in.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const style = getComputedStyle(document.documentElement);
  const color = (name) => style.getPropertyValue(name).trim();
  const dashes = [[], [8, 4], [2, 3], [10, 3, 2, 3]];
  const state = { smooth: 0.01, singles: false };
  const built = new Map(); // figure → chart

  // --- numbers ---

  const decoded = new Map();
  function numbers(place) {
    if (place === null) return null;
    if (!decoded.has(place)) decoded.set(place, decode(data.arrays[place]));
    return decoded.get(place);
  }

  function decode(array) {
    if ("count" in array) return Float64Array.from({ length: array.count }, (_, i) => array.first + i * array.by);
    const text = atob(array.f4 ?? array.f8);
    const bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
    return array.f4 === undefined ? new Float64Array(bytes.buffer) : new Float32Array(bytes.buffer);
  }

  // What is not finite is a gap.
  const gaps = (values) => Array.from(values, (x) => (Number.isFinite(x) ? x : null));

  function smoothed(values, span) {
    const keep = 1 - 2 / (span + 1);
    let sum = 0, weight = 0;
    return values.map((x) => {
      if (x === null) return null;
      sum = keep * sum + x;
      weight = keep * weight + 1;
      return sum / weight;
    });
  }

  function written(x) {
    if (x === null || x === undefined) return "–";
    const size = Math.abs(x);
    if (x === 0) return "0";
    if (size >= 1e5 || size < 1e-3) return x.toExponential(2).replace("-", "−");
    return x.toPrecision(4).replace("-", "−");
  }

  // --- a chart ---

  class Chart {
    constructor(figure) {
      this.figure = figure;
      this.place = figure.querySelector(".plot");
      this.keys = [...figure.querySelectorAll(".key")];
      this.curves = data.charts[figure.dataset.chart].curves;
      this.plot = null;
      this.domain = domain(figure.parentNode);
      this.draw(together(figure).find((other) => other.zoomed)?.range());
    }

    // Lines: what is drawn, each with the curve that it is of.
    lines() {
      const found = [];
      this.curves.forEach((curve, of) => {
        const x = numbers(curve.x), y = gaps(numbers(curve.y));
        const span = state.smooth * y.length;
        const smooth = span >= 2 && !curve.single;
        if (curve.low !== null) {
          for (const edge of [curve.high, curve.low]) {
            const values = gaps(numbers(edge));
            found.push({ of, x, y: smooth ? smoothed(values, span) : values, kind: "edge" });
          }
        }
        if (smooth && curve.low === null) found.push({ of, x, y, kind: "faint" });
        found.push({ of, x, y: smooth ? smoothed(y, span) : y, kind: curve.single ? "single" : "line" });
      });
      return found;
    }

    isShown(of) {
      if (this.curves[of].single) return state.singles;
      return this.keys[of].getAttribute("aria-pressed") === "true";
    }

    draw(zoom = this.plot?.scales.x ?? this.domain) {
      this.plot?.destroy();
      this.all = this.lines();
      const lines = this.all;
      const same = lines.every((line) => line.x === lines[0].x);
      const columns = same ? [lines[0].x, ...lines.map((line) => line.y)]
                           : uPlot.join(lines.map((line) => [line.x, line.y]));
      const bands = [];
      lines.forEach((line, i) => {
        if (line.kind === "edge" && lines[i + 1].kind === "edge") {
          bands.push({ series: [i + 1, i + 2], fill: `${color(`--c${this.curves[line.of].color % 8}`)}2e` });
        }
      });
      this.plot = new uPlot(this.options(lines, bands), columns, this.place);
      this.plot.setScale("x", { min: zoom.min, max: zoom.max });
      this.values(null);
    }

    options(lines, bands) {
      const axis = {
        stroke: color("--soft"), font: "11.5px system-ui, sans-serif",
        grid: { stroke: color("--grid"), width: 1 }, ticks: { stroke: color("--grid"), width: 1, size: 4 },
      };
      const longest = Math.max(...lines.map((line) => line.x.length));
      return {
        width: Math.max(this.place.clientWidth, 120), height: this.place.clientHeight,
        legend: { show: false }, bands,
        cursor: {
          points: { size: 6 }, bind: { dblclick: () => () => { this.plot.setScale("x", this.domain); return null; } }, drag: { x: true, y: false },
          sync: { key: "nvn", scales: ["x", null], filters: { pub: (kind) => kind === "mousemove" || kind === "mouseleave" } },
        },
        scales: { x: { time: false, range: (_, low, high) => [low, high] }, y: { distr: this.distribution(lines), range: this.around(lines) } },
        axes: [
          { ...axis, size: 26, space: 60, values: (_, ticks) => ticks.map((x) => (Number.isInteger(x) ? x.toLocaleString("en").replaceAll(",", "\u202f") : "")) },
          { ...axis, size: (_, values) => 14 + 6.4 * Math.max(3, ...(values ?? []).map((x) => (x ?? "").length)), values: (_, ticks) => ticks.map((x) => (x === null ? "" : plain(x))) },
        ],
        series: [{}, ...lines.map((line) => this.series(line, longest))],
        hooks: {
          setCursor: [(plot) => this.values(plot.cursor.idx ?? null)],
          setScale: [(plot, key) => { if (key === "x" && plot === this.plot) spread(this, plot.scales.x); }],
        },
      };
    }

    series(line, longest) {
      const curve = this.curves[line.of], own = color(`--c${curve.color % 8}`);
      const strokes = { line: own, single: `${own}88`, faint: `${own}38`, edge: "transparent" };
      return {
        show: this.isShown(line.of), stroke: strokes[line.kind], width: line.kind === "line" ? 1.8 : 1,
        dash: line.kind === "line" ? dashes[Math.floor(curve.color / 8) % 4] : [],
        // Single numbers between gaps are points; few numbers are points on a line.
        points: { show: line.kind === "line" && line.y.length <= 40, size: 4, fill: own },
        spanGaps: !this.sameSteps(), // of several runs, each has its own steps
      };
    }

    sameSteps() { return this.curves.every((curve) => curve.x === this.curves[0].x); }

    // Logarithms: of what is positive; else the inverse hyperbolic sine, which is one far from zero.
    distribution(lines) {
      if (!this.isLog()) return 1;
      return lines.every((line) => line.y.every((x) => x === null || x > 0)) ? 3 : 4;
    }

    isLog() { return this.figure.querySelector(".log").getAttribute("aria-pressed") === "true"; }

    // Without a number there is no range; where all are the same, some room around it.
    around(lines) {
      const known = lines.some((line) => line.y.some((x) => x !== null));
      if (!known) return [0, 1];
      if (this.isLog()) return undefined;
      return (_, low, high) => {
        if (low === null || high === null) return [0, 1];
        const room = high > low ? 0.06 * (high - low) : Math.max(Math.abs(high) * 0.05, 1e-6);
        return [low - room, high + room];
      };
    }

    values(index) {
      const columns = this.plot?.data ?? [];
      this.keys.forEach((key, of) => {
        const at = this.all.findLastIndex((line) => line.of === of);
        const column = columns[at + 1] ?? [];
        let i = index ?? column.length - 1;
        // Of several runs not each has a number at each step: the last one before it.
        while (i > 0 && (column[i] === null || column[i] === undefined) && (index === null || !this.sameSteps())) i--;
        key.querySelector(".value").textContent = written(column[i]);
      });
    }

    range() { const { min, max } = this.plot.scales.x; return { min, max }; }
    get zoomed() { const { min, max } = this.range(); return min !== this.domain.min || max !== this.domain.max; }

    show() {
      this.all.forEach((line, i) => {
        const shown = this.isShown(line.of);
        if (this.plot.series[i + 1].show !== shown) this.plot.setSeries(i + 1, { show: shown });
      });
    }

    size() {
      const width = this.place.clientWidth, height = this.place.clientHeight;
      if (width && (width !== this.plot.width || height !== this.plot.height)) this.plot.setSize({ width, height });
    }
  }

  // From the first to the last step of all charts of a phase, so that they stand in line.
  const domains = new Map();
  function domain(charts) {
    if (!domains.has(charts)) {
      let min = Infinity, max = -Infinity;
      for (const figure of charts.querySelectorAll(".chart")) {
        for (const curve of data.charts[figure.dataset.chart].curves) {
          const x = numbers(curve.x);
          if (x.length) { min = Math.min(min, x[0]); max = Math.max(max, x[x.length - 1]); }
        }
      }
      domains.set(charts, min < max ? { min, max } : { min: min - 1, max: max + 1 });
    }
    return domains.get(charts);
  }

  function plain(x) {
    const size = Math.abs(x);
    return size !== 0 && (size >= 1e5 || size < 1e-3) ? x.toExponential(0).replace("-", "−") : String(+x.toPrecision(6)).replace("-", "−");
  }

  // --- all charts together ---

  const together = (figure) => [...built].filter(([other]) => other.parentNode === figure.parentNode).map(([, chart]) => chart);

  // A zoom is that of all charts of a phase.
  function spread(chart, { min, max }) {
    for (const other of together(chart.figure)) {
      const now = other.range();
      if (other !== chart && (now.min !== min || now.max !== max)) other.plot.setScale("x", { min, max });
    }
  }

  function build(figure) {
    if (built.has(figure)) return;
    const chart = new Chart(figure);
    built.set(figure, chart);
    sizes.observe(chart.place);
  }

  const redraw = () => built.forEach((chart) => chart.draw());
  const sizes = new ResizeObserver((entries) => {
    for (const { target } of entries) built.get(target.closest("figure"))?.size();
  });
  const seen = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) if (isIntersecting) build(target);
  }, { rootMargin: "400px" });

  document.querySelectorAll(".chart").forEach((figure) => {
    seen.observe(figure);
    const chart = () => (build(figure), built.get(figure));
    figure.querySelector(".log").addEventListener("click", ({ currentTarget }) => { toggle(currentTarget); chart().draw(); });
    for (const key of figure.querySelectorAll(".key")) key.addEventListener("click", () => { toggle(key); chart().show(); });
    for (const every of figure.querySelectorAll(".every")) {
      every.addEventListener("click", () => {
        for (const key of figure.querySelectorAll(".key:not([hidden])")) key.setAttribute("aria-pressed", every.dataset.shown);
        chart().show();
      });
    }
    figure.querySelector(".plot").addEventListener("keydown", (event) => pressed(event, chart()));
  });

  function toggle(button) {
    button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") !== "true"));
  }

  function pressed(event, chart) {
    const { plot } = chart, { min, max } = chart.range(), whole = chart.domain;
    const x = plot.data[0], at = plot.cursor.idx ?? x.length - 1;
    if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
      const by = Math.max(1, Math.round(x.length * (event.shiftKey ? 0.1 : 0.01)));
      const to = Math.min(x.length - 1, Math.max(0, at + (event.key === "ArrowLeft" ? -by : by)));
      plot.setCursor({ left: plot.valToPos(x[to], "x"), top: plot.height / 3 }, true, true);
    } else if (event.key === "+" || event.key === "=" || event.key === "-") {
      const half = ((max - min) / 2) * (event.key === "-" ? 2 : 0.5), middle = Math.min(max, Math.max(min, x[at]));
      const low = Math.max(whole.min, middle - half), high = Math.min(whole.max, middle + half);
      if (high > low) plot.setScale("x", { min: low, max: high });
    } else if (event.key === "Escape" || event.key === "0") {
      plot.setScale("x", whole);
    } else return;
    event.preventDefault();
  }

  const on = (id, kind, act) => document.getElementById(id)?.addEventListener(kind, act);
  on("smooth", "change", ({ target }) => { state.smooth = Number(target.value); redraw(); });
  on("singles", "change", ({ target }) => { state.singles = target.checked; built.forEach((chart) => chart.show()); });
  on("whole", "click", () => built.forEach((chart) => chart.plot.setScale("x", chart.domain)));
  on("log", "click", ({ currentTarget }) => {
    toggle(currentTarget);
    for (const button of document.querySelectorAll(".log")) button.setAttribute("aria-pressed", currentTarget.getAttribute("aria-pressed"));
    redraw();
  });
  on("phase", "change", ({ target }) => {
    document.querySelectorAll(".charts").forEach((charts, i) => { charts.hidden = i !== target.selectedIndex; });
    built.forEach((chart) => chart.size());
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  addEventListener("beforeprint", () => document.querySelectorAll(".charts:not([hidden]) .chart").forEach(build));

  // --- pictures ---

  document.querySelectorAll(".frames").forEach((figure) => {
    const images = [...figure.querySelectorAll("img")], slider = figure.querySelector("input");
    slider.addEventListener("input", () => {
      images.forEach((image, i) => { image.hidden = i !== Number(slider.value); });
      figure.querySelector("output").textContent = images[slider.value].dataset.said;
    });
  });
})();
