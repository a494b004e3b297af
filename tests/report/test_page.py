"""The report: what is on it, that nothing on it does anything, and odd runs."""

import base64
import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nvn
from nvn.errors import NvnWarning, RunError
from nvn.report import write_report
from nvn.report.gather import gather
from nvn.report.page import page
from tests.report.folders import png, write_run
from tests.tiny import tiny

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"


class Reader(HTMLParser):
    """All elements of a page with their attributes, and its texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside not in ("script", "style"):
            self.texts.append(data)

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def read(*folders: Path) -> tuple[str, Reader]:
    text = page([gather(folder) for folder in folders])
    return text, Reader(text)


def data_of(text: str) -> Any:
    found = re.search(r'id="data">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def test_a_run_s_report(tmp_path: Path) -> None:
    run = nvn.train(tiny(), out=tmp_path / "run", pulls_every=2, files={"config.yaml": "lr: 1\n"})
    text = (run.folder / "report.html").read_text()
    found = Reader(text)
    said = " ".join(found.texts)
    for part in ("finished", str(run.folder), "warmup 3 + main 6", "size", "def iteration(run):"):
        assert part in said
    assert f"{run.metrics['size']['norm']:.4g}" in said
    charts = [chart["title"] for chart in data_of(text)["charts"]]
    assert {"size: norm", "Objectives", "Energies", "Gradient norms", "Pulls at G: share"} < {
        *charts
    }
    assert [image["alt"] for image in found.of("img")][:2] == [
        "gray, main, step 4",
        "gray, main, step 6",
    ]
    assert any((image["src"] or "").startswith("data:image/svg") for image in found.of("img"))


def test_numbers_are_those_of_the_run(tmp_path: Path) -> None:
    text, _ = read(write_run(tmp_path / "run"))
    data = data_of(text)
    (chart,) = [chart for chart in data["charts"] if chart["title"] == "Objectives"]
    (curve,) = [curve for curve in chart["curves"] if curve["name"] == "G"]
    packed = base64.b64decode(data["arrays"][curve["y"]]["f4"])
    assert np.allclose(np.frombuffer(packed, "<f4"), 1 / np.arange(1, 51))
    assert data["arrays"][curve["x"]] == {"first": 1, "by": 1, "count": 50}


@pytest.mark.parametrize("count", [1, 2])
def test_what_a_file_says_is_only_text(tmp_path: Path, count: int) -> None:
    folders = [
        write_run(
            tmp_path / f"{number}",
            recipe=HOSTILE,
            names=HOSTILE,
            config={HOSTILE: HOSTILE, "n": number},
            outcome=HOSTILE,
            error=HOSTILE,
            origin=HOSTILE,
            versions={HOSTILE: HOSTILE},
            metrics={HOSTILE: {HOSTILE: 0.5}},
        )
        for number in range(count)
    ]
    for folder in folders:
        (folder / "plan.txt").write_text(HOSTILE)
        (folder / "loop.py").write_text(HOSTILE)
        (folder / "game.svg").write_text(f"<svg>{HOSTILE}</svg>")
        warned = {"phase": HOSTILE, "step": 1, "warning": HOSTILE}
        (folder / "warnings.jsonl").write_text(f"{json.dumps(warned)}\n[1, 2\n3\n")
        with (folder / "metrics.jsonl").open("a") as file:
            named = {"phase": HOSTILE, "step": 1, "pulls": {HOSTILE: {HOSTILE: {"norm": 1}}}}
            file.write(json.dumps(named) + "\n")
        (folder / "images" / "a\"'><b onclick=x>-000001.png").write_bytes(png())
    text, found = read(*folders)
    assert len(found.of("script")) == 3  # the numbers, uPlot, the page's own
    assert HOSTILE in found.texts
    for name, attributes in found.elements:
        assert not any(attribute.startswith("on") for attribute in attributes), (name, attributes)
        assert (attributes.get("src") or "data:").startswith("data:")
        assert (attributes.get("href") or "#").startswith(("#", "data:,"))
    assert "<script>alert" not in text


def test_nothing_but_the_page_s_own_scripts_may_run(tmp_path: Path) -> None:
    _, found = read(write_run(tmp_path / "run"))
    policy = next(m["content"] for m in found.of("meta") if m.get("http-equiv"))
    assert policy is not None
    assert "default-src 'none'" in policy
    assert re.search(r"script-src 'sha256-\S+' 'sha256-\S+';", policy)


@pytest.mark.parametrize(
    "odd",
    [
        {"steps": 0},
        {"steps": 1},
        {"value": lambda _: None},
        {"value": lambda step: None if step > 20 else 1e38 * step},
        {"value": lambda _: 2.0},
        {"pictures": 0},
        {"energies": 60},
        {"metrics": None, "steps": 3, "seconds": None, "phases": 7, "versions": [1], "best": "x"},
        {"metrics": {"judge": {"score": math.nan}}, "parts": [3], "outcome": None},
    ],
    ids=["no step", "one step", "NaN", "diverges", "still", "no picture", "60", "odd", "nan"],
)
def test_odd_runs(tmp_path: Path, odd: dict[str, Any]) -> None:
    text, found = read(write_run(tmp_path / "run", **odd))
    assert len(found.of("h1")) == 1
    json.dumps(data_of(text), allow_nan=False)
    read(tmp_path / "run", write_run(tmp_path / "other", **odd, seed=1))


def test_what_is_missing_or_torn_is_left_out(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    (folder / "metrics.jsonl").unlink()
    (folder / "config.yaml").write_text("a: [")
    (folder / "images" / "faces-000010.png").write_bytes(b"no picture")
    (folder / "images" / "faces-000020.png").unlink()
    (folder / "images" / "faces-000020.png").symlink_to("/dev/zero")
    (folder / "plan.txt").mkdir()
    _, found = read(folder)
    assert "No steps were recorded." in found.texts
    assert len(found.of("img")) == 1


def test_it_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is not a run's folder"):
        write_report([tmp_path], tmp_path / "report.html")


def test_several_runs_have_a_mean_and_a_band(tmp_path: Path) -> None:
    folders = [
        write_run(
            tmp_path / f"{lr}-{seed}", value=lambda s, k=seed: s + k, config={"lr": lr}, seed=seed
        )
        for lr in (0.1, 0.2)
        for seed in (0, 2)
    ]
    text, found = read(*folders)
    data = data_of(text)
    (chart,) = [chart for chart in data["charts"] if chart["title"] == "G"]
    mean, *_ = [curve for curve in chart["curves"] if curve["low"] is not None]
    assert mean["name"] == "lr 0.1, mean ± sd of 2"
    numbers = [
        np.frombuffer(base64.b64decode(data["arrays"][mean[part]]["f4"]), "<f4")
        for part in ("y", "low", "high")
    ]
    steps = np.arange(1, 51)
    expected = (steps + 1, steps + 1 - math.sqrt(2), steps + 1 + math.sqrt(2))
    assert np.allclose(numbers, expected)
    assert [c["color"] for c in chart["curves"]] == [0, 0, 0, 1, 1, 1]
    assert "lr 0.2, seed 2" in found.texts
    assert "lr 0.1 (2 runs)" in found.texts


def test_a_warning_of_the_run_is_on_its_page(tmp_path: Path) -> None:
    class Warns:
        @nvn.plugins.hook
        def step_done(self, record: nvn.Record) -> None:
            if record.step == 3:
                import warnings

                warnings.warn("D has <won>", NvnWarning, stacklevel=1)

    with pytest.warns(NvnWarning, match="has <won>"):
        run = nvn.train(tiny(), out=tmp_path / "run", plugins=[Warns()])
    found = Reader((run.folder / "report.html").read_text())
    assert "D has <won>" in " ".join(found.texts)
    assert "main, step 3" in found.texts


def test_a_report_that_fails_costs_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("nvn.training.reporting.write_report", broken)
    with pytest.warns(NvnWarning, match="there is no report of this run: ZeroDivisionError"):
        run = nvn.train(tiny(), out=tmp_path / "run")
    assert run.outcome == "finished"
    assert run.error is None


def test_long_runs_keep_their_peaks(tmp_path: Path) -> None:
    from nvn.metrics import Metrics
    from nvn.report.charts import charts_of, thinned

    steps = np.arange(1, 250_001)
    y = np.sin(steps / 1e4)
    y[123_456] = 99.0
    y[200_000:200_500] = np.nan
    columns = {"phase": np.full(len(steps), "main"), "step": steps, "objectives/G": y}
    (chart,) = thinned(charts_of(Metrics(columns)))["main"]
    (curve,) = chart.curves
    assert len(curve.x) == len(curve.y) <= 100_000
    assert np.nanmax(curve.y) == 99.0
    assert abs(curve.x[np.nanargmax(curve.y)] - 123_457) <= 6
    assert "the lowest and the highest" in chart.drawn
