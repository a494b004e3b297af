"""Weights on energies: a number, times functions of the step, times scalar values."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from nvn.game.values.value import Value

StepFunction = Callable[[int], float]
# What a weight may contain besides a number. Of the two, functions alone can be called.
Symbol: TypeAlias = "Value | StepFunction"


@dataclass(frozen=True)
class Weight:
    """`factor` times the product of `symbols`: functions of the step, and scalar values."""

    factor: float = 1.0
    symbols: tuple[Symbol, ...] = ()

    @property
    def values(self) -> tuple[Value, ...]:
        """The scalar values of the graph that this weight reads (never differentiates)."""
        return tuple(s for s in self.symbols if not callable(s))

    def known_at(self, step: int) -> float:
        """Return the part of the weight that is known before anything is computed."""
        schedules = (s for s in self.symbols if callable(s))
        try:
            return math.prod((float(fn(step)) for fn in schedules), start=self.factor)
        except Exception as error:
            error.add_note(f"while computing the weight {self} of iteration {step}")
            raise

    def scaled(self, by: float | Symbol) -> Weight:
        """Return this weight times a number, a function of the step or a scalar value."""
        if isinstance(by, float):
            return Weight(self.factor * by, self.symbols)
        return Weight(self.factor, (*self.symbols, by))

    def divided(self, number: float) -> Weight:
        """Return this weight divided by a number: not times its reciprocal, which is rounded."""
        return Weight(self.factor / number, self.symbols)

    def __str__(self) -> str:
        names = [_symbol_name(symbol) for symbol in self.symbols]
        if self.factor == 1.0 and names:
            return "·".join(names)
        return "·".join([f"{self.factor:g}", *names])


def _symbol_name(symbol: Symbol) -> str:
    if callable(symbol):
        return f"{getattr(symbol, '__name__', type(symbol).__name__)}(step)"
    return f"[{symbol}]"
