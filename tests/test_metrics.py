"""What a run has recorded, as columns."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nvn
from nvn.errors import NvnWarning, RunError
from nvn.metrics import read_metrics
from tests.tiny import tiny


def write(folder: Path, *lines: Any, end: str = "\n") -> Path:
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    (folder / "metrics.jsonl").write_text("\n".join(texts) + end)
    return folder


def step(number: int, phase: str = "main", **groups: Any) -> dict[str, Any]:
    return {"phase": phase, "step": number, **(groups or {"objectives": {"G": number / 2}})}


def test_a_run_s_columns(tmp_path: Path) -> None:
    run = nvn.train(tiny(), out=tmp_path / "run", pulls_every=2)
    metrics = read_metrics(run)
    assert {c.shape for c in metrics.values()} == {(len(metrics["step"]),)}
    assert metrics.phases == ["warmup", "main"]
    main = metrics.of_phase("main")
    # Every second step has an evaluation, and a look at the pulls.
    assert main["step"].tolist() == [1, 2, 3, 4, 5, 6]
    sizes = main["evaluations/size/norm"]
    assert np.isfinite(sizes).tolist() == [False, True] * 3
    shares = main["pulls/G/pull(G(x), D(x))/share"]
    assert np.isfinite(shares).tolist() == [False, True] * 3
    lines = map(json.loads, (run.folder / "metrics.jsonl").read_text().splitlines())
    last = [line for line in lines if "objectives" in line][-1]
    assert main["objectives/G"][-1] == last["objectives"]["G"]
    assert "objectives/D" not in metrics.of_phase("warmup")
    for given in (run.folder, str(run.folder), run.folder / "metrics.jsonl"):
        assert list(read_metrics(given)) == list(metrics)


def test_half_a_last_line_is_left_out_without_a_word(tmp_path: Path) -> None:
    metrics = read_metrics(write(tmp_path, step(1), '{"phase": "main", "st', end=""))
    assert metrics["step"].tolist() == [1]


def test_a_whole_last_line_counts_though_its_end_is_missing(tmp_path: Path) -> None:
    assert read_metrics(write(tmp_path, step(1), step(2), end=""))["step"].tolist() == [1, 2]


@pytest.mark.parametrize(
    "broken",
    [
        '{"phase": "main", "st',
        "[1, 2]",
        "null",
        "\x00\x00",
        '{"step": 1}x',
        '{"step": "a", "objectives": {"G": 1}}',
        '{"step": 1e999, "objectives": {"G": 1}}',
        '{"step": 99999999999999999999, "objectives": {"G": 1}}',
        '{"step": 1, "objectives": {"G": [1]}}',
        '{"step": 1, "objectives": 3}',
        '{"step": 1, "pulls": {"G": {"e": 1}}}',
        "[" * 100_000,
    ],
)
def test_a_broken_line_is_named_and_left_out(tmp_path: Path, broken: str) -> None:
    folder = write(tmp_path, step(1), broken, step(3), step(4))
    with pytest.warns(NvnWarning, match="1 line is not what nvn writes, and left out: 2"):
        metrics = read_metrics(folder)
    assert metrics["step"].tolist() == [1, 3, 4]
    assert metrics["objectives/G"].tolist() == [0.5, 1.5, 2.0]


def test_lines_are_counted_beyond_those_parsed_together(tmp_path: Path) -> None:
    lines: list[Any] = [step(number) for number in range(1, 2001)]
    lines[1500] = "what?"
    with pytest.warns(NvnWarning, match="left out: 1501"):
        metrics = read_metrics(write(tmp_path, *lines))
    assert len(metrics["step"]) == 1999


def test_what_is_not_finite_or_not_there_is_nan(tmp_path: Path) -> None:
    late = {"objectives": {"G": 1.0, "D": None}}
    metrics = read_metrics(write(tmp_path, step(1), step(2, **late), step(3)))
    assert np.isnan(metrics["objectives/D"]).all()
    assert metrics["objectives/G"].tolist() == [0.5, 1.0, 1.5]


def test_a_name_may_have_slashes(tmp_path: Path) -> None:
    metrics = read_metrics(write(tmp_path, step(1, energies={"a/b": 1.0})))
    assert metrics.paths == {"energies/a/b": ("energies", "a/b")}


def test_no_steps_at_all(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").touch()
    metrics = read_metrics(tmp_path)
    assert metrics.phases == []
    assert list(metrics) == ["phase", "step"]


def test_there_is_no_such_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="there are no metrics at .*expected a run's folder"):
        read_metrics(tmp_path / "nowhere")
