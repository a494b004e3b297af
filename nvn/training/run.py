"""The result of a training run, and its outcome."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from nvn.engine.engine import Engine
from nvn.recipe.recipe import Recipe
from nvn.training.weights import State

__all__ = ["Outcome", "Run"]

Outcome: TypeAlias = Literal["finished", "interrupted", "preempted", "out of time", "failed"]


@dataclass(frozen=True)
class Run:
    """A training run that has ended.

    Attributes:
        recipe: The recipe.
        folder: The folder of its records, pictures and weights.
        outcome: How it ended.
        engine: The game's engine, with the trained modules.
        weights: Each player's weights: those of the modules, or, if an objective was not finite,
            the last finite ones.
        steps: The number of steps, by phase.
        metrics: The latest metrics of each evaluation.
        pictures: The file of the latest picture of each preview.
        best: The best value, and its step, of each metric that is watched.
        seconds: Its duration, in seconds.
        error: The error that ended it, if it failed.

    >>> from functools import partial
    >>> import nvn, torch
    >>> from nvn import energies as en
    >>> game = nvn.Game("line")
    >>> x, y = game.batch("x", "y")
    >>> f = game.player("f", torch.nn.Linear(1, 1))
    >>> f.minimizes(en.mse(f(x), y))
    >>> recipe = nvn.Recipe(
    ...     name="line",
    ...     game=game,
    ...     schedule=nvn.alternating(f),
    ...     optimizers=partial(torch.optim.SGD, lr=0.1),
    ...     data=[{"x": torch.tensor([[-1.0], [1.0]]), "y": torch.tensor([[-2.0], [2.0]])}],
    ...     steps=100,
    ... )

    >>> run = nvn.train(recipe, out="run of a line")
    >>> run.outcome, run.steps, (run.folder / "report.html").is_file()
    ('finished', {'main': 100}, True)
    """

    recipe: Recipe
    folder: Path
    outcome: Outcome
    engine: Engine
    weights: Mapping[str, State]
    steps: Mapping[str, int]
    metrics: Mapping[str, Mapping[str, float]]
    pictures: Mapping[str, Path]
    best: Mapping[str, Mapping[str, float]]
    seconds: float
    error: BaseException | None = None
