"""The tables of a sweep: mean ± standard deviation, as text in rows and columns.

Where settings are swept and there are several recipes, each metric has a table: a row for each
combination of settings, a column for each recipe. Else there is one table with a column for each
metric, and a row for each combination, or for each recipe.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from nvn.errors import did_you_mean
from nvn.sweep.statistics import Key, Measured, Metric, Statistic

__all__ = ["Table", "make_tables", "unknown_metrics"]

_DIGITS = 4  # of the largest mean in a table
_MISSING = "–"


@dataclass(frozen=True)
class Table:
    """Text in rows and columns.

    Attributes:
        title: What its numbers are.
        header: The columns' names.
        labels: How many columns, from the left, say what a row is of.
        rows: The text.
    """

    title: str
    header: tuple[str, ...]
    labels: int
    rows: tuple[tuple[str, ...], ...]


def make_tables(measured: Measured, wanted: Sequence[str]) -> list[Table]:
    """Make the tables of what has been measured so far.

    Args:
        measured: The statistics.
        wanted: Metrics as `evaluation/metric`; if none, all that the recipes share.
    """
    grid, metrics = measured.grid, _chosen(measured, wanted)
    runs = f"mean ± sd of {grid.repeats} runs" if grid.repeats > 1 else "one run each"
    names = [recipe.name for recipe in grid.recipes]
    if grid.rows and len(names) > 1:
        return [_of_recipes(measured, metric, names, runs) for metric in metrics]
    return [_of_metrics(measured, metrics, runs)] if metrics else []


def _chosen(measured: Measured, wanted: Sequence[str]) -> tuple[Metric, ...]:
    """Return the metrics that tables are made of."""
    if not wanted:
        return measured.shared
    return tuple(metric for metric in measured.metrics if str(metric) in wanted)


def unknown_metrics(measured: Measured, wanted: Iterable[str]) -> list[str]:
    """Say which metrics no run has measured, and which there are; nothing if no run finished."""
    known = [str(metric) for metric in measured.metrics]
    lines = [
        f"--metric {name!r}: no run has measured it.{did_you_mean(name, known)}"
        for name in wanted
        if known and name not in known
    ]
    return [*lines, "measured were:", *(f"  {name}" for name in known)] if lines else []


def _of_recipes(measured: Measured, metric: Metric, recipes: list[str], runs: str) -> Table:
    grid = measured.grid
    combinations = dict.fromkeys(key.row for key in measured.keys)
    cells = [[(Key(name, row), metric) for name in recipes] for row in combinations]
    return Table(
        title=f"{metric}, {runs}",
        header=(*grid.rows, *recipes),
        labels=len(grid.rows),
        rows=tuple(
            (*row, *texts)
            for row, texts in zip(combinations, _filled(measured, cells), strict=True)
        ),
    )


def _of_metrics(measured: Measured, metrics: Sequence[Metric], runs: str) -> Table:
    grid = measured.grid
    columns = [[[(key, metric)] for key in measured.keys] for metric in metrics]
    texts = [[text for (text,) in _filled(measured, column)] for column in columns]
    labels = [key.row if grid.rows else (key.recipe,) for key in measured.keys]
    evaluations = {metric.evaluation for metric in metrics}
    only = evaluations.pop() if len(evaluations) == 1 else None
    of = f"{grid.recipes[0].name}: " if grid.rows else ""
    return Table(
        title=f"{of}{f'{only}, ' if only else ''}{runs}",
        header=(*(grid.rows or ("recipe",)), *(m.name if only else str(m) for m in metrics)),
        labels=len(labels[0]),
        rows=tuple(
            (*label, *row) for label, row in zip(labels, zip(*texts, strict=True), strict=True)
        ),
    )


def _filled(
    measured: Measured, cells: Sequence[Sequence[tuple[Key, Metric]]]
) -> list[tuple[str, ...]]:
    """Write statistics that are compared with one another, all with the same decimals."""
    found = [[measured.statistics.get(cell) for cell in row] for row in cells]
    means = [abs(x.mean) for row in found for x in row if x and math.isfinite(x.mean)]
    largest = max(means, default=0.0)
    whole = math.floor(math.log10(largest)) + 1 if largest else 1
    decimals = min(max(_DIGITS - max(whole, 0), 0), 6)
    repeats = measured.grid.repeats
    return [tuple(_text(x, decimals, repeats) for x in row) for row in found]


def _text(found: Statistic | None, decimals: int, repeats: int) -> str:
    """Write one statistic, with how many runs it is of if these are not all."""
    if found is None:
        return _MISSING
    spread = "" if found.sd is None else f" ± {found.sd:.{decimals}f}"
    short = "" if found.n == repeats else f" ({found.n} of {repeats})"
    return f"{found.mean:.{decimals}f}{spread}{short}"
