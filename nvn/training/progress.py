"""How far a run has come, beside the state of its engines: saved, and gone on from."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nvn.recipe.goal import Goal

__all__ = ["Best", "Progress"]


@dataclass
class Best:
    """The best value so far of a metric.

    Attributes:
        value: The value; None before the first.
        step: The step of the game at which it was.
        waited: How many evaluations have come since.

    >>> best = Best()
    >>> [best.see(value, step, Goal("judge", "accuracy")) for step, value in enumerate([0.5, 0.4])]
    [True, False]
    >>> best
    Best(value=0.5, step=0, waited=1)
    """

    value: float | None = None
    step: int = 0
    waited: int = 0

    def see(self, value: float, step: int, goal: Goal) -> bool:
        """Take a value, and return whether it is the best so far."""
        improved = not math.isnan(value) and (self.value is None or goal.better(value, self.value))
        if improved:
            self.value, self.step, self.waited = value, step, 0
        else:
            self.waited += 1
        return improved


@dataclass
class Progress:
    """How far a run has come.

    Attributes:
        metrics: The latest metrics of each evaluation.
        pictures: The file of each preview's latest picture, in the run's folder.
        looked: The step of the game at which each evaluation and preview was last run.
        best: The best so far of each metric that is watched, by `str(goal)`.
        ended: Why the game ended before all its steps were done; "" if it did not.
        rollbacks: How often the run has gone back because something was not finite.
        seconds: How long the run's parts took, up to the present one.
        written: The bytes of metrics.jsonl.

    >>> Progress.of_state(Progress(written=10).state_dict())  # doctest: +NORMALIZE_WHITESPACE
    Progress(metrics={}, pictures={}, looked={}, best={}, ended='', rollbacks=0,
             seconds=0.0, written=10)
    """

    metrics: dict[str, dict[str, float]] = field(default_factory=dict)
    pictures: dict[str, str] = field(default_factory=dict)
    looked: dict[str, int] = field(default_factory=dict)
    best: dict[str, Best] = field(default_factory=dict)
    ended: str = ""
    rollbacks: int = 0
    seconds: float = 0.0
    written: int = 0

    def go_on(self) -> None:
        """Let the game go on for more steps: patience begins anew."""
        self.ended = ""
        for best in self.best.values():
            best.waited = 0

    def state_dict(self) -> dict[str, Any]:
        """Return all of it as plain values."""
        return dataclasses.asdict(self)

    @staticmethod
    def of_state(state: Mapping[str, Any]) -> Progress:
        """Return the progress whose `state_dict` this is."""
        best = {goal: Best(**found) for goal, found in state["best"].items()}
        return Progress(**{**state, "best": best})
