"""Where a board is shown: in place on a terminal, in the cell of a notebook; in a file, not at all.

A board is drawn by whoever changes it, never by a thread of its own, and so seldom that drawing
takes less than 1 % of the time.
"""

from __future__ import annotations

import importlib
import io
import sys
import time
from collections import deque
from statistics import median_low
from typing import Any, Protocol

import rich
from rich.console import Console
from rich.live import Live

from nvn.console.board import Board
from nvn.console.output import ignore_broken_pipe, is_live, shows

__all__ = ["Rhythm", "Screen", "as_html", "is_watched", "open_screen"]

_SECONDS = 0.5  # between two drawings, at least
_SHARE = 0.005  # of the time, at most, for drawing
_CELL = "<pre style=\"font-family: Menlo, 'DejaVu Sans Mono', monospace\"><code>{code}</code></pre>"
_CELL_WIDTH = 110  # characters of a notebook's cell


class Screen(Protocol):
    """Shows a board, in place of the one before."""

    def due(self) -> bool:
        """Whether it is time to show another one."""

    def show(self, board: Board) -> None:
        """Show a board."""

    def close(self) -> None:
        """Take the board away."""


def is_watched() -> bool:
    """Whether a board could be shown: on a terminal that can move its cursor, or in a notebook."""
    console = rich.get_console()
    return console.is_jupyter or is_live(console)


def open_screen() -> Screen | None:
    """Open the place where boards are shown; None where there is none, as in a log file."""
    if not is_watched():
        return None
    console = rich.get_console()
    return _Notebook() if console.is_jupyter else _Terminal(console)


class Rhythm:
    """Says when to draw again: the longer it took from when it was time, the later."""

    def __init__(self) -> None:
        self._begun = 0.0
        self._next = 0.0
        self._costs: deque[float] = deque([0.0], maxlen=5)  # the first loads what drawing needs

    def due(self) -> bool:
        """Whether it is time to draw again."""
        now = time.monotonic()
        if now < self._next:
            return False
        self._begun = now
        return True

    def drawn(self) -> None:
        """Note that it has been drawn."""
        now = time.monotonic()
        # The median: a board grows, and another process may have come between.
        self._costs.append(now - (self._begun or now))
        self._next = now + max(_SECONDS, median_low(self._costs) / _SHARE)


class _Terminal:
    """Draws a board in place; what is printed meanwhile stands above it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._rhythm = Rhythm()
        self._live = Live(
            console=console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=shows(sys.stdout),
            redirect_stderr=shows(sys.stderr),
        )
        with ignore_broken_pipe(console):
            self._live.start()

    def due(self) -> bool:
        return self._rhythm.due()

    def show(self, board: Board) -> None:
        with ignore_broken_pipe(self._console):
            self._live.update(board, refresh=True)
        self._rhythm.drawn()

    def close(self) -> None:
        with ignore_broken_pipe(self._console):
            self._live.stop()


class _Notebook:
    """Draws a board as HTML in the cell that trains; the last one stays."""

    def __init__(self) -> None:
        self._rhythm = Rhythm()
        self._display: Any = importlib.import_module("IPython.display")
        self._handle: Any = None

    def due(self) -> bool:
        return self._rhythm.due()

    def show(self, board: Board) -> None:
        page = self._display.HTML(as_html(board))
        if self._handle is None:
            self._handle = self._display.display(page, display_id=True)
        else:
            self._handle.update(page)
        self._rhythm.drawn()

    def close(self) -> None:
        self._handle = None


def as_html(board: Board) -> str:
    """Return a board as HTML, with its colors, for the cell of a notebook."""
    paper = Console(
        record=True,
        file=io.StringIO(),
        width=_CELL_WIDTH,
        height=100,
        force_jupyter=False,
        force_terminal=True,
        color_system="standard",
    )
    paper.print(board)
    return paper.export_html(inline_styles=True, code_format=_CELL)
