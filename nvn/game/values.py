"""Values: what a game computes, declared before any tensor exists; and all their arithmetic.

A value is a node of the loss graph. Its `op` says how it comes about; its arguments may be trees
of other values and constants. Values are interned by the table of their game: the same call is the
same value.

    Value         a node; scalar ones may weigh energies, as constants
    Energy        a scalar value to minimize or maximize
    Weight        a number, times functions of the step, times scalar values
    WeightedSum   Σ weight · energy: what arithmetic with energies makes; an objective
    ValueTable    every value of a game, once; their names; what was noted while declaring
"""

from __future__ import annotations

import math
import numbers
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias, TypeGuard

from nvn import pytree
from nvn.callsite import CallSite, call_site
from nvn.errors import GameError, Problem
from nvn.game.habits import (
    NotThatKindError,
    NotThereError,
    asked_of_sum,
    asked_of_value,
    given_to_torch,
    taken_as_number,
)
from nvn.game.ops import Item, Op, StopGradient

StepFunction = Callable[[int], float]
# What a weight may contain besides a number. Of the two, functions alone can be called.
Symbol: TypeAlias = "Value | StepFunction"
Summand: TypeAlias = "Energy | WeightedSum | float"


class Declared:
    """What belongs to one game: its values and its players.

    Attributes:
        table: The table of that game.
        where: The line of the user's code that declared it.
    """

    table: ValueTable
    where: CallSite

    @classmethod
    def __torch_function__(
        cls,
        function: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> NoReturn:
        given = tuple(pytree.leaves((args, dict(kwargs or {}))))
        raise NotThatKindError(given_to_torch(function, given))


class Value(Declared):
    """A value of a game. Made by `game.batch`, by calling a player, by `nvn.value(fn)(…)`.

    Values are compared by identity; since equal calls are interned, that is equality.

    In arithmetic, a (scalar) value weighs energies, as a constant, and nothing else: other
    arithmetic belongs in a function of tensors, `nvn.value(fn)(…)`.

    Raises:
        GameError: In arithmetic other than with an energy.

    >>> import nvn, torch
    >>> game = nvn.Game("gan")
    >>> z = game.batch("z")
    >>> G = game.player("G", torch.nn.Linear(8, 3))
    >>> G(z) is G(z)
    True
    >>> G(z)["features"].named("code")
    <Value code>
    >>> print(G(z).stop_gradient())
    stop_gradient(G(z))
    """

    __array_ufunc__ = None  # numpy scalars leave multiplication to us

    def __init__(
        self,
        table: ValueTable,
        index: int,
        op: Op,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        where: CallSite,
    ) -> None:
        self.table = table
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

    @property
    def name(self) -> str | None:
        """The name given with `.named`, if one was given."""
        return self.table.names.get(self)

    def stop_gradient(self) -> Value:
        """Return this value as a constant: no gradient flows back through it."""
        return self.table.node(StopGradient(), (self,))

    def named(self, name: str) -> Value:
        """Give this value a name for errors, plans and (if an energy) records; return it."""
        self.table.name_value(self, name)
        return self

    def __getitem__(self, index: Any) -> Value:
        return self.table.node(Item(_constant_index(index)), (self,))

    def __iter__(self) -> NoReturn:
        edit = f"write v[0], v[1], … for the parts of {self}"
        raise self._no("cannot be unpacked, nor stepped through", edit)

    def __bool__(self) -> NoReturn:
        raise self._no("has no truth value")

    def __contains__(self, _: object) -> NoReturn:
        raise self._no("contains nothing")

    def __len__(self) -> NoReturn:
        raise self._no("has no length")

    def __float__(self) -> NoReturn:
        raise self._no("is no number")

    __int__ = __complex__ = __round__ = __float__

    def __array__(self, *_: object, **__: object) -> NoReturn:
        raise self._no("is no array")

    def _no(self, what: str, edit: str = "") -> GameError:
        return self.table.error(taken_as_number(what, str(self), edit), NotThatKindError)

    def __mul__(self, other: object) -> WeightedSum:
        """Weigh an energy by this (scalar) value, as a constant."""
        if not isinstance(other, Energy | WeightedSum):
            self._refuse()
        return other * self

    def _refuse(self, *_: object) -> NoReturn:
        raise self.table.error(_no_arithmetic(self, "arithmetic with"))

    def _join(self, other: object) -> WeightedSum:
        """Leave this value out of a sum of energies, and note that it was no energy."""
        if not isinstance(other, Energy | WeightedSum):
            self._refuse()
        self.table.notes.problems.append(_no_arithmetic(self, "a sum of energies and"))
        return as_sum(other)

    def _join_negative(self, other: object) -> WeightedSum:
        return -self._join(other)

    if not TYPE_CHECKING:  # type checkers refuse these by themselves

        def __getattr__(self, name: str) -> NoReturn:
            if "table" in self.__dict__:  # not while it is copied or unpickled
                problem = asked_of_value(name, str(self))
                if problem is not None:
                    raise self.table.error(problem, NotThereError)
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

        __add__ = __radd__ = __rsub__ = _join
        __sub__ = _join_negative
        __rmul__ = __truediv__ = __rtruediv__ = _refuse
        __pow__ = __rpow__ = __matmul__ = __rmatmul__ = __neg__ = __abs__ = _refuse
        __lt__ = __le__ = __gt__ = __ge__ = _refuse

    def __str__(self) -> str:
        return expression(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {expression(self)}>"


class Energy(Value):
    """A scalar value that players minimize or maximize, each with its own weight and sign.

    In arithmetic it is a weighted sum of itself alone.

    >>> import nvn, torch
    >>> game = nvn.Game("gan")
    >>> D = game.player("D", torch.nn.Linear(3, 1))
    >>> real = nvn.energy(torch.mean, name="mean")(D(game.batch("x"))).named("real")
    >>> print(2 * real - real / 2)
    1.5 real
    """

    def named(self, name: str) -> Energy:
        """Give this energy the name it has in records; return it."""
        self.table.name_value(self, name)
        return self

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


# --- weights and sums ---------------------------------------------------------------------------


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


@dataclass(frozen=True)
class Term:
    """A weight on an energy."""

    weight: Weight
    energy: Energy

    def __str__(self) -> str:
        return str(self.energy) if self.weight == Weight() else f"{self.weight} {self.energy}"


@dataclass(frozen=True)
class WeightedSum:
    """Σ weight · energy: an objective, or a part of one. Each (energy, symbols) stands once.

    Arithmetic with energies makes it. Weights are numbers, functions of the step, and scalar
    values, which are taken as constants.

    Raises:
        GameError: In arithmetic with anything else; when a constant is added, which has no
            gradient.

    >>> import nvn, torch
    >>> def rise(step):
    ...     return min(1.0, step / 1000)
    >>> game = nvn.Game("gan")
    >>> D = game.player("D", torch.nn.Linear(3, 1))
    >>> x, y = game.batch("x", "y")
    >>> mean = nvn.energy(torch.mean, name="mean")
    >>> objective = mean(D(x)) + 0.5 * mean(D(y)) - rise * mean(D(x))
    >>> print(objective)
    mean(D(x)) + 0.5 mean(D(y)) - rise(step) mean(D(x))
    >>> objective.energies == (mean(D(x)), mean(D(y)))
    True
    """

    terms: tuple[Term, ...] = ()

    __array_ufunc__ = None  # numpy scalars leave multiplication to us

    __torch_function__ = Declared.__torch_function__

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> NoReturn:
            problem = asked_of_sum(name, str(self)) if "terms" in self.__dict__ else None
            if problem is not None:
                raise NotThereError(problem)
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __float__(self) -> NoReturn:
        problem = asked_of_sum("item", str(self))
        assert problem is not None
        raise NotThatKindError(problem)

    @property
    def energies(self) -> tuple[Energy, ...]:
        """The energies of the sum, each once."""
        return tuple(dict.fromkeys(term.energy for term in self.terms))

    def __add__(self, other: Summand) -> WeightedSum:
        if isinstance(other, numbers.Real):
            if other == 0:  # the start of Python's sum()
                return self
            found = f"the constant {other} is added to energies"
            edit = "leave it out: a constant has no gradient"
            raise GameError([Problem(str(call_site()), found, "a sum of energies alone", edit)])
        if not isinstance(other, Energy | WeightedSum):
            return NotImplemented
        return WeightedSum(_merged((*self.terms, *as_sum(other).terms)))

    __radd__ = __add__

    def __sub__(self, other: Summand) -> WeightedSum:
        if not isinstance(other, Energy | WeightedSum):
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
        signed = (
            f"{'-' if t.weight.factor < 0 else '+'} "
            f"{Term(Weight(abs(t.weight.factor), t.weight.symbols), t.energy)}"
            for t in self.terms
        )
        return " ".join(signed).removeprefix("+ ")


def as_sum(x: object) -> WeightedSum:
    """Return `x`, an energy or a weighted sum of energies, as a weighted sum.

    Raises:
        GameError: `x` is something else.
    """
    if isinstance(x, WeightedSum):
        return x
    if isinstance(x, Energy):
        return WeightedSum((Term(Weight(), x),))
    found = f"a {type(x).__name__}"
    edit = "make an energy with nvn.energies, or with nvn.energy(fn)(…)"
    if isinstance(x, Value):
        found = f"{x!r}, which is no energy"
        edit = f"`nvn.energy(fn)({x})` makes an energy of a value: a scalar that can be minimized"
    raise GameError([Problem(str(call_site()), found, "an energy, or a sum of energies", edit)])


def _merged(terms: tuple[Term, ...]) -> tuple[Term, ...]:
    """Add up the factors of terms that weigh the same energy by the same symbols."""
    merged: dict[Hashable, Term] = {}
    for term in terms:
        slot = (term.energy, frozenset(Counter(map(hashable, term.weight.symbols)).items()))
        before = merged[slot].weight.factor if slot in merged else 0.0
        merged[slot] = Term(Weight(before + term.weight.factor, term.weight.symbols), term.energy)
    return tuple(merged.values())


def _scale(x: object) -> float | Symbol:
    """Return what energies are multiplied by, if a weight may contain it."""
    if isinstance(x, numbers.Real) and not isinstance(x, bool):
        return _as_float(x)
    if isinstance(x, Energy | WeightedSum):
        edit = "write `a.stop_gradient() * b` to weigh `b` by the energy `a`"
        raise _bad_weight(f"the energy `{x}` as a weight", edit)
    if isinstance(x, Value) or _is_step_function(x):
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


def _is_step_function(x: object) -> TypeGuard[StepFunction]:
    # Players and modules are callable too, but nobody means them as weights.
    return callable(x) and not isinstance(x, Declared) and not hasattr(x, "parameters")


def _bad_weight(found: str, edit: str) -> GameError:
    expected = "a number, a function of the step, or a scalar value of the game"
    return GameError([Problem(str(call_site()), found, expected, edit)])


def _no_arithmetic(value: Value, what: str) -> Problem:
    return Problem(
        str(call_site()),
        f"{what} `{value}`, which is no energy: it is declared, not computed",
        "sums of energies, each times a number, a function of the step, or a scalar value",
        f"compute with it in a function of tensors, `nvn.value(fn)({value})`, or make it an energy "
        f"to minimize, `nvn.energy(fn)({value})`",
    )


def _constant_index(index: Any) -> Any:
    entries = index if isinstance(index, tuple) else (index,)
    parts = [(e.start, e.stop, e.step) if isinstance(e, slice) else (e,) for e in entries]
    if any(isinstance(part, Value) for group in parts for part in group):
        edit = "write nvn.value(operator.getitem)(x, index) to index by a value"
        raise GameError([Problem(str(call_site()), "a value as an index", "a constant", edit)])
    return index


def _symbol_name(symbol: Symbol) -> str:
    if callable(symbol):
        return f"{getattr(symbol, '__name__', type(symbol).__name__)}(step)"
    return f"[{symbol}]"


# --- the table ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Maximized:
    """That a player was told to maximize an energy."""

    player: str
    energy: Energy
    where: CallSite


@dataclass
class Notes:
    """What shows while a game is declared; the checks tell it, all at once (nvn/checks).

    Attributes:
        problems: What is wrong, in the order declared.
        maximized: What `maximizes` was called with, energy by energy.
        invalid_objectives: The names of the players that were told to minimize what is no energy.
    """

    problems: list[Problem] = field(default_factory=list)
    maximized: list[Maximized] = field(default_factory=list)
    invalid_objectives: set[str] = field(default_factory=set)


class ValueTable:
    """Every value of a game, once, and the names given to them.

    Attributes:
        game: The game's name.
        names: The names given with `.named`.
        notes: What shows while declaring.
    """

    def __init__(self, game: str) -> None:
        self.game = game
        self.names: dict[Value, str] = {}
        self.notes = Notes()
        self._nodes: dict[Hashable, Value] = {}

    def node(
        self,
        op: Op,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any] | None = None,
        kind: type[Value] = Value,
    ) -> Value:
        """Return the value of `op` on these arguments: the same one for the same arguments."""
        # Copies: a list that the caller goes on changing must not change the graph.
        args, kwargs = pytree.map_leaves(lambda leaf: leaf, (args, dict(kwargs or {})))
        key = (kind, _op_key(op), pytree.key((args, dict(sorted(kwargs.items()))), _leaf_key))
        if key not in self._nodes:
            inputs = [v.index for v in pytree.leaves((args, kwargs)) if isinstance(v, Value)]
            # Above every input's index, also those that (by mistake) come from another game.
            index = max([len(self._nodes), *(i + 1 for i in inputs)])
            self._nodes[key] = kind(self, index, op, args, kwargs, call_site())
        return self._nodes[key]

    def __iter__(self) -> Iterator[Value]:
        return iter(self._nodes.values())

    def name_value(self, value: Value, name: str) -> None:
        """Name a value (what `value.named(name)` does)."""
        if any(n == name for v, n in self.names.items() if v is not value):
            self.note_taken("value", name)
        if self.names.setdefault(value, name) != name:
            found = f"{name!r} for the value already named {self.names[value]!r}"
            edit = "name it once: the same call is the same value"
            self.note(Problem(str(call_site()), found, "one name a value", edit))

    def note(self, problem: Problem) -> None:
        """Note a problem with which the declaration can go on."""
        self.notes.problems.append(problem)

    def note_taken(self, kind: str, name: str) -> None:
        """Note that a name is used twice."""
        found = f"a second {kind} named {name!r}"
        edit = "rename one of the two"
        self.note(Problem(str(call_site()), found, "every name used once", edit))

    def error(self, problem: Problem, kind: type[GameError] = GameError) -> GameError:
        """Return the error of a declaration that can't go on: it tells what was noted, too."""
        return kind([*self.notes.problems, problem], self.game)


def hashable(x: object) -> Hashable:
    """Return something hashable that stands for `x`: `x`, or its identity."""
    try:
        hash(x)
    except TypeError:
        return ("id", id(x))
    return x


def _op_key(op: Op) -> Hashable:
    return (Item, pytree.key(op.index, _leaf_key)) if isinstance(op, Item) else hashable(op)


def _leaf_key(leaf: Any) -> Hashable:
    """Tell leaves apart: values by identity, constants by type and value (True is not 1)."""
    if isinstance(leaf, float | complex):
        return (type(leaf), repr(leaf))  # 0.0 is not -0.0, and nan is nan
    if isinstance(leaf, slice):  # hashable only from Python 3.12 on
        return (slice, leaf.start, leaf.stop, leaf.step)
    return leaf if isinstance(leaf, Value) else (type(leaf), hashable(leaf))


# --- expressions --------------------------------------------------------------------------------


def expression(value: Value) -> str:
    """Return `value` as it would be written, named values by their names."""
    return expressions(_with_inputs(value))[value]


def written(value: Value) -> str:
    """Return how `value` is made, also if it has a name."""
    return value.op.notation([*_arguments(value, expressions(_with_inputs(value)))])


def expressions(nodes: Iterable[Value]) -> dict[Value, str]:
    """Return the expressions of nodes, each of which comes after all its inputs."""
    known: dict[Value, str] = {}
    for node in nodes:
        known[node] = node.name or node.op.notation([*_arguments(node, known)])
    return known


def _with_inputs(value: Value) -> list[Value]:
    """Return `value` and all that it is computed from, each after its inputs."""
    found = {value}
    waiting = [value]
    while waiting:
        new = [v for v in waiting.pop().inputs if v not in found]
        found.update(new)
        waiting += new
    return sorted(found, key=lambda v: v.index)


def _arguments(value: Value, known: Mapping[Value, str]) -> Iterator[str]:
    """Yield the arguments of a value as they would be written, keywords last."""

    def show(arg: Any) -> str:
        if isinstance(arg, Value):
            return known[arg]
        if isinstance(arg, tuple | list):
            return f"({', '.join(show(a) for a in arg)})"
        if isinstance(arg, dict):
            return f"{{{', '.join(f'{k}: {show(a)}' for k, a in arg.items())}}}"
        return repr(arg) if isinstance(arg, numbers.Number | str | None) else type(arg).__name__

    yield from (show(arg) for arg in value.args)
    yield from (f"{name}={show(arg)}" for name, arg in value.kwargs.items())
