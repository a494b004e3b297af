"""nvn report, nvn runs, nvn compare: what they print, what they leave, what they refuse."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from nvn.cli import main
from tests.report.folders import write_run

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def nvn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "40")

    def command(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["nvn", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr()
        return int(end.value.code or 0), said.out, said.err

    for seed in (0, 1):
        write_run(tmp_path / "runs" / "game" / f"run{seed}", seed=seed)
    return command


def test_the_report_of_a_run_lies_in_its_folder(nvn: Command) -> None:
    assert nvn("report", "runs/game/run0") == (0, "report: runs/game/run0/report.html\n", "")
    assert nvn("report", "runs/game/run0")[0] == 0  # it is replaced
    assert "<h1>game" in Path("runs/game/run0/report.html").read_text()


def test_the_report_of_several_runs_replaces_nothing_unasked(nvn: Command) -> None:
    both = ("report", "runs/game/run0", "runs/game/run1")
    assert nvn(*both) == (0, "report: report.html\n", "")
    code, _, error = nvn(*both)
    assert code == 1
    assert "report.html is there already; give another --out, or --overwrite" in error
    assert nvn(*both, "--overwrite")[0] == 0
    assert nvn(*both, "--out", "both.html")[1] == "report: both.html\n"


def test_lines_of_runs_are_not_wrapped(nvn: Command) -> None:
    code, said, error = nvn("runs")
    assert (code, error) == (0, "")
    head, *lines = said.splitlines()
    assert head.split() == ["run", "recipe", "outcome", "steps", "value", "metric", "age", "size"]
    assert sorted(line.split()[:5] for line in lines) == [
        [f"game/run{seed}", "game", "finished", "50", "0.25"] for seed in (0, 1)
    ]
    found = json.loads(nvn("runs", "runs", "--json")[1])
    assert {run["folder"] for run in found} == {"game/run0", "game/run1"}


def test_no_runs(nvn: Command, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    assert nvn("runs", "none") == (0, "there are no runs in none\n", "")
    code, _, error = nvn("runs", "nowhere")
    assert code == 1
    assert "there is no folder nowhere" in error


def test_runs_beside_one_another(nvn: Command) -> None:
    code, said, _ = nvn("compare", "runs/game/run0", "runs/game/run1")
    assert code == 0
    rows = [line.split() for line in said.splitlines()]
    assert ["seed", "0", "1"] in rows
    assert ["judge/score", "0.25", "0.25"] in rows
    first, _ = json.loads(nvn("compare", "runs/game/run0", "runs/game/run1", "--json")[1])
    assert first["differing"] == {"seed": "0"}
    assert first["results"] == {"judge/score": 0.25}


def test_one_run_is_not_compared(nvn: Command) -> None:
    code, _, error = nvn("compare", "runs/game/run0")
    assert code == 1
    assert "give two runs at least" in error


@pytest.mark.parametrize("verb", ["report", "compare"])
def test_no_run_at_all(nvn: Command, verb: str) -> None:
    code, _, error = nvn(verb, "nowhere", "elsewhere")
    assert code == 1
    assert "there is no run at nowhere" in error
    assert "Traceback" not in error
