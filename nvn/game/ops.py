"""How a value comes about: the operations of the loss graph, and how each is written.

An operation is pure data. It knows two spellings of itself: `notation`, for people, and
`signature`, which random streams are keyed by.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

LONGEST = 160  # characters of an expression; beyond that its arguments are left out


class Op(ABC):
    """What a node of the loss graph computes from its arguments."""

    @abstractmethod
    def notation(self, arguments: Sequence[str]) -> str:
        """Return the operation on written `arguments` as a person would write it."""

    def signature(self) -> str:
        """Return what tells this operation from others, apart from its arguments.

        Random streams are keyed by it (graph.fingerprints): it must never change.
        """
        return f"{type(self).__name__}({self._detail()})"

    def _detail(self) -> str:
        return ""


@dataclass(frozen=True)
class Source(Op):
    """What the batch gives, and what is drawn: it has a name of its own.

    Noise and samples may have arguments, for their shape; these are not written.
    """

    name: str

    def notation(self, arguments: Sequence[str]) -> str:
        """Return the name."""
        return self.name

    def _detail(self) -> str:
        return self.name


@dataclass(frozen=True)
class Batch(Source):
    """A named tensor of the minibatch."""


@dataclass(frozen=True)
class Noise(Source):
    """Standard normal noise of shape (N, *shape), N the length of its argument."""

    shape: tuple[int, ...]


@dataclass(frozen=True)
class Sample(Source):
    """Seeded randomness: `fn(generator, batch)`."""

    fn: Callable[..., Any]


@dataclass(frozen=True)
class Call(Op):
    """A call of a player's module.

    Attributes:
        player: The player's name.
        method: The method called: "forward" for the module itself.
        training: Whether it runs in training mode, else in eval mode.
        frozen: Whether the player's parameters are constants.
    """

    player: str
    method: str
    training: bool
    frozen: bool = False

    def notation(self, arguments: Sequence[str]) -> str:
        """Return `G(x)`; `G.encode(x)` for another method; `G.eval(x)` where eval mode is news."""
        head = self.player if self.method == "forward" else f"{self.player}.{self.method}"
        head += "" if self.training or self.frozen else ".eval"
        return _called(head, arguments)

    def _detail(self) -> str:
        return f"{self.player}.{self.method}, {self.training}"


@dataclass(frozen=True)
class Apply(Op):
    """A pure function of its arguments.

    Attributes:
        fn: The function.
        name: Its name, for people.
        saturating: Whether its gradient vanishes where it is large: maximizing it is warned of.
    """

    fn: Callable[..., Any]
    name: str
    saturating: bool = False

    def notation(self, arguments: Sequence[str]) -> str:
        """Return `name(x)`."""
        return _called(self.name, arguments)

    def _detail(self) -> str:
        return self.name


@dataclass(frozen=True)
class Item(Op):
    """An element of a tree (or of a tensor)."""

    index: Any

    def notation(self, arguments: Sequence[str]) -> str:
        """Return `x[index]`."""
        return f"{arguments[0]}[{_index(self.index)}]"

    def _detail(self) -> str:
        return repr(self.index)


@dataclass(frozen=True)
class StopGradient(Op):
    """Its argument, as a constant."""

    def notation(self, arguments: Sequence[str]) -> str:
        """Return `stop_gradient(x)`."""
        return _called("stop_gradient", arguments)


@dataclass(frozen=True)
class Gradient(Op):
    """∂(sum of y)/∂x for its arguments (y, x), itself differentiable."""

    def notation(self, arguments: Sequence[str]) -> str:
        """Return `gradient(y, x)`."""
        return _called("gradient", arguments)


def _called(head: str, arguments: Sequence[str]) -> str:
    inside = ", ".join(arguments)
    # A value used twice is written twice: in full, expressions would grow exponentially in depth.
    return f"{head}({inside})" if len(head) + len(inside) < LONGEST else f"{head}(…)"


def _index(index: Any) -> str:
    """Write an index as Python does: `0:2`, not slice(0, 2, None)."""
    if isinstance(index, slice):
        ends = ["" if end is None else repr(end) for end in (index.start, index.stop)]
        return ":".join(ends if index.step is None else [*ends, repr(index.step)])
    if isinstance(index, tuple) and index:
        return ", ".join(map(_index, index))
    return "..." if index is Ellipsis else repr(index)
