"""Values as they are declared, and energies among them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

from nvn import pytree
from nvn.callsite import Where, caller
from nvn.errors import GameError, Problem
from nvn.game.values.expressions import expression
from nvn.game.values.ops import Item, Op, StopGradient
from nvn.game.values.sums import EnergyArithmetic, ValueArithmetic

if TYPE_CHECKING:
    from nvn.game.game import Game


class Value(ValueArithmetic):
    """A value of a game. Made by `game.batch`, by calling a player, by `nvn.value(fn)(…)`.

    Values are compared by identity; since equal calls are interned, that is equality.
    """

    def __init__(
        self,
        game: Game,
        index: int,
        op: Op,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        where: Where,
    ) -> None:
        self.game = game
        self.index = index  # position in the declaration, which is a topological order
        self.op = op
        self.args = args
        self.kwargs = kwargs
        self.where = where

    @cached_property
    def inputs(self) -> tuple[Value, ...]:
        """The values that this one is computed from, each once, in the order written."""
        found = (v for v in pytree.leaves((self.args, dict(self.kwargs))) if isinstance(v, Value))
        return tuple(dict.fromkeys(found))

    def stop_gradient(self) -> Value:
        """Return this value as a constant: no gradient flows back through it."""
        return self.game.node(StopGradient(), (self,))

    def named(self, name: str) -> Value:
        """Give this value a name for errors, plans and (if an energy) records; return it."""
        self.game.name_value(self, name)
        return self

    def __getitem__(self, index: Any) -> Value:
        return self.game.node(Item(_constant_index(index)), (self,))

    def __iter__(self) -> NoReturn:
        raise TypeError(f"a value cannot be unpacked; write v[0], v[1], … for the parts of {self}")

    def __bool__(self) -> NoReturn:
        raise TypeError(f"{self} has no truth value: it is declared, not computed")

    def __str__(self) -> str:
        return expression(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {expression(self)}>"


class Energy(EnergyArithmetic, Value):
    """A scalar value that players minimise or maximise, each with its own weight and sign."""

    def named(self, name: str) -> Energy:
        """Give this energy the name it has in records; return it."""
        self.game.name_value(self, name)
        return self


def _constant_index(index: Any) -> Any:
    entries = index if isinstance(index, tuple) else (index,)
    parts = [(e.start, e.stop, e.step) if isinstance(e, slice) else (e,) for e in entries]
    if any(isinstance(part, Value) for group in parts for part in group):
        edit = "write nvn.value(operator.getitem)(x, index) to index by a value"
        raise GameError([Problem(str(caller()), "a value as an index", "a constant", edit)])
    return index
