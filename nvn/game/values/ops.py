"""How a value comes about: what its `op` may be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nvn.game.game import Player


@dataclass(frozen=True)
class Batch:
    """A named tensor of the minibatch."""

    name: str


@dataclass(frozen=True)
class Noise:
    """Standard normal noise of shape (N, *shape), N the length of its argument."""

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Sample:
    """Seeded randomness: `fn(generator, batch)`."""

    name: str
    fn: Callable[..., Any]


@dataclass(frozen=True)
class Call:
    """A call of a player's module; `training=False` runs it in eval mode."""

    player: Player
    method: str
    training: bool


@dataclass(frozen=True)
class Apply:
    """A pure function of its arguments."""

    fn: Callable[..., Any]
    name: str


@dataclass(frozen=True)
class Item:
    """An element of a tree (or of a tensor)."""

    index: Any


@dataclass(frozen=True)
class StopGradient:
    """Its argument, as a constant."""


@dataclass(frozen=True)
class Gradient:
    """∂(sum of y)/∂x for its arguments (y, x), itself differentiable."""


Op = Batch | Noise | Sample | Call | Apply | Item | StopGradient | Gradient
