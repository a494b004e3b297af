"""The folder of a sweep, and what lies in it.

sweep.yaml               what was asked for, with versions and commits
table.md, table.csv      mean and standard deviation
cells.csv                a line for each run and metric
cells/<name>/            a run's folder, as `nvn run` writes it
cells/<name>.log         what that run said; whoever holds its lock is at work on the run

A name ends in a digest of all that decides what is run. By it a run is found again, whatever grid
it was part of when it was run.
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

import yaml

from nvn.files import disk
from nvn.recipe.loading import RecipeSource, installed_folder
from nvn.sweep.grid import Cell, Grid, as_text

__all__ = [
    "Result",
    "SweepFolder",
    "clear",
    "default_folder",
    "is_of_other_code",
    "log_of",
    "read_result",
]

_READABLE = 80  # characters of a name, before the digest
_DIGEST = 10


@dataclass(frozen=True)
class Result:
    """What a run's folder says of it.

    Attributes:
        outcome: How it ended; "unfinished" if it was begun and nothing says so, "missing" if it
            was never begun.
        metrics: Its closing evaluations: evaluation → metric → value.
        error: What it failed with.
    """

    outcome: str = "missing"
    metrics: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    error: str | None = None

    @property
    def finished(self) -> bool:
        """Whether the run is complete."""
        return self.outcome == "finished"


class SweepFolder:
    """Where a grid's runs lie.

    Args:
        path: The folder, of which no other sweep makes use.
        grid: The runs.

    Attributes:
        path: The folder.
        grid: The runs.
        places: The folder of each run, in the grid's order. It may not be there yet.
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
        """Read how each run ended; once one has finished, that stays so."""
        for place in self.places:
            if place not in self._finished and (result := read_result(place)).finished:
                self._finished[place] = result
        return [self._finished.get(place) or read_result(place) for place in self.places]

    def _place(self, cell: Cell, known: Mapping[str, str]) -> Path:
        digest = _digest(_content(self.grid, cell, self.path))
        words = "_".join([cell.recipe.name, *(f"{k}={as_text(v)}" for k, v in cell.chosen.items())])
        readable = re.sub(r"[^A-Za-z0-9_.=-]+", "-", words)[:_READABLE]
        # It may be there under another name, from a grid that swept other settings.
        return self._cells / known.get(digest, f"{readable}-{digest}")


def log_of(place: Path) -> Path:
    """Return where a run's output is kept."""
    return place.with_name(f"{place.name}.log")


def read_result(place: Path) -> Result:
    """Read how a run ended."""
    try:
        about: Any = yaml.safe_load((place / "run.yaml").read_text(encoding="utf-8"))
        metrics = about.get("metrics") or {}
        return Result(str(about["outcome"]), metrics, about.get("error"))
    except (OSError, ValueError, yaml.YAMLError, AttributeError, KeyError, TypeError):
        return Result("unfinished" if log_of(place).exists() else "missing")


def clear(place: Path) -> None:
    """Remove what a run that did not finish has left."""
    with disk(place, "remove"):
        if place.exists():
            shutil.rmtree(place)


def is_of_other_code(place: Path, recipe: RecipeSource) -> bool:
    """Whether a run was of the recipe's file as it is no longer."""
    try:
        return (place / "recipe.py").read_bytes() != recipe.path.read_bytes()
    except OSError:
        return False  # who removed it knows better


def default_folder(grid: Grid) -> Path:
    """Return the folder of all sweeps that ask for the same runs."""
    parent = Path("runs") / "sweeps"
    names = "+".join(recipe.name for recipe in grid.recipes)[:_READABLE]
    return parent / f"{names}-{_digest(*sorted(_content(grid, c, parent) for c in grid.cells))}"


def _content(grid: Grid, cell: Cell, folder: Path) -> str:
    """Return all that decides what is run, the recipe by where it lies.

    A recipe's file counts as seen from the folder, so that both can be moved together.
    """
    path, installed = cell.recipe.path.resolve(), installed_folder()
    if installed and path.parent == installed.resolve():
        origin = f"installed: {path.stem}"
    else:
        origin = Path(os.path.relpath(path, folder.resolve())).as_posix()
    return "\n".join([origin, cell.content, str(grid.request.max_steps), grid.request.precision])


def _digest(*contents: str) -> str:
    return hashlib.sha256("\n\n".join(contents).encode()).hexdigest()[:_DIGEST]
