"""Means and standard deviations over seeds and folds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from nvn.sweep.grid import Cell, Grid
from nvn.sweep.results import Result

__all__ = ["Key", "Measured", "Metric", "Statistic", "measure"]


class Metric(NamedTuple):
    """A number that an evaluation gives."""

    evaluation: str
    name: str

    def __str__(self) -> str:
        return f"{self.evaluation}/{self.name}"


class Key(NamedTuple):
    """What a mean is of: a recipe with one combination of what is swept."""

    recipe: str
    row: tuple[str, ...]


@dataclass(frozen=True)
class Statistic:
    """What several runs gave.

    Attributes:
        mean: Σ xᵢ / n.
        sd: The sample's standard deviation, √(Σ (xᵢ − mean)² / (n − 1)); None of one run.
        n: How many runs.
    """

    mean: float
    sd: float | None
    n: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Statistic:
        """Work it out, of one number or more."""
        n = len(values)
        mean = math.fsum(values) / n if all(map(math.isfinite, values)) else sum(values) / n
        if n == 1:
            return cls(mean, None, n)
        return cls(mean, math.sqrt(sum((x - mean) ** 2 for x in values) / (n - 1)), n)


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
        """What there is, or will be, a mean of."""
        return tuple(dict.fromkeys(key_of(cell) for cell in self.grid.cells))

    @property
    def shared(self) -> tuple[Metric, ...]:
        """The metrics that every recipe with a finished run has."""
        has = {(key.recipe, metric) for key, metric in self.statistics}
        recipes = {recipe for recipe, _ in has}
        return tuple(m for m in self.metrics if all((recipe, m) in has for recipe in recipes))


def measure(grid: Grid, results: Sequence[Result]) -> Measured:
    """Work out the statistics of the runs that have finished."""
    values: dict[tuple[Key, Metric], list[float]] = {}
    for cell, result in zip(grid.cells, results, strict=True):
        for metric, value in numbers(result):
            values.setdefault((key_of(cell), metric), []).append(value)
    statistics = {key: Statistic.of(found) for key, found in values.items()}
    metrics = tuple(dict.fromkeys(metric for _, metric in statistics))
    return Measured(grid, tuple(results), statistics, metrics)


def key_of(cell: Cell) -> Key:
    """Return what mean a run goes into."""
    return Key(cell.recipe.name, cell.row)


def numbers(result: Result) -> list[tuple[Metric, float]]:
    """Return what a run measured; nothing if it has not finished."""
    if not result.finished:
        return []
    return [
        (Metric(evaluation, name), float(value))
        for evaluation, found in result.metrics.items()
        for name, value in found.items()
    ]
