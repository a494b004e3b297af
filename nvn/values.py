"""Values: what a game computes, declared before any tensor exists.

A value is a node of the loss graph. Its `op` says how it comes about; its arguments may be trees
of other values and constants. Values are interned by their game: the same call is the same value.
"""

from __future__ import annotations

import math
import numbers
import sys
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn, TypeGuard

from nvn import tree
from nvn.errors import GameError, Problem

if TYPE_CHECKING:
    from nvn.game import Game, Player


# --- where a person wrote something ---------------------------------------------------------


@dataclass(frozen=True)
class Where:
    """A line of the user's code."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file.rsplit('/', 1)[-1]}:{self.line}"


def caller() -> Where:
    """Return the nearest line up the stack that is not nvn's own."""
    frame = sys._getframe(1)
    while frame.f_back is not None and _is_ours(frame.f_globals.get("__name__", "")):
        frame = frame.f_back
    return Where(frame.f_code.co_filename, frame.f_lineno)


def _is_ours(module: str) -> bool:
    return module == "nvn" or module.startswith("nvn.")


# --- how a value comes about ----------------------------------------------------------------


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


# --- values -----------------------------------------------------------------------------------


class Value:
    """A value of a game. Made by `game.batch`, by calling a player, by `nvn.value(fn)(…)`.

    Values are compared by identity; since equal calls are interned, that is equality.
    """

    __array_ufunc__ = None  # numpy scalars leave multiplication to us

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

    @property
    def inputs(self) -> tuple[Value, ...]:
        """The values that this one is computed from, each once, in the order written."""
        found = (v for v in tree.leaves((self.args, dict(self.kwargs))) if isinstance(v, Value))
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

    def __mul__(self, other: object) -> WeightedSum:
        """Weigh an energy by this (scalar) value, as a constant."""
        if not isinstance(other, Energy | WeightedSum):
            self._refuse()
        return other * self

    def _refuse(self, *_: object) -> NoReturn:
        raise self.game.error(_no_arithmetic(self, "arithmetic with"))

    def _join(self, other: object) -> WeightedSum:
        """Leave this value out of a sum of energies, and note that it was no energy."""
        if not isinstance(other, Energy | WeightedSum):
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

    def __str__(self) -> str:
        return expression(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {expression(self)}>"


class Energy(Value):
    """A scalar value that players minimise or maximise, each with its own weight and sign."""

    def named(self, name: str) -> Energy:
        """Give this energy the name it has in records; return it."""
        self.game.name_value(self, name)
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


# --- weighted sums of energies ------------------------------------------------------------------

StepFunction = Callable[[int], float]
Symbol = Value | StepFunction  # what a weight may contain besides a number


@dataclass(frozen=True)
class Weight:
    """`factor` times the product of `symbols`: functions of the step, and scalar values."""

    factor: float = 1.0
    symbols: tuple[Symbol, ...] = ()

    @property
    def values(self) -> tuple[Value, ...]:
        """The scalar values of the graph that this weight reads (never differentiates)."""
        return tuple(s for s in self.symbols if isinstance(s, Value))

    def known_at(self, step: int) -> float:
        """Return the part of the weight that is known before anything is computed."""
        schedules = (s for s in self.symbols if not isinstance(s, Value))
        try:
            return math.prod((float(fn(step)) for fn in schedules), start=self.factor)
        except Exception as error:
            error.add_note(f"while computing the weight {self} of iteration {step}")
            raise

    def scaled(self, other: object) -> Weight:
        """Return this weight times a number, a function of the step or a scalar value."""
        if isinstance(other, numbers.Real) and not isinstance(other, bool):
            return Weight(self.factor * _as_float(other), self.symbols)
        if isinstance(other, Energy | WeightedSum):
            edit = "write `a.stop_gradient() * b` to weigh `b` by the energy `a`"
            raise _bad_weight(f"the energy `{other}` as a weight", edit)
        if isinstance(other, Value) or _is_step_function(other):
            return Weight(self.factor, (*self.symbols, other))
        raise _bad_weight(f"{other!r} as a weight", "write a float: `0.5 * energy`")

    def divided(self, number: object) -> Weight:
        """Return this weight divided by a number: not times its reciprocal, which is rounded."""
        if isinstance(number, numbers.Real) and number != 0:
            return Weight(self.factor / _as_float(number), self.symbols)
        raise _bad_weight(f"a division by {number!r}", "divide by a number that is not zero")

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
            where = str(caller())
            raise GameError([Problem(where, found, "a sum of energies alone", MOVES_NOBODY)])
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
        return WeightedSum(tuple(Term(t.weight.scaled(weight), t.energy) for t in self.terms))

    __rmul__ = __mul__

    def __truediv__(self, number: object) -> WeightedSum:
        return WeightedSum(tuple(Term(t.weight.divided(number), t.energy) for t in self.terms))

    def __bool__(self) -> bool:
        return bool(self.terms)

    def __str__(self) -> str:
        return " ".join(
            f"{'-' if term.weight.factor < 0 else '+'} {_term(term)}" for term in self.terms
        ).removeprefix("+ ")


Summand = Energy | WeightedSum | float
MOVES_NOBODY = "leave it out: a constant moves nobody"


def as_sum(x: object) -> WeightedSum:
    """Return `x`, an energy or a weighted sum of energies, as a weighted sum.

    Raises:
        GameError: `x` is something else.
    """
    if isinstance(x, WeightedSum):
        return x
    if isinstance(x, Energy):
        return WeightedSum((Term(Weight(), x),))
    edit = "make an energy with nvn.energies, or with nvn.energy(fn)(…)"
    if isinstance(x, Value):
        edit = f"`nvn.energy(fn)({x})` makes an energy of a value: a scalar that can be minimised"
    found = f"{x!r}, which is no energy" if isinstance(x, Value) else f"a {type(x).__name__}"
    raise GameError([Problem(str(caller()), found, "an energy, or a sum of energies", edit)])


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


def _as_float(number: numbers.Real) -> float:
    try:
        return float(number)
    except OverflowError:
        raise _bad_weight("a weight beyond all floats", "write a smaller number") from None


def _no_arithmetic(value: Value, what: str) -> Problem:
    return Problem(
        str(caller()),
        f"{what} `{value}`, which is no energy: it is declared, not computed",
        "sums of energies, each times a number, a function of the step, or a scalar value",
        f"compute with it in a function of tensors, `nvn.value(fn)({value})`, or make it an energy "
        f"to minimise, `nvn.energy(fn)({value})`",
    )


def _is_step_function(x: object) -> TypeGuard[StepFunction]:
    # Players and modules are callable too, but nobody means them as weights.
    return callable(x) and not hasattr(x, "objective") and not hasattr(x, "parameters")


def _constant_index(index: Any) -> Any:
    entries = index if isinstance(index, tuple) else (index,)
    parts = [(e.start, e.stop, e.step) if isinstance(e, slice) else (e,) for e in entries]
    if any(isinstance(part, Value) for group in parts for part in group):
        edit = "write nvn.value(operator.getitem)(x, index) to index by a value"
        raise GameError([Problem(str(caller()), "a value as an index", "a constant", edit)])
    return index


def _bad_weight(found: str, edit: str) -> GameError:
    expected = "a number, a function of the step, or a scalar value of the game"
    return GameError([Problem(str(caller()), found, expected, edit)])


def _term(term: Term) -> str:
    weight = Weight(abs(term.weight.factor), term.weight.symbols)
    return str(term.energy) if weight == Weight() else f"{weight} {term.energy}"


def _symbol_name(symbol: Symbol) -> str:
    if isinstance(symbol, Value):
        return f"[{symbol}]"
    return f"{getattr(symbol, '__name__', type(symbol).__name__)}(step)"


# --- how values read ----------------------------------------------------------------------------

LONGEST = 160  # characters of an expression; beyond that its arguments are left out


def expression(value: Value) -> str:
    """Return `value` as it would be written, named values by their names."""
    return expressions(_with_inputs(value))[value]


def written(value: Value) -> str:
    """Return how `value` is made, also if it has a name."""
    return _written(value, expressions(_with_inputs(value)))


def expressions(nodes: Iterable[Value]) -> dict[Value, str]:
    """Return the expressions of nodes, each of which comes after all its inputs."""
    known: dict[Value, str] = {}
    for node in nodes:
        known[node] = node.game.names.get(node) or _written(node, known)
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


def _written(value: Value, known: dict[Value, str]) -> str:
    match value.op:
        case Batch(name) | Noise(name) | Sample(name):
            return name
        case Item(index):
            return f"{known[value.args[0]]}[{_index(index)}]"
        case Call(player, method, training):
            head = player.name if method == "forward" else f"{player.name}.{method}"
            head += "" if training or player.frozen else ".eval"
        case Apply(_, name):
            head = name
        case StopGradient():
            head = "stop_gradient"
        case Gradient():
            head = "gradient"
    inside = ", ".join(_arguments(value, known))
    return f"{head}({inside})" if len(head) + len(inside) < LONGEST else f"{head}(…)"


def _index(index: Any) -> str:
    """Write an index as Python does: `0:2`, not slice(0, 2, None)."""
    if isinstance(index, slice):
        ends = ["" if end is None else repr(end) for end in (index.start, index.stop)]
        return ":".join(ends if index.step is None else [*ends, repr(index.step)])
    if isinstance(index, tuple) and index:
        return ", ".join(map(_index, index))
    return "..." if index is Ellipsis else repr(index)


def _arguments(value: Value, known: dict[Value, str]) -> Iterator[str]:
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
