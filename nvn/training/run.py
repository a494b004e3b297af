"""What a training run leaves, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from nvn.engine.engine import Engine
from nvn.recipe.recipe import Recipe
from nvn.training.weights import State

__all__ = ["Outcome", "Run"]

Outcome: TypeAlias = Literal["finished", "interrupted", "out of time", "failed"]


@dataclass(frozen=True)
class Run:
    """What a training run leaves.

    Attributes:
        recipe: What was trained.
        folder: Where records, pictures and weights are.
        outcome: How it ended.
        engine: The game's engine, its modules as they are now.
        weights: Each player's weights: those of the modules, or, if an objective was no longer
            finite, the last good ones.
        steps: The steps done, by phase.
        metrics: The latest result of each evaluation.
        pictures: The latest picture of each preview.
        seconds: How long it took.
        error: What it failed with.

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
    >>> run.outcome, run.steps, sorted(path.name for path in run.folder.iterdir())
    ('finished', {'main': 100}, ['checkpoints', 'metrics.jsonl', 'plan.txt', 'run.yaml'])
    """

    recipe: Recipe
    folder: Path
    outcome: Outcome
    engine: Engine
    weights: Mapping[str, State]
    steps: Mapping[str, int]
    metrics: Mapping[str, Mapping[str, float]]
    pictures: Mapping[str, Path]
    seconds: float
    error: BaseException | None = None
