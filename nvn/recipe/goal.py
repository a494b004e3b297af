"""A metric that is to get better: what a run stops by, and keeps its best checkpoint by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from nvn.errors import ConfigError

__all__ = ["EarlyStopping", "Goal"]


@dataclass(frozen=True)
class Goal:
    """A metric of an evaluation, and which way it is to go.

    Attributes:
        evaluation: The evaluation's name.
        metric: The metric's name.
        mode: Whether lower ("min") or higher ("max") is better.

    >>> Goal.parse("judge/accuracy")
    Goal(evaluation='judge', metric='accuracy', mode='max')
    >>> str(Goal.parse("repair/loss:min"))
    'repair/loss:min'
    """

    evaluation: str
    metric: str
    mode: Literal["min", "max"] = "max"

    @staticmethod
    def parse(text: str) -> Goal:
        """Read EVALUATION/METRIC[:min|max].

        Raises:
            ConfigError: It is something else.
        """
        place, colon, mode = text.rpartition(":")
        if not colon or mode not in ("min", "max"):
            place, mode = text, "max"
        evaluation, slash, metric = place.partition("/")
        if not (evaluation and slash and metric):
            raise ConfigError(
                f"{text}: expected EVALUATION/METRIC, or EVALUATION/METRIC:min where lower is "
                "better, e.g. judge/accuracy"
            )
        return Goal(evaluation, metric, "min" if mode == "min" else "max")

    def of(self, evaluation: str, metrics: Mapping[str, float]) -> float | None:
        """Return the metric's value, if these metrics are of its evaluation.

        Raises:
            ConfigError: They are, and it is not among them.
        """
        if evaluation != self.evaluation:
            return None
        if self.metric not in metrics:
            known = ", ".join(metrics) or "none"
            raise ConfigError(
                f"{self}: evaluation {evaluation!r} has no metric {self.metric!r}; it has: {known}"
            )
        return metrics[self.metric]

    def better(self, value: float, than: float) -> bool:
        """Whether a value is better than an earlier one; NaN never is."""
        return value < than if self.mode == "min" else value > than

    def __str__(self) -> str:
        return f"{self.evaluation}/{self.metric}:{self.mode}"


@dataclass(frozen=True)
class EarlyStopping:
    """End the game when a metric of an evaluation has stopped to improve.

    Attributes:
        metric: EVALUATION/METRIC, where higher is better, or EVALUATION/METRIC:min.
        patience: How many evaluations without a better value are borne.

    >>> EarlyStopping("judge/loss:min", patience=5).goal.mode
    'min'
    """

    metric: str
    patience: int

    @property
    def goal(self) -> Goal:
        """The metric, read."""
        return Goal.parse(self.metric)
