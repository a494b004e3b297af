"""The report as one page: everything is in it, and nothing is asked for from anywhere."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from typing import Any

from nvn.packages import version
from nvn.report.charts import Chart, charts_of, charts_of_several, thinned
from nvn.report.comparing import differing, labels, repeats, shared_label, summary, value_of
from nvn.report.gather import Pictures, RunShown, picture_of, text_of
from nvn.report.html import Html, join, table, tag
from nvn.report.packing import packed

__all__ = ["page"]

_MOST_PICTURES = 24 * 2**20  # bytes of all pictures of a page
_LEGEND = 8  # curves that are shown at first


def page(runs: Sequence[RunShown]) -> str:
    """Return the report of one run, or of several beside one another, as HTML.

    Args:
        runs: At least one.
    """
    several = len(runs) > 1
    title = ", ".join(dict.fromkeys(run.recipe for run in runs))
    charts = thinned(_several(runs) if several else charts_of(runs[0].metrics))
    if several:
        sections = [
            ("runs", "Runs", _runs(runs)),
            ("curves", "Curves", _curves(charts)),
            *[
                s
                for run, label in zip(runs, labels(runs), strict=True)
                for s in _of_each(run, label)
            ],
        ]
    else:
        sections = [*_sections(runs[0], charts)]
    shown = [(at, name, inner) for at, name, inner in sections if inner]
    body = join(
        [
            tag("a", "Skip to the curves", href="#curves", class_="skip"),
            _header(runs, title),
            tag(
                "nav", *(tag("a", name, href=f"#{at}") for at, name, _ in shown), aria_label="page"
            ),
            tag("main", *(tag("section", tag("h2", n), inner, id=at) for at, n, inner in shown)),
            tag("footer", f"nvn {version()}. This page is one file, and needs no network."),
        ]
    )
    return _whole(title, body, packed(charts))


# --- the frame ------------------------------------------------------------------------------------


def _whole(title: str, body: Html, data: str) -> str:
    scripts = [_asset("uplot/uPlot.iife.min.js"), _asset("report.js")]
    allowed = " ".join(f"'sha256-{_digest(script)}'" for script in scripts)
    # Whatever a file of a run has in it: nothing else is run, and nothing is loaded.
    policy = (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    head = join(
        [
            tag("meta", charset="utf-8"),
            tag("meta", http_equiv="Content-Security-Policy", content=policy),
            tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
            tag("meta", name="color-scheme", content="light dark"),
            tag("link", rel="icon", href="data:,"),
            tag("title", f"{title} · nvn"),
            tag("style", Html(_asset("uplot/uPlot.min.css") + _asset("report.css"))),
        ]
    )
    end = join(
        [
            tag("script", Html(data), type="application/json", id="data"),
            *(tag("script", Html(script)) for script in scripts),
        ]
    )
    inner = join([tag("head", head), tag("body", body, end)])
    return f"<!doctype html>\n{tag('html', inner, lang='en')}\n"


def _asset(name: str) -> str:
    return resources.files("nvn.report").joinpath(name).read_text(encoding="utf-8")


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _header(runs: Sequence[RunShown], title: str) -> Html:
    if len(runs) > 1:
        return tag("header", tag("h1", title), tag("p", f"{len(runs)} runs", class_="where"))
    (run,) = runs
    facts = [(name, said) for name, said in _facts(run) if said]
    return tag(
        "header",
        tag("h1", title, _chip(run.outcome)),
        tag("p", str(run.folder), class_="where"),
        tag("dl", *(tag("div", tag("dt", n), tag("dd", said)) for n, said in facts)),
    )


def _chip(outcome: str) -> Html:
    return tag("span", outcome, class_="chip", data_bad=outcome == "failed")


def _facts(run: RunShown) -> Iterator[tuple[str, str]]:
    about, steps = run.about, _steps(run)
    yield "steps", " + ".join(f"{name} {n:,}" for name, n in steps.items()).replace(",", "\u202f")
    seconds = about.get("seconds")
    if isinstance(seconds, int | float):
        yield "time", _duration(float(seconds))
        if seconds > 0 and steps:
            yield "steps a second", f"{sum(steps.values()) / seconds:.3g}"
    yield "seed", text_of(about.get("seed"))
    yield "began", text_of(about.get("started")).replace("T", " ")
    yield "on", " ".join(text_of(about.get(name)) for name in ("accelerator", "precision")).strip()


def _steps(run: RunShown) -> dict[str, int]:
    found = run.about.get("steps")
    pairs = found.items() if isinstance(found, Mapping) else ()
    return {str(name): n for name, n in pairs if isinstance(n, int)}


def _duration(seconds: float) -> str:
    """Return a duration in words.

    >>> _duration(3.21), _duration(75), _duration(7300)
    ('3.2 s', '1 min 15 s', '2 h 1 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, more = divmod(minutes, 60)
    return f"{hours} h {more} min" if hours else f"{minutes} min {rest} s"


# --- one run --------------------------------------------------------------------------------------


def _sections(
    run: RunShown, charts: Mapping[str, Sequence[Chart]]
) -> Iterator[tuple[str, str, Html | None]]:
    yield "error", "Error", _error(run)
    yield "warnings", "Warnings", _warnings(run)
    yield "results", "Results", _results(run)
    yield "curves", "Curves", _curves(charts)
    yield "pictures", "Pictures", _pictures(run)
    yield "game", "The game", _game(run)
    yield "settings", "Settings", _settings(run)
    yield "plan", "The plan", _plan(run)
    yield "environment", "Environment", _environment(run)


def _of_each(run: RunShown, label: str) -> Iterator[tuple[str, str, Html | None]]:
    """Yield what is shown of one run of several, folded: its warnings and pictures."""
    parts = [part for part in (_error(run), _warnings(run), _pictures(run)) if part]
    if parts:
        at = hashlib.sha256(label.encode()).hexdigest()[:8]
        yield f"run-{at}", label, tag("details", tag("summary", "Warnings, pictures"), *parts)


def _error(run: RunShown) -> Html | None:
    said = text_of(run.about.get("error"))
    return tag("pre", said, class_="error", tabindex=0) if said else None


def _warnings(run: RunShown) -> Html | None:
    rows = [
        tag("li", tag("b", f"{n.phase}, step {n.step}" if n.phase else "at first"), " ", n.text)
        for n in run.notices
    ]
    return tag("ul", *rows, class_="notices") if rows else None


def _results(run: RunShown) -> Html | None:
    rows = [
        (evaluation, metric, f"{value:.4g}", _best(run, f"{evaluation}/{metric}"))
        for (evaluation, metric), value in run.results.items()
    ]
    if not rows:
        return None
    if any(row[3] for row in rows):
        return table(["evaluation", "metric", "value", "best"], rows, numbers=2)
    return table(["evaluation", "metric", "value"], [row[:3] for row in rows], numbers=2)


def _best(run: RunShown, name: str) -> str:
    """Return the best value of a metric, and when it was that, if that was watched."""
    found = run.about.get("best")
    for goal, best in found.items() if isinstance(found, Mapping) else ():
        value = best.get("value") if isinstance(best, Mapping) else None
        if str(goal).removesuffix(":min") == name and isinstance(value, int | float):
            return f"{value:.4g} at step {text_of(best.get('step'))}"
    return ""


def _game(run: RunShown) -> Html | None:
    if not run.game.lstrip().startswith(b"<svg"):
        return None
    # As a picture: whatever else a stranger's file has in it, such as a script, does not run there.
    source = f"data:image/svg+xml;base64,{base64.b64encode(run.game).decode()}"
    picture = tag("img", src=source, alt=f"The game {run.recipe}: players, values and energies")
    return tag("div", picture, class_="paper", tabindex=0, role="region", aria_label="the game")


def _settings(run: RunShown) -> Html | None:
    return table(["setting", "value"], [*run.settings.items()]) if run.settings else None


def _plan(run: RunShown) -> Html | None:
    parts = [("What an iteration computes", run.plan), ("The loop, as Python", run.source)]
    shown = [
        tag("details", tag("summary", name), tag("pre", text, tabindex=0))
        for name, text in parts
        if text.strip()
    ]
    return join(shown) if shown else None


def _environment(run: RunShown) -> Html | None:
    about = run.about
    rows: list[tuple[str, str]] = []
    for name in ("origin", "run", "commit", "started", "on_divergence", "deterministic", "compile"):
        rows.append((name.replace("_", " "), text_of(about.get(name))))
    for group in ("versions", "machine"):
        found = about.get(group)
        rows += [(str(n), text_of(x)) for n, x in found.items()] if isinstance(found, dict) else []
    parts = about.get("parts")
    for number, part in enumerate(parts if isinstance(parts, list) else (), 1):
        if isinstance(part, Mapping):
            begun, ended, why = (text_of(part.get(n)) for n in ("started", "ended", "why"))
            rows.append((f"part {number}", f"{begun} – {ended} {why}".strip(" –")))
    rows = [row for row in rows if row[1]]
    return table(["", ""], rows) if rows else None


# --- pictures -------------------------------------------------------------------------------------


def _pictures(run: RunShown) -> Html | None:
    if not run.pictures:
        return None
    share = _MOST_PICTURES // len(run.pictures)
    return join(figure for own in run.pictures if (figure := _slider(own, share)) is not None)


def _slider(pictures: Pictures, most: int) -> Html | None:
    """Return the pictures of a preview, of which a slider chooses one; `most` bytes of them."""
    found = [(frame, picture_of(frame.path)) for frame in pictures.frames]
    found = [(frame, content) for frame, content in found if content]
    if not found:
        return None
    kept = _kept([len(content) for _, content in found], most)
    images, last = [], len(kept) - 1
    for number, place in enumerate(kept):
        frame, content = found[place]
        said = f"{frame.phase}, step {frame.step}"
        images.append(
            tag(
                "img",
                src=f"data:image/png;base64,{base64.b64encode(content).decode()}",
                alt=f"{pictures.name}, {said}",
                width=int.from_bytes(content[16:20]),
                height=int.from_bytes(content[20:24]),
                data_said=said,
                hidden=number != last,
            )
        )
    left = len(found) - len(kept)
    controls = tag(
        "div",
        tag(
            "input",
            type="range",
            min=0,
            max=last,
            value=last,
            aria_label=f"{pictures.name}: which picture",
            hidden=not last,
        ),
        tag("output", found[kept[-1]][0].phase, f", step {found[kept[-1]][0].step}"),
        tag("span", f"{left} more are in the run’s folder") if left else None,
        class_="slide",
    )
    caption = tag("figcaption", pictures.name)
    return tag("figure", caption, controls, *images, class_="frames")


def _kept(sizes: Sequence[int], most: int) -> list[int]:
    """Return which pictures are kept so that they have `most` bytes: the last, and evenly others.

    >>> _kept([10] * 5, 100), _kept([10] * 5, 30), _kept([10] * 5, 5)
    ([0, 1, 2, 3, 4], [0, 2, 4], [4])
    """
    by = 1
    while by < len(sizes) and sum(sizes[::-1][::by]) > most:
        by += 1
    return [*range(len(sizes))][::-1][::by][::-1]


# --- curves ---------------------------------------------------------------------------------------


def _curves(charts: Mapping[str, Sequence[Chart]]) -> Html | None:
    phases = [phase for phase, own in charts.items() if own]
    if not phases:
        return tag("p", "No steps were recorded.", id="none")
    number = 0
    parts = []
    for phase in phases:
        figures, before = [], ""
        for chart in charts[phase]:
            if chart.group != before:
                figures.append(tag("h3", chart.group))
                before = chart.group
            figures.append(_figure(chart, number))
            number += 1
        parts.append(tag("div", *figures, class_="charts", hidden=phase != phases[-1]))
    return join([_toolbar(phases, charts), *parts])


def _toolbar(phases: Sequence[str], charts: Mapping[str, Sequence[Chart]]) -> Html:
    options = [tag("option", p, selected=p == phases[-1]) for p in phases]
    chosen = (
        tag("label", "Phase ", tag("select", *options, id="phase")) if len(phases) > 1 else None
    )
    lengths = [(0, "none"), (0.002, "0.2 %"), (0.01, "1 %"), (0.05, "5 %")]
    smooth = [tag("option", said, value=x, selected=x == 0.01) for x, said in lengths]
    singles = any(curve.single for own in charts.values() for c in own for curve in c.curves)
    check = tag("input", type="checkbox", id="singles")
    return tag(
        "div",
        chosen,
        tag("label", "Smoothing ", tag("select", *smooth, id="smooth")),
        tag("label", check, " Single runs") if singles else None,
        tag("button", "Log scale", type="button", id="log", aria_pressed="false"),
        tag("button", "Whole run", type="button", id="whole"),
        tag("p", "Drag to zoom; double-click, or Esc, for the whole run. With a curve in focus: "
            "arrows move the cursor, + and − zoom.", class_="hint"),
        class_="toolbar",
        role="toolbar",
        aria_label="curves",
    )  # fmt: skip


def _figure(chart: Chart, number: int) -> Html:
    keys = []
    for i, curve in enumerate(chart.curves):
        shown = "false" if curve.single or i >= _LEGEND else "true"
        marker = tag("i", class_="mark", data_color=curve.color % 8, data_dash=curve.color // 8 % 4)
        value = tag("span", "", class_="value")
        name = tag("span", curve.name, class_="name")
        keys.append(
            tag(
                "button",
                *(marker, name, value),
                type="button",
                class_="key",
                aria_pressed=shown,
                title=curve.name,
                hidden=curve.single,
            )
        )
    every = [
        tag("button", said, type="button", class_="every", data_shown=shown)
        for said, shown in (("all", "true"), ("none", "false"))
        if len(chart.curves) > _LEGEND
    ]
    return tag(
        "figure",
        tag(
            "figcaption",
            tag("span", chart.title),
            tag("button", "log", type="button", class_="log", aria_pressed="false"),
        ),
        tag("div", class_="plot", tabindex=0, role="img", aria_label=_spoken(chart)),
        tag("div", *keys, *every, class_="keys"),
        tag("p", f"Drawn {chart.drawn}.", class_="hint") if chart.drawn else None,
        class_="chart",
        data_chart=number,
    )


def _spoken(chart: Chart) -> str:
    ends = []
    for curve in chart.curves[:_LEGEND]:
        known = curve.y[curve.y == curve.y]
        if len(known):
            ends.append(f"{curve.name} from {known[0]:.4g} to {known[-1]:.4g}")
    return f"{chart.title}: {'; '.join(ends)}"


# --- several runs ---------------------------------------------------------------------------------


def _several(runs: Sequence[RunShown]) -> dict[str, list[Chart]]:
    return charts_of_several(labels(runs), repeats(runs), [run.metrics for run in runs])


def _runs(runs: Sequence[RunShown]) -> Html:
    """Return tables: what each run is, in what they differ, and the results of repeats."""
    names = differing(runs)
    rows: list[Sequence[Any]] = [
        (label, *(value_of(run, n) or "–" for n in names), _chip(run.outcome), _time(run))
        for run, label in zip(runs, labels(runs), strict=True)
    ]
    groups = repeats(runs)
    tables = [table(["run", *names, "outcome", "time"], rows, numbers=len(names) + 2)]
    metrics = dict.fromkeys(key for run in runs for key in run.results)
    if metrics:
        titles = labels(runs)
        heads = [
            titles[g[0]]
            if len(g) == 1
            else f"{shared_label([titles[i] for i in g]) or 'all'} ({len(g)} runs)"
            for g in groups
        ]
        results = [
            (
                f"{evaluation}: {metric}",
                *(summary([x for i in g if (x := runs[i].results.get((evaluation, metric)))
                           is not None]) for g in groups),
            )
            for evaluation, metric in metrics
        ]  # fmt: skip
        tables += [
            tag("h3", "Results, mean ± standard deviation"),
            table(["metric", *heads], results, 1),
        ]
    return join(tables)


def _time(run: RunShown) -> str:
    seconds = run.about.get("seconds")
    return _duration(float(seconds)) if isinstance(seconds, int | float) else "–"
