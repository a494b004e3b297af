"""The files that a sweep writes: tables, and the request."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

import nvn
from nvn.files import atomic_write
from nvn.packages import version
from nvn.recipe.code import commit_of
from nvn.sweep.grid import as_text
from nvn.sweep.results import SweepFolder
from nvn.sweep.tables import Measured, Metric, Table, numbers

__all__ = ["write_request", "write_tables"]


def write_tables(folder: SweepFolder, measured: Measured, tables: Iterable[Table]) -> None:
    """Write table.md, table.csv and cells.csv, each atomically.

    Raises:
        RunError: If the disk is full, or the folder is not writable.
    """
    done = sum(result.finished for result in measured.results)
    title = f"{done} of {len(measured.results)} runs finished."
    text = "\n\n".join([title, *map(_markdown, tables)])
    atomic_write(folder.path / "table.md", f"{text}\n".encode())
    atomic_write(folder.path / "table.csv", _csv(_statistics(measured)))
    atomic_write(folder.path / "cells.csv", _csv(_runs(folder, measured)))


def write_request(folder: SweepFolder, command: str) -> None:
    """Write sweep.yaml: the command, the grid, versions and commits.

    Raises:
        RunError: If the disk is full, or the folder is not writable.
    """
    grid = folder.grid
    request = grid.request
    about: dict[str, Any] = {
        "command": command,
        "recipes": {
            recipe.name: {"file": str(recipe.path), "commit": commit_of(recipe.path)}
            for recipe in grid.recipes
        },
        "over": {axis.name: list(axis.values) for axis in grid.axes},
        "folds": request.folds,
        "preset": request.preset,
        "config": dict(request.file),
        "set": list(request.settings),
        "seed": request.seed,
        "max_steps": request.max_steps,
        "max_time": request.max_time,
        "precision": request.precision,
        "runs": [place.name for place in folder.places],
        "nvn": {"version": version(), "commit": commit_of(Path(nvn.__file__))},
    }
    text = yaml.safe_dump(about, sort_keys=False, allow_unicode=True)
    atomic_write(folder.path / "sweep.yaml", text.encode())


def _markdown(table: Table) -> str:
    """Return a table in GitHub's Markdown."""
    rule = ["---"] * table.labels + ["---:"] * (len(table.header) - table.labels)
    lines = [
        "| " + " | ".join(map(_in_a_cell, row)) + " |" for row in (table.header, rule, *table.rows)
    ]
    return "\n".join([f"{table.title}:", "", *lines])


def _in_a_cell(text: str) -> str:
    """Return a text as one line without bars: a metric's name may be anything."""
    return " ".join(text.split()).replace("|", "\\|")


def _statistics(measured: Measured) -> Iterator[Sequence[object]]:
    """Yield the lines of table.csv: one per mean, also if no run of it has finished."""
    yield ("recipe", *measured.grid.rows, "evaluation", "metric", "mean", "sd", "n")
    for key in measured.keys:
        metrics = [m for m in measured.metrics if (key, m) in measured.statistics]
        for metric in metrics:
            x = measured.statistics[key, metric]
            yield (key.recipe, *key.row, *metric, x.mean, "" if x.sd is None else x.sd, x.n)
        if not metrics:
            yield (key.recipe, *key.row, "", "", "", "", 0)


def _runs(folder: SweepFolder, measured: Measured) -> Iterator[Sequence[object]]:
    """Yield the lines of cells.csv: one per run and metric, and one per run without metrics."""
    names = [axis.name for axis in measured.grid.axes]
    seed = [] if "seed" in names else ["seed"]
    yield ("recipe", *names, *seed, "outcome", "evaluation", "metric", "value", "folder")
    for cell, result, place in zip(
        measured.grid.cells, measured.results, folder.places, strict=True
    ):
        chosen = [as_text(value) for value in cell.chosen.values()]
        begin = (cell.recipe.name, *chosen, *([cell.seed] if seed else []), result.outcome)
        measurements: list[tuple[Metric | tuple[str, str], float | str]] = [*numbers(result)]
        for metric, value in measurements or [(("", ""), "")]:
            yield (*begin, *metric, value, place.name)


def _csv(lines: Iterable[Sequence[object]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue().encode()
