"""What a sweep prints: the progress of its runs, and its tables."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import rich
from rich.table import Table as RichTable
from rich.text import Text

from nvn.console import Bar, duration, show
from nvn.errors import NvnWarning, RunError
from nvn.sweep.results import Result, SweepFolder, code_changed
from nvn.sweep.tables import Table
from nvn.sweep.workers import Job

__all__ = ["Board", "counted", "show_tables", "warn_of_changed_code"]

_BAR = 54  # characters of the terminal that a bar needs, before its note
_LEAST = 12  # characters of a note in any case
_PAD = 3  # spaces between the columns of a table


class Board:
    """Shows the progress of the runs: a bar, and a line for each run that has ended.

    Args:
        bar: The bar over the runs.
        after: Called whenever a run has ended.

    Attributes:
        failed: A message for each run that failed.
    """

    def __init__(self, bar: Bar, after: Callable[[], object]) -> None:
        self._bar = bar
        self._after = after
        self._running: list[Job] = []
        self.failed: list[str] = []

    def began(self, job: Job) -> None:
        """Note that a run begins."""
        self._running.append(job)
        self._note()

    def waits(self, job: Job, process: str | None) -> None:
        """Print that a run is still running since an earlier sweep."""
        if process is None:
            show(
                f"{job.cell}: its process of an earlier sweep has ended, and something that it "
                f"started still holds {job.log}; waiting for that"
            )
        else:
            who = f"process {process} of an earlier sweep"
            show(f"{job.cell}: {who} is still running it; waiting for it")

    def ended(self, job: Job, result: Result, seconds: float) -> None:
        """Print how a run ended."""
        self._running.remove(job)
        try:
            self._after()
        except RunError as trouble:  # a table that cannot be written now is written after the last
            warnings.warn(f"{trouble}; the sweep goes on", NvnWarning, stacklevel=2)
        took, error = duration(seconds), result.error or result.outcome
        if result.finished:
            show(f"{job.cell}: finished in {took}")
        else:
            self.failed.append(f"{job.cell}: {error}\n  its output: {job.log}")
            show(f"{job.cell}: failed after {took}: {error}")
        self._note()
        self._bar.advance()

    def _note(self) -> None:
        first = str(self._running[0].cell) if self._running else ""
        more = f" and {len(self._running) - 1} more" if len(self._running) > 1 else ""
        room = max(rich.get_console().width - _BAR - len(more), _LEAST)
        short = first if len(first) <= room else f"{first[: room - 1]}…"
        self._bar.note(f"{short}{more}")


def show_tables(tables: Sequence[Table]) -> None:
    """Print tables; one that is too wide for the terminal is split, with its labels repeated."""
    width = rich.get_console().width
    if tables:
        show("")
    for table in tables:
        show(f"{table.title}:")
        for columns in _parts(table, width):
            drawn = RichTable(box=None, pad_edge=False, padding=(0, _PAD, 0, 0))
            for column in columns:
                side = "left" if column < table.labels else "right"
                drawn.add_column(Text(table.header[column]), justify=side)  # type: ignore[arg-type]
            for row in table.rows:
                drawn.add_row(*(Text(row[column]) for column in columns))
            show(drawn)
            show("")


def warn_of_changed_code(folder: SweepFolder, results: Sequence[Result]) -> None:
    """Warn of finished runs whose recipe's file has changed since."""
    changed: dict[Path, list[Path]] = {}
    for cell, result, place in zip(folder.grid.cells, results, folder.places, strict=True):
        if result.finished and code_changed(place, cell.recipe):
            changed.setdefault(cell.recipe.path, []).append(place)
    for file, places in changed.items():
        warnings.warn(
            f"{file} has changed since {counted(len(places))} of it finished. Their results are "
            "kept; to run them again, remove their folders:\n"
            + "\n".join(f"  {place}" for place in places),
            NvnWarning,
            stacklevel=2,
        )


def counted(runs: int) -> str:
    """Format a number of runs.

    >>> counted(1), counted(2)
    ('1 run', '2 runs')
    """
    return "1 run" if runs == 1 else f"{runs} runs"


def _parts(table: Table, width: int) -> Iterator[list[int]]:
    """Split a table's columns into parts that fit the terminal, if single columns do."""
    longest = [
        max(len(row[column]) for row in (table.header, *table.rows)) + _PAD
        for column in range(len(table.header))
    ]
    labels = [*range(table.labels)]
    part: list[int] = []
    for column in range(table.labels, len(table.header)):
        needed = sum(longest[c] for c in [*labels, *part, column])
        if part and needed > width:
            yield [*labels, *part]
            part = []
        part.append(column)
    yield [*labels, *part]
