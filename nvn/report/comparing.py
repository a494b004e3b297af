"""Several runs beside one another: what they are called, in what they differ, which are repeats."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from statistics import mean, stdev
from typing import Any

from nvn.report.gather import RunShown

__all__ = ["as_dicts", "differing", "labels", "repeats", "shared_label", "summary", "value_of"]

_SEED = "seed"


def differing(runs: Sequence[RunShown]) -> list[str]:
    """Return the settings in which runs differ, the recipe among them."""
    names = dict.fromkeys(name for run in runs for name in run.settings)
    found = [name for name in names if len({run.settings.get(name) for run in runs}) > 1]
    recipe = ["recipe"] if len({run.recipe for run in runs}) > 1 else []
    return [*recipe, *found]


def labels(runs: Sequence[RunShown]) -> list[str]:
    """Return a name for each run, all different: by what they differ in, else by their folders."""
    names = differing(runs)
    if 0 < len(names) <= 3:
        found = [
            ", ".join(f"{name} {value_of(run, name) or '–'}" for name in names) for run in runs
        ]
        if len({*found}) == len(runs):
            return found
    folders = [run.folder.resolve() for run in runs]
    above = os.path.commonpath([folder.parent for folder in folders])
    return [folder.relative_to(above).as_posix() for folder in folders]


def repeats(runs: Sequence[RunShown]) -> list[list[int]]:
    """Return the places of the runs that differ in their seed alone, together."""
    found: dict[tuple[object, ...], list[int]] = {}
    for place, run in enumerate(runs):
        settings = sorted((n, x) for n, x in run.settings.items() if n != _SEED)
        found.setdefault((run.recipe, *settings), []).append(place)
    return [*found.values()]


def shared_label(names: Sequence[str]) -> str:
    """Return what names of runs have in common, of their parts.

    >>> shared_label(["lr 0.1, seed 0", "lr 0.1, seed 1"])
    'lr 0.1'
    """
    first, *rest = (name.split(", ") for name in names)
    return ", ".join(part for part in first if all(part in other for other in rest))


def value_of(run: RunShown, name: str) -> str:
    """Return a setting of a run, as text; "" if it has none of that name."""
    return run.recipe if name == "recipe" else run.settings.get(name, "")


def as_dicts(runs: Sequence[RunShown]) -> list[dict[str, Any]]:
    """Return runs as plain values: all settings, those that differ, and the results."""
    names = differing(runs)
    return [
        {
            "run": str(run.folder),
            "recipe": run.recipe,
            "outcome": run.outcome,
            "seconds": run.about.get("seconds"),
            "differing": {name: value_of(run, name) for name in names},
            "settings": dict(run.settings),
            # (JSON has neither NaN nor infinity.)
            "results": {
                "/".join(metric): x if math.isfinite(x) else None
                for metric, x in run.results.items()
            },
        }
        for run in runs
    ]


def summary(numbers: Sequence[float]) -> str:
    """Return numbers as a mean with its standard deviation; "–" of none.

    >>> summary([1.0, 2.0]), summary([0.5]), summary([]), summary([1.0, math.nan])
    ('1.5 ± 0.7071', '0.5', '–', 'not finite')
    """
    if not numbers:
        return "–"
    if not all(map(math.isfinite, numbers)):
        return "not finite"
    if len(numbers) == 1:
        return f"{numbers[0]:.4g}"
    return f"{mean(numbers):.4g} ± {stdev(numbers):.4g}"
