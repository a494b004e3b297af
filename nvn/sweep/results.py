"""The folder of a sweep.

sweep.yaml               the request, with versions and commits
table.md, table.csv      mean and standard deviation
cells.csv                a line for each run and metric
cells/<name>/            a run's folder, as `nvn run` writes it
cells/<name>.log         the run's output, locked by the process of the run

A name ends in a digest of all that determines the run. By it a run is found again in any grid that
contains it.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nvn.errors import ConfigError
from nvn.files import disk
from nvn.recipe.code import kept_differs
from nvn.recipe.config import read_yaml
from nvn.recipe.loading import RecipeSource, installed_folder
from nvn.sweep.grid import Cell, Grid, as_text
from nvn.sweep.locks import opened, try_lock

__all__ = [
    "Result",
    "SweepFolder",
    "can_go_on",
    "clear",
    "code_changed",
    "default_folder",
    "log_of",
    "read_result",
]

_STOPPED = ("running", "killed", "interrupted", "preempted", "out of time")
_READABLE = 80  # characters of a name, before the digest
_DIGEST = 10


@dataclass(frozen=True)
class Result:
    """The result of a run, as its folder has it.

    Attributes:
        outcome: How it ended; "unfinished" if it was started but did not end, "missing" if it was
            never started.
        metrics: Its final evaluations: evaluation → metric → value.
        error: The message of the error that ended it.
    """

    outcome: str = "missing"
    metrics: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    error: str | None = None

    @property
    def finished(self) -> bool:
        """Whether the run has finished."""
        return self.outcome == "finished"


class SweepFolder:
    """The folders of a grid's runs.

    Args:
        path: The sweep's folder, locked against other sweeps.
        grid: The runs.

    Attributes:
        path: The sweep's folder.
        grid: The runs.
        places: The folder of each run, in the grid's order. It may not exist yet.
    """

    def __init__(self, path: Path, grid: Grid) -> None:
        self.path = path
        self.grid = grid
        self._finished: dict[Path, Result] = {}
        self._cells = path / "cells"
        with disk(self._cells, "create"):
            self._cells.mkdir(exist_ok=True)
            there = [entry.name for entry in os.scandir(self._cells)]
        known = {name.removesuffix(".log")[-_DIGEST:]: name.removesuffix(".log") for name in there}
        self.places = tuple(self._place(cell, known) for cell in grid.cells)

    def results(self) -> list[Result]:
        """Read the result of each run; those of finished runs are cached."""
        for place in self.places:
            if place not in self._finished and (result := read_result(place)).finished:
                self._finished[place] = result
        return [self._finished.get(place) or read_result(place) for place in self.places]

    def _place(self, cell: Cell, known: Mapping[str, str]) -> Path:
        digest = _digest(_content(self.grid, cell, self.path))
        words = "_".join([cell.recipe.name, *(f"{k}={as_text(v)}" for k, v in cell.chosen.items())])
        readable = re.sub(r"[^A-Za-z0-9_.=-]+", "-", words)[:_READABLE]
        # It may exist under another name, from a grid that swept other settings.
        return self._cells / known.get(digest, f"{readable}-{digest}")


def log_of(place: Path) -> Path:
    """Return the file of a run's output."""
    return place.with_name(f"{place.name}.log")


def read_result(place: Path) -> Result:
    """Read the result of a run."""
    try:
        about = read_yaml(place / "run.yaml")
        error = about.get("error")
        outcome = str(about["outcome"])
        if outcome == "running" and not _is_held(log_of(place)):
            outcome = "killed"  # it could not say so itself
        return Result(
            outcome,
            _numbers(about.get("metrics")),
            None if error is None else str(error),
        )
    except (ConfigError, KeyError):
        return Result("unfinished" if log_of(place).exists() else "missing")


def _is_held(log: Path) -> bool:
    """Return whether a process holds a run's log: then the run is still going on."""
    if not log.exists():
        return False
    with opened(log) as file:
        return not try_lock(file)


def _numbers(metrics: Any) -> dict[str, dict[str, float]]:
    """Return what is metrics of an entry of run.yaml; whatever else is there is none."""
    found = metrics.items() if isinstance(metrics, Mapping) else ()
    return {
        str(evaluation): {str(n): float(x) for n, x in own.items() if isinstance(x, int | float)}
        for evaluation, own in found
        if isinstance(own, Mapping)
    }


def clear(place: Path) -> None:
    """Remove the folder of a run that did not finish."""
    with disk(place, "remove"):
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
        else:  # whatever else has its name
            place.unlink(missing_ok=True)


def can_go_on(place: Path, recipe: RecipeSource) -> bool:
    """Return whether a run that did not finish can go on: it was only stopped, or killed.

    One that failed begins anew, as does one whose recipe has changed: somebody has mended it.
    """
    stopped = read_result(place).outcome in _STOPPED
    return stopped and not kept_differs(place, recipe.path)


def code_changed(place: Path, recipe: RecipeSource) -> bool:
    """Return whether the recipe's file has changed since a run that kept a copy."""
    return (place / "recipe.py").is_file() and kept_differs(place, recipe.path)


def default_folder(grid: Grid) -> Path:
    """Return the default folder, which is the same for all sweeps of the same runs."""
    parent = Path("runs") / "sweeps"
    names = "+".join(recipe.name for recipe in grid.recipes)[:_READABLE]
    return parent / f"{names}-{_digest(*sorted(_content(grid, c, parent) for c in grid.cells))}"


def _content(grid: Grid, cell: Cell, folder: Path) -> str:
    """Return all that determines a run, the recipe by its path.

    The path is relative to the sweep's folder, so that both can be moved together.
    """
    path, installed = cell.recipe.path.resolve(), installed_folder()
    if installed and path.parent == installed.resolve():
        origin = f"installed: {path.stem}"
    else:
        origin = Path(os.path.relpath(path, folder.resolve())).as_posix()
    return "\n".join([origin, cell.content, str(grid.request.max_steps), grid.request.precision])


def _digest(*contents: str) -> str:
    return hashlib.sha256("\n\n".join(contents).encode()).hexdigest()[:_DIGEST]
