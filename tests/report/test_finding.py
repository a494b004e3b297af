"""Runs in folders: found however deep, told in a line each."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

import nvn
from nvn.errors import RunError
from nvn.report.finding import find_run_folder, lines_of
from nvn.training.run_folder import locked
from tests.report.folders import write_run
from tests.tiny import tiny

NOW = datetime(2026, 1, 2, 4, 4, 5, tzinfo=UTC)


def test_runs_are_told_the_latest_first(tmp_path: Path) -> None:
    write_run(tmp_path / "game" / "a")
    write_run(tmp_path / "sweeps" / "s" / "cells" / "b", started="2026-01-02T03:34:05+00:00")
    (tmp_path / "game" / "empty").mkdir()
    (tmp_path / "loop").symlink_to(tmp_path)
    late, early = lines_of(tmp_path, NOW)
    assert (late.folder, late.seconds) == ("sweeps/s/cells/b", 1800)
    assert (early.folder, early.seconds) == ("game/a", 3600)
    assert (early.outcome, early.steps, early.metric, early.value) == (
        "finished",
        50,
        "judge/score",
        0.25,
    )
    assert early.bytes == sum(p.stat().st_size for p in (tmp_path / "game/a").rglob("*.*"))


def test_the_best_value_counts_where_one_was_watched(tmp_path: Path) -> None:
    write_run(tmp_path / "a", best={"judge/score:min": {"value": 0.125, "step": 3}})
    (line,) = lines_of(tmp_path, NOW)
    assert (line.metric, line.value) == ("judge/score:min (best)", 0.125)


def test_who_says_to_be_running_and_is_not_was_killed(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a", outcome="running", steps=0)
    with locked(folder):
        assert lines_of(tmp_path, NOW)[0].outcome == "running"
    assert lines_of(tmp_path, NOW)[0].outcome == "killed"


@pytest.mark.parametrize("torn", ["", "outcome: [", "steps: 3\nmetrics: 4\nbest: x\nstarted: 1"])
def test_a_torn_run_is_told_too(tmp_path: Path, torn: str) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "run.yaml").write_text(torn)
    (line,) = lines_of(tmp_path, NOW)
    assert (line.outcome, line.seconds) == ("unreadable", None)


def test_a_run_is_found_by_its_folder_or_by_its_recipe_s(tmp_path: Path) -> None:
    write_run(tmp_path / "b")
    late = write_run(tmp_path / "a", started="2027-01-01T00:00:00+00:00")
    assert find_run_folder(late) == late
    assert find_run_folder(tmp_path) == late
    with pytest.raises(RunError, match="there is no run at .*nvn runs lists them"):
        find_run_folder(tmp_path / "c")


def test_a_run_that_was_trained(tmp_path: Path) -> None:
    run = nvn.train(tiny(), out=tmp_path / "run")
    (line,) = lines_of(tmp_path, datetime.now(UTC))
    assert (line.recipe, line.outcome, line.steps) == ("tiny", "finished", 9)
    assert line.metric == "size/norm"
    assert line.value == run.metrics["size"]["norm"]
    assert line.seconds is not None
    assert line.seconds >= 0
