"""Where a board is shown, and how seldom."""

from __future__ import annotations

import io
import sys
from types import ModuleType
from typing import Any

import pytest
import rich
from rich.console import Console

from nvn.console import progress, screen
from nvn.console.board import Board, Stretch
from nvn.console.screen import is_watched, open_screen

BOARD = Board((Stretch("main", 3, 10, 7.0),))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that stands still until it is set."""
    now = [100.0]
    monkeypatch.setattr(screen.time, "monotonic", lambda: now[0])
    return now


def console(monkeypatch: pytest.MonkeyPatch, **options: Any) -> Console:
    made = Console(file=io.StringIO(), width=100, **options)
    monkeypatch.setattr(rich, "get_console", lambda: made)
    return made


def test_a_file_has_no_board(monkeypatch: pytest.MonkeyPatch) -> None:
    console(monkeypatch, force_terminal=False)
    assert open_screen() is None
    assert not is_watched()


def test_a_terminal_that_cannot_move_its_cursor_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    console(monkeypatch, force_terminal=True)
    assert open_screen() is None


def test_colors_in_a_file_are_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert console(monkeypatch).is_terminal  # so rich says
    assert open_screen() is None


def test_a_ci_is_a_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    console(monkeypatch, force_terminal=True)
    assert is_watched()
    monkeypatch.setenv("CI", "true")
    assert not is_watched()


class Tty(io.StringIO):
    """A terminal, as far as anybody can tell."""

    def isatty(self) -> bool:
        return True


def test_what_goes_to_a_file_goes_there_while_a_board_is_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    terminal, errors = Tty(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setattr(sys, "stderr", errors)
    made = Console(file=terminal, width=100)
    monkeypatch.setattr(rich, "get_console", lambda: made)
    shown = open_screen()
    assert shown is not None
    print("above the board")
    print("into the file", file=sys.stderr)
    shown.close()
    assert errors.getvalue() == "into the file\n"
    assert "above the board" in terminal.getvalue()
    assert sys.stdout is terminal
    with progress("measuring", total=1):
        print("once more", file=sys.stderr)
    assert errors.getvalue() == "into the file\nonce more\n"


def test_a_terminal_shows_it_in_place_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    terminal = console(monkeypatch, force_terminal=True)
    shown = open_screen()
    assert shown is not None
    shown.show(BOARD)
    shown.close()
    text: str = terminal.file.getvalue()  # type: ignore[attr-defined]
    assert "3/10" in text
    assert "\x1b[?25h" in text  # the cursor is there again
    assert text.endswith("\x1b[2K")


def test_drawing_that_takes_long_is_done_seldom(
    monkeypatch: pytest.MonkeyPatch, clock: list[float]
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    console(monkeypatch, force_terminal=True)
    shown = open_screen()
    assert shown is not None
    assert shown.due()

    def slow(board: Board, *, refresh: bool) -> None:
        clock[0] += 0.08

    monkeypatch.setattr(shown._live, "update", slow)  # type: ignore[attr-defined]
    shown.show(BOARD)
    clock[0] += 0.6
    assert shown.due()  # what the first one took says little
    for _ in range(3):
        shown.show(BOARD)
        clock[0] += 16.1
        assert shown.due()
    shown.show(BOARD)
    clock[0] += 15.0
    assert not shown.due()  # 0.08 s is half a percent of 16 s
    shown.close()


class Display(ModuleType):
    """What IPython would show."""

    def __init__(self) -> None:
        super().__init__("IPython.display")
        self.pages: list[str] = []

    def HTML(self, text: str) -> str:  # noqa: N802
        return text

    def display(self, page: str, *, display_id: bool) -> Display:
        assert display_id
        self.pages.append(page)
        return self

    def update(self, page: str) -> None:
        self.pages[-1] = page


def test_a_notebook_shows_one_cell_in_colors(monkeypatch: pytest.MonkeyPatch) -> None:
    display = Display()
    monkeypatch.setitem(sys.modules, "IPython", ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    console(monkeypatch, force_jupyter=True)
    shown = open_screen()
    assert shown is not None
    for done in (3, 4):
        shown.show(Board((Stretch("main", done, 10),)))
    shown.close()
    (page,) = display.pages
    assert "4/10" in page
    assert "font-weight: bold" in page
    assert page.startswith("<pre")
