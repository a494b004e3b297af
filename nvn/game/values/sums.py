"""Weighted sums of energies, and the arithmetic that makes them."""

from __future__ import annotations

import numbers
from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn, TypeAlias, TypeGuard

from nvn.callsite import call_site
from nvn.errors import GameError, Problem
from nvn.game.values.weights import StepFunction, Symbol, Weight

if TYPE_CHECKING:
    from nvn.game.game import Game
    from nvn.game.values.value import Energy, Value

MOVES_NOBODY = "leave it out: a constant moves nobody"

Summand: TypeAlias = "Energy | WeightedSum | float"


@dataclass(frozen=True)
class Term:
    """A weight on an energy."""

    weight: Weight
    energy: Energy


@dataclass(frozen=True)
class WeightedSum:
    """Σ weight · energy: an objective, or a part of one. Each (energy, symbols) stands once."""

    terms: tuple[Term, ...] = ()

    __array_ufunc__ = None

    @property
    def energies(self) -> tuple[Energy, ...]:
        """The energies of the sum, each once."""
        return tuple(dict.fromkeys(term.energy for term in self.terms))

    def __add__(self, other: Summand) -> WeightedSum:
        if isinstance(other, numbers.Real):
            if other == 0:  # the start of Python's sum()
                return self
            found = f"the constant {other} is added to energies"
            where = str(call_site())
            raise GameError([Problem(where, found, "a sum of energies alone", MOVES_NOBODY)])
        if not isinstance(other, EnergyArithmetic | WeightedSum):
            return NotImplemented
        return WeightedSum(_merged((*self.terms, *as_sum(other).terms)))

    __radd__ = __add__

    def __sub__(self, other: Summand) -> WeightedSum:
        if not isinstance(other, EnergyArithmetic | WeightedSum):
            return NotImplemented
        return self + -as_sum(other)

    def __rsub__(self, other: Summand) -> WeightedSum:
        return -self + other

    def __neg__(self) -> WeightedSum:
        return self * -1.0

    def __mul__(self, weight: object) -> WeightedSum:
        return WeightedSum(
            tuple(Term(t.weight.scaled(_scale(weight)), t.energy) for t in self.terms)
        )

    __rmul__ = __mul__

    def __truediv__(self, number: object) -> WeightedSum:
        return WeightedSum(
            tuple(Term(t.weight.divided(_divisor(number)), t.energy) for t in self.terms)
        )

    def __bool__(self) -> bool:
        return bool(self.terms)

    def __str__(self) -> str:
        return " ".join(
            f"{'-' if term.weight.factor < 0 else '+'} {_term(term)}" for term in self.terms
        ).removeprefix("+ ")


class EnergyArithmetic:
    """What an energy does in arithmetic: it is a weighted sum of itself alone."""

    def __add__(self, other: Summand) -> WeightedSum:
        return as_sum(self) + other

    def __radd__(self, other: Summand) -> WeightedSum:
        return as_sum(self) + other

    def __sub__(self, other: Summand) -> WeightedSum:
        return as_sum(self) - other

    def __rsub__(self, other: Summand) -> WeightedSum:
        return -as_sum(self) + other

    def __neg__(self) -> WeightedSum:
        return -as_sum(self)

    def __mul__(self, weight: object) -> WeightedSum:
        return as_sum(self) * weight

    def __rmul__(self, weight: object) -> WeightedSum:
        return as_sum(self) * weight

    def __truediv__(self, number: object) -> WeightedSum:
        return as_sum(self) / number


class ValueArithmetic:
    """What a value does in arithmetic: it weighs energies, as a constant, and nothing else."""

    __array_ufunc__ = None  # numpy scalars leave multiplication to us

    game: Game

    def __mul__(self, other: object) -> WeightedSum:
        """Weigh an energy by this (scalar) value, as a constant."""
        if not isinstance(other, EnergyArithmetic | WeightedSum):
            self._refuse()
        return other * self

    def _refuse(self, *_: object) -> NoReturn:
        raise self.game.error(_no_arithmetic(self, "arithmetic with"))

    def _join(self, other: object) -> WeightedSum:
        """Leave this value out of a sum of energies, and note that it was no energy."""
        if not isinstance(other, EnergyArithmetic | WeightedSum):
            self._refuse()
        self.game.problems.append(_no_arithmetic(self, "a sum of energies and"))
        return as_sum(other)

    def _join_negative(self, other: object) -> WeightedSum:
        return -self._join(other)

    if not TYPE_CHECKING:  # type checkers refuse these by themselves
        __add__ = __radd__ = __rsub__ = _join
        __sub__ = _join_negative
        __rmul__ = __truediv__ = __rtruediv__ = _refuse
        __pow__ = __rpow__ = __matmul__ = __rmatmul__ = __neg__ = __abs__ = _refuse
        __lt__ = __le__ = __gt__ = __ge__ = _refuse


def as_sum(x: object) -> WeightedSum:
    """Return `x`, an energy or a weighted sum of energies, as a weighted sum.

    Raises:
        GameError: `x` is something else.
    """
    if isinstance(x, WeightedSum):
        return x
    if _is_energy(x):
        return WeightedSum((Term(Weight(), x),))
    found = f"a {type(x).__name__}"
    edit = "make an energy with nvn.energies, or with nvn.energy(fn)(…)"
    if _is_value(x):
        found = f"{x!r}, which is no energy"
        edit = f"`nvn.energy(fn)({x})` makes an energy of a value: a scalar that can be minimised"
    raise GameError([Problem(str(call_site()), found, "an energy, or a sum of energies", edit)])


def _merged(terms: tuple[Term, ...]) -> tuple[Term, ...]:
    """Add up the factors of terms that weigh the same energy by the same symbols."""
    merged: dict[Hashable, Term] = {}
    for term in terms:
        slot = (term.energy, frozenset(Counter(map(hashable, term.weight.symbols)).items()))
        before = merged[slot].weight.factor if slot in merged else 0.0
        merged[slot] = Term(Weight(before + term.weight.factor, term.weight.symbols), term.energy)
    return tuple(merged.values())


def hashable(x: object) -> Hashable:
    """Return something hashable that stands for `x`: `x`, or its identity."""
    try:
        hash(x)
    except TypeError:
        return ("id", id(x))
    return x


def _scale(x: object) -> float | Symbol:
    """Return what energies are multiplied by, if a weight may contain it."""
    if isinstance(x, numbers.Real) and not isinstance(x, bool):
        return _as_float(x)
    if isinstance(x, EnergyArithmetic | WeightedSum):
        edit = "write `a.stop_gradient() * b` to weigh `b` by the energy `a`"
        raise _bad_weight(f"the energy `{x}` as a weight", edit)
    if _is_value(x) or _is_step_function(x):
        return x
    raise _bad_weight(f"{x!r} as a weight", "write a float: `0.5 * energy`")


def _divisor(x: object) -> float:
    if isinstance(x, numbers.Real) and x != 0:
        return _as_float(x)
    raise _bad_weight(f"a division by {x!r}", "divide by a number that is not zero")


def _as_float(number: numbers.Real) -> float:
    try:
        return float(number)
    except OverflowError:
        raise _bad_weight("a weight beyond all floats", "write a smaller number") from None


def _no_arithmetic(value: ValueArithmetic, what: str) -> Problem:
    return Problem(
        str(call_site()),
        f"{what} `{value}`, which is no energy: it is declared, not computed",
        "sums of energies, each times a number, a function of the step, or a scalar value",
        f"compute with it in a function of tensors, `nvn.value(fn)({value})`, or make it an energy "
        f"to minimise, `nvn.energy(fn)({value})`",
    )


def _is_value(x: object) -> TypeGuard[Value]:
    return isinstance(x, ValueArithmetic)


def _is_energy(x: object) -> TypeGuard[Energy]:
    return isinstance(x, EnergyArithmetic)


def _is_step_function(x: object) -> TypeGuard[StepFunction]:
    # Players and modules are callable too, but nobody means them as weights.
    return callable(x) and not hasattr(x, "objective") and not hasattr(x, "parameters")


def _bad_weight(found: str, edit: str) -> GameError:
    expected = "a number, a function of the step, or a scalar value of the game"
    return GameError([Problem(str(call_site()), found, expected, edit)])


def _term(term: Term) -> str:
    weight = Weight(abs(term.weight.factor), term.weight.symbols)
    return str(term.energy) if weight == Weight() else f"{weight} {term.energy}"
