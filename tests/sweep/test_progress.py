"""What a sweep says."""

from pathlib import Path

import pytest
import rich
from rich.console import Console

from nvn.errors import NvnWarning, RunError
from nvn.sweep.progress import Board, show_tables, warn_of_changed_code
from nvn.sweep.results import Result, SweepFolder
from nvn.sweep.tables import Table
from nvn.sweep.workers import Job
from tests.sweep.swept import finished, grid_of


class FakeBar:
    def __init__(self) -> None:
        self.done, self.notes = 0, [""]

    def advance(self, amount: int = 1) -> None:
        self.done += amount

    def reach(self, done: int, total: int | None = None) -> None:
        raise AssertionError

    def note(self, text: str) -> None:
        self.notes.append(text)

    def close(self) -> None:
        raise AssertionError


def test_the_board(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cells = grid_of(tmp_path, "width=1,2").cells
    first, second = (Job(c, tmp_path / n, ()) for c, n in zip(cells, "ab", strict=True))
    bar, written = FakeBar(), []
    board = Board(bar, lambda: written.append(1))
    board.began(first)
    board.began(second)
    assert bar.notes[-1] == "mine width=1 and 1 more"
    board.waits(second, "12")
    board.ended(first, finished(x=1.0), 61)
    assert bar.notes[-1] == "mine width=2"
    board.ended(second, Result("failed", {}, "no data"), 2)
    assert (bar.done, bar.notes[-1], written) == (2, "", [1, 1])
    assert capsys.readouterr().out.splitlines() == [
        "mine width=2: process 12 of an earlier sweep is still running it; waiting for it",
        "mine width=1: finished in 1 min 1 s",
        "mine width=2: failed after 2.0 s: no data",
    ]
    assert board.failed == [f"mine width=2: no data\n  its output: {tmp_path / 'b.log'}"]


def test_a_table_that_cannot_be_written_does_not_end_the_board(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def full() -> None:
        raise RunError("cannot write table.md: No space left on device")

    (cell,) = grid_of(tmp_path).cells
    job, bar = Job(cell, tmp_path / "a", ()), FakeBar()
    board = Board(bar, full)
    board.began(job)
    with pytest.warns(NvnWarning, match="No space left on device; the sweep goes on"):
        board.ended(job, Result("finished"), 3)
    board.waits(job, None)
    assert bar.done == 1
    assert not board.failed
    assert capsys.readouterr().out.splitlines() == [
        "mine: finished in 3.0 s",
        "mine: its process of an earlier sweep has ended, and something that it started still "
        f"holds {tmp_path / 'a.log'}; waiting for that",
    ]


def test_what_is_running_leaves_room_for_the_bar(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    console = Console(width=80)
    monkeypatch.setattr(rich, "get_console", lambda: console)
    cells = grid_of(tmp_path, f"note={'x' * 99},y").cells
    bar = FakeBar()
    board = Board(bar, lambda: None)
    for cell in cells:
        board.began(Job(cell, tmp_path, ()))
    assert bar.notes[-1] == "mine note=xxxx… and 1 more"


@pytest.mark.parametrize(("columns", "parts"), [(80, 1), (32, 2), (20, 3), (5, 3)])
def test_a_table_too_wide_goes_on_below(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], columns: int, parts: int
) -> None:
    console = Console(width=columns)
    monkeypatch.setattr(rich, "get_console", lambda: console)
    header = ("net", "accuracy", "likeness", "loss")
    show_tables([Table("all", header, 1, (("vgg", "61.00", "25.50", "0.25"),))])
    said = capsys.readouterr().out
    if columns != 5:  # where nothing fits, words are cut
        assert said.count("net") == said.count("vgg") == parts
        assert all(word in said for word in (*header, "61.00", "25.50", "0.25"))
    assert said.startswith("\nall:\n")


def test_changed_code_is_told_once(tmp_path: Path) -> None:
    grid = grid_of(tmp_path, "width=1,2,3")
    folder = SweepFolder(tmp_path, grid)
    for place in folder.places:
        place.mkdir()
        (place / "recipe.py").write_text("before")
    with pytest.warns(NvnWarning) as told:
        warn_of_changed_code(folder, [finished(), finished(), Result()])
    (message,) = (str(warning.message) for warning in told)
    assert "mine.py has changed since 2 runs of it finished" in message
    assert str(folder.places[0]) in message
    assert str(folder.places[2]) not in message
