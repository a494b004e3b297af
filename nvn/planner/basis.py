"""The weight matrix of a move, and the backward passes that its rows are made of.

In a move, each player p who moves has a row of weights, W[p, e] on energy e. What p's gradient
needs at a node of the graph is its row times the energies' gradients there. A backward pass is
seeded with a row too: B[x, e] is what pass x starts with at energy e, the seed matrix of
vector-mode reverse differentiation. Passes serve everybody if W = C·B, restricted to the energies
below the node; C says how each player's gradient is made of the passes. Fewer passes, less work.

Of the 2 v 2 game, G and E moving together:

                 fool_D  fool_Dp   mse    ce
    W =     G     0.002    0.002     1   0.1
            E     0.002    0.002     0     1

    at D(fake, f), energies {fool_D}     B = [G's row]   C = G: 1, E: 1      one pass for both
    at C(fake), energies {ce}            B = [E's row]   C = G: 0.1, E: 1    the longest row passes
    at fake, all four                    B = W           C = 1               two directions, two

One pass for each distinct direction is all that most games need: a pass carries the row of one
player, the representative, whose gradient it gives at once; proportional rows are multiples of it.
rank_reduction.py does with fewer where rows are dependent though no two are proportional.

Weights are exact here (fractions of the floats that were declared); functions of the step and
values of the graph are indeterminates, which multiply and never divide, so that an entry of W is a
polynomial in them. No row is ever made of rows that cancel one another: rounding, or an infinity,
of an energy that a player does not have would reach it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property, reduce
from typing import NamedTuple, TypeAlias

from nvn.game.values import Energy, Symbol, Term, Value, Weight, hashable
from nvn.planner import linalg

Coefficient: TypeAlias = tuple[Weight, ...]
"""A sum of weights: what a pass is multiplied by."""

ONE: Coefficient = (Weight(),)
MAX_ROW_RATIO = 2**24
"""How many times longer than another a row may be that is made of it. Beyond that, the shorter
one's pass could underflow where the longer one's does not."""

Monomial: TypeAlias = frozenset[tuple[Hashable, int]]
"""A product of symbols, as how often each occurs. The empty one is 1."""
Polynomial: TypeAlias = Mapping[Monomial, Fraction]
Row: TypeAlias = Mapping[Energy, Polynomial]
"""A row of W, exactly: energies of weight zero are left out."""
Combinations: TypeAlias = Mapping[str, Mapping[str, Fraction]]
"""Players' rows as sums of other players' rows: `{player: {other: factor}}`."""


@dataclass(frozen=True, eq=False)
class Pass:
    """A backward pass: a row of the seed matrix B. The same only if it is the same object.

    Attributes:
        name: What it carries, for people: a player's name, or an energy's.
        player: Whose row of W it carries; None if it carries one energy alone.
        weights: What it starts with at each energy; energies it does not carry are left out.
    """

    name: str
    player: str | None
    weights: Mapping[Energy, Coefficient] = field(repr=False)

    def weight(self, energy: Energy) -> Coefficient:
        """Return what the pass starts with at an energy; empty if with nothing."""
        return self.weights.get(energy, ())

    def touches(self, energies: Set[Energy]) -> bool:
        """Tell whether the pass carries anything of these energies."""
        return not self.weights.keys().isdisjoint(energies)

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Basis:
    """The backward passes through a node: W = C·B on the energies below it.

    Attributes:
        passes: The rows of B.
        coefficients: C. How what another pass carries is made of these passes: a player's row, or
            one of these passes, which is itself.
        rows: The rows of W, one for each direction.
    """

    passes: tuple[Pass, ...]
    coefficients: Mapping[Pass, Mapping[Pass, Coefficient]]
    rows: tuple[Row, ...] = field(repr=False)

    @cached_property
    def rank(self) -> int:
        """How many passes are needed at least: W's rank, and no more than there are energies."""
        energies = {energy for row in self.rows for energy in row}
        return min(linalg.rank(as_matrix(self.rows)), len(energies))


class Multiple(NamedTuple):
    """What a row is, times another: a number and a product of symbols."""

    factor: Fraction
    symbols: Monomial


@dataclass(frozen=True)
class Direction:
    """Players with proportional rows: each is a multiple of the representative's."""

    representative: str
    members: Mapping[str, Multiple]


class WeightMatrix:
    """W[player, energy] of a move.

    Args:
        terms: What each player descends.
        names: What each energy is called.
    """

    def __init__(
        self, terms: Mapping[str, Iterable[Term]], names: Mapping[Value, str] | None = None
    ) -> None:
        self._names = names or {}
        self._symbols: dict[Hashable, Symbol] = {}
        self._rows = {player: self._row(group) for player, group in terms.items()}
        self._order = {key: i for i, key in enumerate(self._symbols)}
        self._own = {player: self._pass(player, row) for player, row in self._rows.items()}
        self._units: dict[Energy, Pass] = {}
        self._directions: dict[tuple[str, Set[Energy]], tuple[Hashable, Multiple]] = {}

    def row(self, player: str) -> Pass:
        """Return the pass that carries a player's row."""
        return self._own[player]

    def unit(self, energy: Energy) -> Pass:
        """Return the pass that carries one energy alone, with weight 1."""
        if energy not in self._units:
            name = self._names.get(energy, str(energy))
            self._units[energy] = Pass(name, None, {energy: ONE})
        return self._units[energy]

    def restricted(self, player: str, energies: Set[Energy]) -> Row:
        """Return a player's exact row on some energies."""
        row = self._rows[player]
        # The smaller side is walked, so that a node below which there is one energy costs one.
        if len(energies) < len(row):
            few = sorted((e for e in energies if e in row), key=lambda e: e.index)
            return {energy: row[energy] for energy in few}
        return {energy: entry for energy, entry in row.items() if energy in energies}

    def energies(self, players: Iterable[str], energies: Set[Energy]) -> tuple[Energy, ...]:
        """Return those of the energies that any of the players has, in the order declared."""
        met = (self._rows[p].keys() & energies for p in players)
        return tuple(sorted(set[Energy]().union(*met), key=lambda e: e.index))

    # --- bases ---

    def per_direction(
        self, players: Sequence[str], energies: Set[Energy], preferred: Set[str]
    ) -> Basis:
        """Return one pass for each distinct direction of these players' rows on these energies.

        Args:
            players: Players whose rows are not zero on the energies.
            energies: What lies below the node.
            preferred: Who should represent a direction: the owner of the node, for a pass that
                carries the owner's own row gives the parameters' gradient at once.
        """
        return self.combined(self.directions(players, energies, preferred), energies)

    def per_energy(self, players: Sequence[str], energies: Set[Energy]) -> Basis:
        """Return one pass for each energy: C is W itself, B the unit matrix."""
        units = {energy: self.unit(energy) for energy in self.energies(players, energies)}
        coefficients = {
            (own := self.row(p)): {
                unit: own.weight(e) for e, unit in units.items() if own.weight(e)
            }
            for p in players
        }
        itself = {unit: {unit: ONE} for unit in units.values()}
        rows = tuple(self.restricted(p, energies) for p in players)
        return Basis(tuple(units.values()), {**coefficients, **itself}, rows)

    def per_player(self, players: Sequence[str]) -> Basis:
        """Return one pass for each player, which serves nobody else: B is W, C the unit matrix."""
        passes = tuple(self.row(p) for p in players)
        return Basis(passes, {x: {x: ONE} for x in passes}, tuple(self._rows[p] for p in players))

    def directions(
        self, players: Iterable[str], energies: Set[Energy], preferred: Set[str]
    ) -> list[Direction]:
        """Group players whose rows on these energies are proportional.

        Before: G: 0.1·ce, E: ce, D: -2·fool. After: E represents {G: 0.1, E: 1}, D {D: 1}.
        """
        groups: dict[Hashable, dict[str, Multiple]] = {}
        for player in players:
            key = (player, energies)
            if key not in self._directions:
                self._directions[key] = self._direction(self.restricted(player, energies))
            direction, multiple = self._directions[key]
            groups.setdefault(direction, {})[player] = multiple
        return [d for members in groups.values() for d in _represented(members, preferred)]

    def combined(
        self,
        directions: Sequence[Direction],
        energies: Set[Energy],
        combinations: Combinations | None = None,
    ) -> Basis:
        """Return the passes that carry representatives' rows.

        Args:
            directions: Of the players' rows on the energies.
            energies: What lies below the node.
            combinations: How representatives' rows are made of some of them; if None, all pass.
        """
        everyone = [d.representative for d in directions]
        made = combinations or {q: {q: Fraction(1)} for q in everyone}
        passing = {q for parts in made.values() for q in parts}
        return Basis(
            tuple(self.row(q) for q in everyone if q in passing),
            {
                self.row(p): {
                    self.row(q): (self._weight(factor * x, symbols),)
                    for q, x in made[direction.representative].items()
                }
                for direction in directions
                for p, (factor, symbols) in direction.members.items()
            },
            tuple(self.restricted(q, energies) for q in everyone),
        )

    # --- weights, to and fro ---

    def _row(self, terms: Iterable[Term]) -> Row:
        row: dict[Energy, dict[Monomial, Fraction]] = {}
        for term in terms:
            keys = [hashable(symbol) for symbol in term.weight.symbols]
            self._symbols |= dict(zip(keys, term.weight.symbols, strict=True))
            entry, monomial = row.setdefault(term.energy, {}), frozenset(Counter(keys).items())
            entry[monomial] = entry.get(monomial, Fraction(0)) + Fraction(term.weight.factor)
        # Terms may cancel: e - e is nothing to descend.
        kept = {e: {m: x for m, x in entry.items() if x} for e, entry in row.items()}
        return {energy: entry for energy, entry in kept.items() if entry}

    def _pass(self, player: str, row: Row) -> Pass:
        weights = {
            e: tuple(self._weight(x, m) for m, x in entry.items()) for e, entry in row.items()
        }
        return Pass(player, player, weights)

    def _weight(self, factor: Fraction, monomial: Monomial) -> Weight:
        powers = sorted(monomial, key=lambda power: self._order[power[0]])
        symbols = tuple(self._symbols[key] for key, n in powers for _ in range(n))
        return Weight(float(factor), symbols)

    def _direction(self, row: Row) -> tuple[Hashable, Multiple]:
        """Return what proportional rows have in common, and which multiple of it this row is.

        Before: {e1: 2·s, e2: 4·s·t}. After: ({e1: 1, e2: 2·t}, 2·s).
        """
        symbols = reduce(_common, (m for entry in row.values() for m in entry))
        entries = {(e, _over(m, symbols)): x for e, entry in row.items() for m, x in entry.items()}
        first = entries[min(entries, key=self._place)]
        return frozenset((e, m, x / first) for (e, m), x in entries.items()), Multiple(
            first, symbols
        )

    def _place(self, entry: tuple[Energy, Monomial]) -> tuple[int, list[tuple[int, int]]]:
        energy, monomial = entry
        return energy.index, sorted((self._order[key], n) for key, n in monomial)


def as_matrix(rows: Sequence[Row]) -> list[list[Fraction]]:
    """Return rows as numbers: a column for each energy and product of symbols that occurs."""
    columns = dict.fromkeys((e, m) for row in rows for e, entry in row.items() for m in entry)
    return [[row.get(e, {}).get(m, Fraction(0)) for e, m in columns] for row in rows]


# --- who represents a direction -----------------------------------------------------------------


def _represented(members: Mapping[str, Multiple], preferred: Set[str]) -> Iterator[Direction]:
    """Split players of one direction among representatives, as few as can be: nearly always one."""
    while members:
        found = _representative(members, preferred)
        served = _served(found, members)
        yield Direction(found, served)
        members = {p: row for p, row in members.items() if p not in served}


def _representative(members: Mapping[str, Multiple], preferred: Set[str]) -> str:
    """Choose who serves the most; then who is preferred; then whose row is the longest."""
    symbols = reduce(_common, (row.symbols for row in members.values()))
    longest = max(abs(row.factor) for row in members.values())
    # Found at once: those who serve everybody.
    best = [
        p
        for p, row in members.items()
        if row.symbols == symbols and longest <= MAX_ROW_RATIO * abs(row.factor)
    ]
    if not best:
        # As of 1e-30·e, e and s·e: the first is too short for the second, symbols do not divide.
        counts = {p: len(_served(p, members)) for p in members}
        best = [p for p in members if counts[p] == max(counts.values())]
    return max(best, key=lambda p: (p in preferred, abs(members[p].factor)))


def _served(representative: str, members: Mapping[str, Multiple]) -> dict[str, Multiple]:
    """Return whose rows are multiples of a representative's, and which."""
    factor, symbols = members[representative]
    return {
        p: Multiple(row.factor / factor, _over(row.symbols, symbols))
        for p, row in members.items()
        if _divides(symbols, row.symbols) and abs(row.factor) <= MAX_ROW_RATIO * abs(factor)
    }


def _divides(a: Monomial, b: Monomial) -> bool:
    return not a or _common(a, b) == a


def _common(a: Monomial, b: Monomial) -> Monomial:
    if a == b or not a:  # all but always: no symbols at all
        return a
    return frozenset((Counter(dict(a)) & Counter(dict(b))).items())


def _over(a: Monomial, b: Monomial) -> Monomial:
    return frozenset((Counter(dict(a)) - Counter(dict(b))).items()) if b else a
