"""The tables of a sweep: means and standard deviations over seeds and folds, in rows and columns.

Where settings are swept and there are several recipes, each metric has a table: a row for each
combination of settings, a column for each recipe. Else there is one table with a column for each
metric, and a row for each combination, or for each recipe.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from nvn.errors import did_you_mean
from nvn.sweep.grid import Cell, Grid
from nvn.sweep.results import Result

__all__ = [
    "Key",
    "Measured",
    "Metric",
    "Statistic",
    "Table",
    "make_tables",
    "measure",
    "numbers",
    "unknown_metrics",
]

_DIGITS = 4  # of the largest mean in a table
_MISSING = "–"


# --- statistics -----------------------------------------------------------------------------------


class Metric(NamedTuple):
    """A number that an evaluation gives."""

    evaluation: str
    name: str

    def __str__(self) -> str:
        return f"{self.evaluation}/{self.name}"


class Key(NamedTuple):
    """What one mean is over: the runs of a recipe with one combination of settings."""

    recipe: str
    row: tuple[str, ...]


@dataclass(frozen=True)
class Statistic:
    """A metric over several runs.

    Attributes:
        mean: Σ xᵢ / n.
        sd: The sample's standard deviation, √(Σ (xᵢ − mean)² / (n − 1)); None for one run.
        n: How many runs.
    """

    mean: float
    sd: float | None
    n: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Statistic:
        """Compute it from one number or more; NaN and infinity in them stay visible in it."""
        n = len(values)
        if not all(map(math.isfinite, values)):  # which the module `statistics` does not take
            return cls(sum(values) / n, math.nan if n > 1 else None, n)
        return cls(statistics.fmean(values), statistics.stdev(values) if n > 1 else None, n)


@dataclass(frozen=True)
class Measured:
    """What a sweep has measured so far.

    Attributes:
        grid: Its runs.
        results: How each run ended, in the order of the grid's cells.
        statistics: Of the finished runs.
        metrics: All that some finished run has measured, in the order of their first appearance.
    """

    grid: Grid
    results: tuple[Result, ...]
    statistics: Mapping[tuple[Key, Metric], Statistic]
    metrics: tuple[Metric, ...]

    @property
    def keys(self) -> tuple[Key, ...]:
        """All that have a mean, or will have one, in the order of the grid."""
        return tuple(dict.fromkeys(key_of(cell) for cell in self.grid.cells))

    @property
    def shared(self) -> tuple[Metric, ...]:
        """The metrics that every recipe with a finished run has."""
        has = {(key.recipe, metric) for key, metric in self.statistics}
        recipes = {recipe for recipe, _ in has}
        return tuple(m for m in self.metrics if all((recipe, m) in has for recipe in recipes))


def measure(grid: Grid, results: Sequence[Result]) -> Measured:
    """Compute the statistics of the runs that have finished."""
    values: dict[tuple[Key, Metric], list[float]] = {}
    for cell, result in zip(grid.cells, results, strict=True):
        for metric, value in numbers(result):
            values.setdefault((key_of(cell), metric), []).append(value)
    of_runs = {key: Statistic.of(listed) for key, listed in values.items()}
    metrics = tuple(dict.fromkeys(metric for _, metric in of_runs))
    return Measured(grid, tuple(results), of_runs, metrics)


def key_of(cell: Cell) -> Key:
    """Return the key of the mean that a run counts in."""
    return Key(cell.recipe.name, cell.row)


def numbers(result: Result) -> list[tuple[Metric, float]]:
    """Return the metrics of a run; none if it has not finished."""
    if not result.finished:
        return []
    return [
        (Metric(evaluation, name), float(value))
        for evaluation, values in result.metrics.items()
        for name, value in values.items()
    ]


# --- layout ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Table:
    """Text in rows and columns.

    Attributes:
        title: What the numbers are.
        header: The columns' names.
        labels: The number of columns, from the left, that name a row.
        rows: The text.
    """

    title: str
    header: tuple[str, ...]
    labels: int
    rows: tuple[tuple[str, ...], ...]


def make_tables(measured: Measured, wanted: Sequence[str]) -> list[Table]:
    """Lay out what has been measured so far.

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
    """Return lines that name the metrics no run has measured, and those there are.

    None if all are measured, or if no run has finished.
    """
    known = [str(metric) for metric in measured.metrics]
    lines = [
        f"--metric {name!r}: no run has measured it.{did_you_mean(name, known)}"
        for name in wanted
        if known and name not in known
    ]
    return [*lines, "measured metrics:", *(f"  {name}" for name in known)] if lines else []


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
    """Format statistics that are compared with one another: all with the same decimals."""
    rows = [[measured.statistics.get(cell) for cell in row] for row in cells]
    means = [abs(x.mean) for row in rows for x in row if x and math.isfinite(x.mean)]
    largest = max(means, default=0.0)
    whole = math.floor(math.log10(largest)) + 1 if largest else 1
    decimals = min(max(_DIGITS - max(whole, 0), 0), 6)
    repeats = measured.grid.repeats
    return [tuple(_text(x, decimals, repeats) for x in row) for row in rows]


def _text(statistic: Statistic | None, decimals: int, repeats: int) -> str:
    """Format one statistic, and the number of its runs if some are missing."""
    if statistic is None:
        return _MISSING
    spread = "" if statistic.sd is None else f" ± {statistic.sd:.{decimals}f}"
    short = "" if statistic.n == repeats else f" ({statistic.n} of {repeats})"
    return f"{statistic.mean:.{decimals}f}{spread}{short}"
