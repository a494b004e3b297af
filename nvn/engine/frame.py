"""What one iteration works with, whoever plays it: the planned way or the plain one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

from torch import Tensor

from nvn.game.schedule import Fresh, Move
from nvn.records import Scalar

Gradients: TypeAlias = list[Tensor | None]


class Point(NamedTuple):
    """The versions of everything that values depend on; seeds are made of them.

    Attributes:
        seed: The run's seed.
        step: The iteration, from 0: what weights are functions of.
        batches: How many batches have been taken.
        draws: How often samples have been drawn.
        steps: How many steps each player has taken.
    """

    seed: int
    step: int
    batches: int
    draws: int
    steps: Mapping[str, int]


def _nothing_to_take(fresh: Fresh) -> tuple[Point, Mapping[str, Any]]:
    raise AssertionError("nothing is taken where nobody moves")


def _nobody_steps(player: str, move: Move, gradients: Gradients) -> None:
    raise AssertionError("nobody steps where nobody moves")


@dataclass(slots=True)
class Frame:
    """What an iteration works with.

    Attributes:
        point: The versions, as they are now.
        take: Takes a new batch, or new draws.
        step: Steps a player along its gradient.
        batch: The batch, once one has been taken.
        slots: What the slots of a program hold.
        gradients: Each mover's gradient, until it has stepped.
        energies: What has been reported, by name.
        objectives: The same of the movers' objectives.
    """

    point: Point
    take: Callable[[Fresh], tuple[Point, Mapping[str, Any]]] = _nothing_to_take
    step: Callable[[str, Move, Gradients], None] = _nobody_steps
    batch: Mapping[str, Any] = field(default_factory=dict)
    slots: list[Any] = field(default_factory=list)
    gradients: dict[str, Gradients] = field(default_factory=dict)
    energies: dict[str, Scalar] = field(default_factory=dict)
    objectives: dict[str, Scalar] = field(default_factory=dict)


Bound: TypeAlias = Callable[[Frame], None]
