"""When a run saves its state, what it keeps, and what happens where it cannot."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from nvn.errors import ConfigError
from nvn.recipe.goal import Goal
from nvn.training.stopping import read_duration

__all__ = ["Saving", "read_interval"]

OnFailure = Literal["continue", "stop"]


@dataclass(frozen=True)
class Saving:
    """When a run saves its state, what it keeps, and what happens where it cannot.

    Without an interval it saves so often that this takes less than 2 % of its time, and every 20
    seconds at most; besides, at the end of each phase, and when a signal ends it.

    Attributes:
        steps: The interval in steps of a phase, if it is to be one of steps.
        seconds: The interval in seconds, if it is to be one of time.
        keep_every: Checkpoints of the game at multiples of this many steps are kept.
        best: The metric whose best checkpoint is kept: EVALUATION/METRIC, or with ":min".
        on_failure: Whether the run goes on where something cannot be written.

    Raises:
        ConfigError: Naming what is invalid.

    >>> Saving(seconds=300.0, best="judge/accuracy").goal
    Goal(evaluation='judge', metric='accuracy', mode='max')
    """

    steps: int | None = None
    seconds: float | None = None
    keep_every: int | None = None
    best: str | None = None
    on_failure: OnFailure = "continue"

    def __post_init__(self) -> None:
        if self.steps is not None and self.seconds is not None:
            raise ConfigError("saving: expected an interval in steps or in seconds, found both")
        for name in ("steps", "seconds", "keep_every"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ConfigError(f"saving: {name} = {value}: expected more than zero")
        if self.on_failure not in ("continue", "stop"):
            raise ConfigError(f"saving: on_failure = {self.on_failure}: expected continue or stop")
        _ = self.goal  # raises

    @property
    def goal(self) -> Goal | None:
        """The metric whose best checkpoint is kept."""
        return None if self.best is None else Goal.parse(self.best)


def read_interval(text: str) -> Saving:
    """Parse an interval: a number of steps, or a duration with its unit.

    >>> read_interval("500").steps, read_interval("5m").seconds
    (500, 300.0)
    """
    if re.fullmatch(r"\d+", text):
        return Saving(steps=int(text))
    return Saving(seconds=read_duration(text, "--save-every"))
