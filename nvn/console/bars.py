"""Progress of long work: a bar on a terminal; elsewhere a line every ten seconds."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import rich
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from nvn.console.output import ignore_broken_pipe, is_live, show, shows

_PLAIN_SECONDS = 10.0  # between two lines, without a terminal
_BRIEF_SECONDS = 1.0  # work that took no longer leaves nothing on the screen


class Bar(Protocol):
    """A progress bar.

    >>> def total(losses: list[float], bar: Bar) -> float:
    ...     for loss in losses:
    ...         bar.note(f"loss {loss}")
    ...         bar.advance()
    ...     return sum(losses)
    >>> with progress("adding up", total=2) as bar:
    ...     total([0.5, 0.25], bar)
    0.75
    """

    def advance(self, amount: int = 1) -> None:
        """Advance by `amount` items."""

    def reach(self, done: int, total: int | None = None) -> None:
        """Set the number of items done, and their total if it has changed."""

    def note(self, text: str) -> None:
        """Set the text beside the bar, such as the current losses."""

    def close(self) -> None:
        """Finish the bar."""


@contextmanager
def progress(description: str, total: int | None = None) -> Iterator[Bar]:
    """Show the progress of long work, with the time left; short work leaves nothing behind.

    Args:
        description: The text before the bar.
        total: The number of items, if known.

    >>> faces = ["smiling", "neutral"]
    >>> with progress("rendering faces", total=len(faces)) as bar:
    ...     for face in faces:
    ...         bar.advance()
    """
    bar = open_bar(description, total, brief=_BRIEF_SECONDS)
    try:
        yield bar
    finally:
        bar.close()


class _TerminalBar:
    """A bar that is redrawn in place."""

    def __init__(self, console: Console, description: str, total: int | None, brief: float) -> None:
        self._console = console
        self._brief = brief
        self._begun = time.monotonic()
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[note]}", style="dim"),
            console=console,
            redirect_stdout=shows(sys.stdout),
            redirect_stderr=shows(sys.stderr),
        )
        self._task = self._progress.add_task(description, total=total, note="")
        with ignore_broken_pipe(console):
            self._progress.start()

    def advance(self, amount: int = 1) -> None:
        self._progress.advance(self._task, amount)

    def reach(self, done: int, total: int | None = None) -> None:
        self._progress.update(self._task, completed=done, total=total)

    def note(self, text: str) -> None:
        self._progress.update(self._task, note=text)

    def close(self) -> None:
        self._progress.live.transient = time.monotonic() - self._begun < self._brief
        with ignore_broken_pipe(self._console):
            self._progress.stop()


class _PlainBar:
    """A line every ten seconds."""

    def __init__(self, description: str, total: int | None, brief: float) -> None:
        self._description = description
        self._total = total
        self._brief = brief
        self._done = 0
        self._note = ""
        self._begun = self._printed = time.monotonic()

    def advance(self, amount: int = 1) -> None:
        self.reach(self._done + amount)

    def reach(self, done: int, total: int | None = None) -> None:
        self._done = done
        self._total = total or self._total
        over = self._done == self._total  # which `close` prints
        if not over and time.monotonic() - self._printed >= _PLAIN_SECONDS:
            self._printed = time.monotonic()
            show(f"{self._description}: {self._count()}{self._left()}{self._beside()}")

    def note(self, text: str) -> None:
        self._note = text

    def close(self) -> None:
        took = time.monotonic() - self._begun
        if took >= self._brief:
            show(f"{self._description}: {self._count()} in {duration(took)}{self._beside()}")

    def _count(self) -> str:
        return f"{self._done}" if self._total is None else f"{self._done}/{self._total}"

    def _left(self) -> str:
        if not (self._done and self._total):
            return ""
        per_item = (time.monotonic() - self._begun) / self._done
        return f", {duration(per_item * (self._total - self._done))} left"

    def _beside(self) -> str:
        return f"  {self._note}" if self._note else ""


def open_bar(description: str, total: int | None, brief: float = 0.0) -> Bar:
    """Open a bar that is removed if the work takes less than `brief` seconds."""
    console = rich.get_console()
    if is_live(console):
        return _TerminalBar(console, description, total, brief)
    return _PlainBar(description, total, brief)


def duration(seconds: float) -> str:
    """Format a duration for a person: "2.5 s", "3 min 18 s", "1 h 4 min"."""
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 60} min {whole % 60} s" if whole >= 60 else f"{seconds:.1f} s"
