"""Who pulls how on what: exact rows of weights, and the fewest backward passes that serve them all.

In a move, each player p who moves has a row of weights, W[p, e] on energy e. What p's gradient
needs at a node of the graph is its row times the energies' cotangents there; so a node has to be
walked back through as often as the rows of the players at it or above it are independent, on the
energies below it. A backward pass carries a *label*: a player (the pass carries that player's row)
or an energy (it carries that energy alone). A basis says which labels pass, and how each player's
row is made of them.

Weights are exact here (fractions of the floats that were declared); functions of the step and
values of the graph are indeterminates, which multiply and never divide. No player's row is ever
made of rows that cancel one another: rounding, or an infinity, of an energy that a player does not
have would reach it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from itertools import combinations
from typing import TypeAlias

from nvn.game.values import Energy, Symbol, Term, Weight, hashable

Label: TypeAlias = str | Energy
Coefficient: TypeAlias = tuple[Weight, ...]
"""A sum of weights: what a pass is multiplied by."""
Way: TypeAlias = Mapping[Label, Coefficient]
"""How a player's row is made of passes."""

ONE: Coefficient = (Weight(),)
STEEPEST = 2**24
"""How many times longer than another a row may be that is made of it. Beyond that, the shorter
one's pass could underflow where the longer one's does not."""
SEARCHED = 10  # rows among which a basis smaller than their number is looked for

# A product of symbols, as how often each occurs. The empty one is 1.
Monomial: TypeAlias = frozenset[tuple[Hashable, int]]
Column: TypeAlias = tuple[Energy, Monomial]
Row: TypeAlias = Mapping[Column, Fraction]
Sums: TypeAlias = Mapping[str, Mapping[str, Fraction]]  # rows as sums of others, by player


@dataclass(frozen=True)
class Basis:
    """The backward passes through a node.

    Attributes:
        labels: What each pass carries.
        ways: How each player's row is made of them.
        rank: How many independent rows there are: no more than players, or than energies.
    """

    labels: tuple[Label, ...]
    ways: Mapping[str, Way]
    rank: int


class Rows:
    """The rows of weights of a move."""

    def __init__(self, terms: Mapping[str, Iterable[Term]]) -> None:
        self._symbols: dict[Hashable, Symbol] = {}
        self._rows = {player: self._row(group) for player, group in terms.items()}

    def touches(self, label: Label, energies: Collection[Energy]) -> bool:
        """Tell whether a pass with this label carries anything of these energies."""
        if isinstance(label, Energy):
            return label in energies
        return any(energy in energies for energy, _ in self._rows[label])

    def weight(self, label: Label, energy: Energy) -> Coefficient:
        """Return what a pass with this label starts with at an energy; empty if with nothing."""
        if isinstance(label, Energy):
            return ONE if label is energy else ()
        row = self._rows[label]
        return tuple(self._weight(x, monomial) for (e, monomial), x in row.items() if e is energy)

    def basis(
        self, players: Sequence[str], energies: Collection[Energy], owners: Collection[str]
    ) -> Basis:
        """Return the fewest passes that give these players their rows on these energies.

        Args:
            players: Players whose rows are not zero on the energies.
            energies: What lies below the node.
            owners: Those of the players whose parameters the node uses: a pass that carries an
                owner's own row gives the parameters' gradient at once.
        """
        rows = {p: _restricted(self._rows[p], energies) for p in players}
        groups = _directions(rows, owners)
        heads = {group.head: rows[group.head] for group in groups}
        rank, units = _rank([*heads.values()]), len(_energies(rows))
        smaller = _without_cancelling(heads, rank, owners) if rank < len(heads) else None
        if units < (len(heads) if smaller is None else rank):
            return self.units(players, energies)
        sums = smaller or {head: {head: Fraction(1)} for head in heads}
        labels = tuple(head for head in heads if any(head in found for found in sums.values()))
        return Basis(labels, self._ways(groups, sums), min(rank, units))

    def units(self, players: Sequence[str], energies: Collection[Energy]) -> Basis:
        """Return the passes that carry the energies one by one."""
        rows = {p: _restricted(self._rows[p], energies) for p in players}
        labels = _energies(rows)
        ways: dict[str, Way] = {
            p: {e: self.weight(p, e) for e in labels if self.weight(p, e)} for p in players
        }
        return Basis(labels, ways, min(_rank([*rows.values()]), len(labels)))

    def each(
        self, players: Sequence[str], energies: Collection[Energy], owners: Collection[str]
    ) -> Basis:
        """Return the passes that carry players' own rows, one for each direction."""
        rows = {p: _restricted(self._rows[p], energies) for p in players}
        groups = _directions(rows, owners)
        sums = {group.head: {group.head: Fraction(1)} for group in groups}
        rank = min(_rank([rows[head] for head in sums]), len(_energies(rows)))
        return Basis(tuple(sums), self._ways(groups, sums), rank)

    def alone(self, players: Sequence[str]) -> Basis:
        """Return the passes that carry players' own rows, each for its player only."""
        rank = _rank([self._rows[p] for p in players])
        return Basis(tuple(players), {p: {p: ONE} for p in players}, rank)

    # --- weights, to and fro ---

    def _row(self, terms: Iterable[Term]) -> Row:
        row: dict[Column, Fraction] = {}
        for term in terms:
            keys = [hashable(symbol) for symbol in term.weight.symbols]
            self._symbols |= dict(zip(keys, term.weight.symbols, strict=True))
            column = (term.energy, frozenset(Counter(keys).items()))
            row[column] = row.get(column, Fraction(0)) + Fraction(term.weight.factor)
        return {column: x for column, x in row.items() if x}

    def _weight(self, factor: Fraction, monomial: Monomial) -> Weight:
        powers = sorted(monomial, key=lambda power: list(self._symbols).index(power[0]))
        return Weight(
            float(factor), tuple(self._symbols[key] for key, n in powers for _ in range(n))
        )

    def _ways(self, groups: Sequence[_Direction], heads: Sums) -> dict[str, Way]:
        """Return everybody's way, the heads' being given as sums."""
        return {
            p: {q: (self._weight(factor * x, monomial),) for q, x in heads[group.head].items()}
            for group in groups
            for p, (factor, monomial) in group.members.items()
        }


@dataclass(frozen=True)
class _Direction:
    """Players with proportional rows: each is so many times (and such symbols times) the head's."""

    head: str
    members: Mapping[str, tuple[Fraction, Monomial]]


def _restricted(row: Row, energies: Collection[Energy]) -> Row:
    return {column: x for column, x in row.items() if column[0] in energies}


def _energies(rows: Mapping[str, Row]) -> tuple[Energy, ...]:
    return tuple(dict.fromkeys(energy for row in rows.values() for energy, _ in row))


# --- proportional rows ------------------------------------------------------------------------


def _directions(rows: Mapping[str, Row], owners: Collection[str]) -> list[_Direction]:
    """Group players whose rows are proportional, so that a head can stand for all of its group."""
    groups: dict[Hashable, dict[str, tuple[Fraction, Monomial]]] = {}
    for player, row in rows.items():
        common = reduce(_common, (monomial for _, monomial in row))
        first = next(iter(sorted(row.items(), key=_order)))[1]
        direction = frozenset((e, _over(m, common), x / first) for (e, m), x in row.items())
        groups.setdefault(direction, {})[player] = (first, common)
    return [found for members in groups.values() for found in _headed(members, owners)]


def _order(item: tuple[Column, Fraction]) -> tuple[int, list[tuple[str, int]]]:
    (energy, monomial), _ = item
    return energy.index, sorted((str(key), n) for key, n in monomial)


def _headed(
    members: dict[str, tuple[Fraction, Monomial]], owners: Collection[str]
) -> Iterable[_Direction]:
    """Choose heads: who can stand for the most, then an owner, then whose row is the longest."""

    def served(head: str) -> dict[str, tuple[Fraction, Monomial]]:
        factor, symbols = members[head]
        return {
            p: (f / factor, _over(m, symbols))
            for p, (f, m) in members.items()
            if _common(m, symbols) == symbols and abs(f) <= STEEPEST * abs(factor)
        }

    while members:
        head = max(members, key=lambda p: (len(served(p)), p in owners, abs(members[p][0])))
        found = served(head)
        yield _Direction(head, found)
        members = {p: row for p, row in members.items() if p not in found}


def _common(a: Monomial, b: Monomial) -> Monomial:
    return frozenset((Counter(dict(a)) & Counter(dict(b))).items())


def _over(a: Monomial, b: Monomial) -> Monomial:
    return frozenset((Counter(dict(a)) - Counter(dict(b))).items())


# --- linear algebra, exact --------------------------------------------------------------------


def _matrix(rows: Sequence[Row]) -> list[list[Fraction]]:
    columns = tuple(dict.fromkeys(column for row in rows for column in row))
    return [[row.get(column, Fraction(0)) for column in columns] for row in rows]


def _rank(rows: Sequence[Row]) -> int:
    matrix = _matrix(rows)
    rank = 0
    for column in range(len(matrix[0]) if matrix else 0):
        pivot = next((i for i in range(rank, len(matrix)) if matrix[i][column]), None)
        if pivot is None:
            continue
        matrix[rank], matrix[pivot] = matrix[pivot], matrix[rank]
        for i in range(rank + 1, len(matrix)):
            share = matrix[i][column] / matrix[rank][column]
            if share:
                matrix[i] = [x - share * y for x, y in zip(matrix[i], matrix[rank], strict=True)]
        rank += 1
    return rank


def _without_cancelling(rows: Mapping[str, Row], rank: int, owners: Collection[str]) -> Sums | None:
    """Return all rows as sums of `rank` of them in which nothing cancels; None if there are none.

    All owners' rows are among those chosen.
    """
    if len(rows) > SEARCHED:
        return None
    own = [p for p in rows if p in owners]
    for chosen in combinations(rows, rank):
        if not {*own} <= {*chosen} or _rank([rows[p] for p in chosen]) < rank:
            continue
        sums = {p: _solved(rows[p], {q: rows[q] for q in chosen}) for p in rows}
        if all(_adds_up(rows[p], sums[p], rows) for p in rows):
            return {p: {q: x for q, x in found.items() if x} for p, found in sums.items()}
    return None


def _adds_up(row: Row, found: Mapping[str, Fraction], rows: Mapping[str, Row]) -> bool:
    """Tell whether `found` makes `row`, nothing cancels, and no factor is too large.

    What the summands carry of an energy are positive shares of what the sum carries of it: whatever
    numbers the symbols stand for, none is larger than the sum.
    """
    summands = [{c: x * rows[q][c] for c in rows[q]} for q, x in found.items() if x]
    columns = {*row}.union(*summands)
    return (
        all(abs(x) <= STEEPEST for x in found.values())
        and all(row.get(c, 0) == sum(s.get(c, 0) for s in summands) for c in columns)
        and all(_is_share(s, row, energy) for s in summands for energy in {e for e, _ in s})
    )


def _is_share(summand: Row, row: Row, energy: Energy) -> bool:
    columns = [c for c in {*summand, *row} if c[0] is energy]
    shares = {summand.get(c, Fraction(0)) / row[c] if c in row else None for c in columns}
    share = shares.pop()
    return not shares and share is not None and share > 0


def _solved(row: Row, basis: Mapping[str, Row]) -> dict[str, Fraction]:
    """Return the coefficients of `row` in independent rows that span it."""
    *known, wanted = _matrix([*basis.values(), row])
    system = [[*column, x] for *column, x in zip(*known, wanted, strict=True)]
    for pivot in range(len(known)):
        best = next(i for i in range(pivot, len(system)) if system[i][pivot])
        system[pivot], system[best] = system[best], system[pivot]
        system[pivot] = [x / system[pivot][pivot] for x in system[pivot]]
        for i, equation in enumerate(system):
            if i != pivot and equation[pivot]:
                share = equation[pivot]
                system[i] = [x - share * y for x, y in zip(equation, system[pivot], strict=True)]
    return {name: system[i][-1] for i, name in enumerate(basis)}
