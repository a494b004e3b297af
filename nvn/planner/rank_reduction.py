"""Fewer passes than directions: where rows are dependent though no two are proportional.

Nothing that ships needs this; a game of three players who move together may.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from fractions import Fraction
from itertools import combinations

from nvn.game.values import Energy
from nvn.planner import linalg
from nvn.planner.basis import (
    MAX_ROW_RATIO,
    Basis,
    Combinations,
    Polynomial,
    Row,
    WeightMatrix,
    as_matrix,
)

MAX_SEARCH = 10
"""Of how many directions at most a smaller basis is looked for: the search tries subsets."""


def smallest_basis(
    matrix: WeightMatrix, players: Sequence[str], energies: Set[Energy], preferred: Set[str]
) -> Basis:
    """Return the fewest passes that give these players their rows on these energies.

    One pass for each direction; fewer if directions are sums of others; and never more than there
    are energies. The arguments are those of `WeightMatrix.per_direction`.

    The smallest game that needs the last: A descends e1 + e2, B e1 - e2, C e1 + 2·e2. Before: three
    directions, none of which is a sum of the others. After: e1 and e2 pass, one by one.
    """
    if len(players) == 1:  # most nodes of most moves: the player's own row
        return matrix.per_player(players)
    directions = matrix.directions(players, energies, preferred)
    rows = {d.representative: matrix.restricted(d.representative, energies) for d in directions}
    basis = matrix.combined(directions, energies, reduce_rank(rows, preferred))
    if len(matrix.energies(players, energies)) < len(basis.passes):
        return matrix.per_energy(players, energies)
    return basis


def reduce_rank(rows: Mapping[str, Row], preferred: Set[str]) -> Combinations | None:
    """Return all rows as sums of as few of them as their rank; None if nothing is gained.

    The smallest game that needs it: A descends e1 + e2, B descends e3, C descends e1 + e2 + e3.
    Before: three passes, for no two rows are proportional, and three energies. After: A's and B's
    rows pass, and C's is their sum.

        {"A": {"A": 1}, "B": {"B": 1}, "C": {"A": 1, "B": 1}}

    Nothing may cancel in a sum, nor may it have steep factors. B as C - A is exact; but an infinity
    of e1 would reach B, who does not descend it. Rows of `preferred` players are never sums.
    """
    if not 2 < len(rows) <= MAX_SEARCH:  # two rows that are not proportional are independent
        return None
    rank = linalg.rank(as_matrix([*rows.values()]))
    own = rows.keys() & preferred
    if rank == len(rows):
        return None
    for chosen in combinations(rows, rank):
        if own <= {*chosen} and (found := _as_sums(rows, {q: rows[q] for q in chosen})):
            return found
    return None


def _as_sums(rows: Mapping[str, Row], chosen: Mapping[str, Row]) -> Combinations | None:
    """Return rows as sums of those chosen, if these span them and nothing cancels."""
    found: dict[str, dict[str, Fraction]] = {}
    for player, row in rows.items():
        *known, target = as_matrix([*chosen.values(), row])
        numbers = linalg.solve(known, target)
        if numbers is None:  # those chosen depend on one another
            return None
        found[player] = {q: x for q, x in zip(chosen, numbers, strict=True) if x}
        if not all(_is_part(x, chosen[q], row) for q, x in found[player].items()):
            return None
    return found


def _is_part(factor: Fraction, part: Row, row: Row) -> bool:
    """Tell whether a summand holds a positive share of what a row holds of each of its energies.

    Then none is larger than the sum, whatever numbers the symbols stand for.
    """
    return abs(factor) <= MAX_ROW_RATIO and all(
        energy in row and factor * _share(entry, row[energy]) > 0 for energy, entry in part.items()
    )


def _share(part: Polynomial, whole: Polynomial) -> Fraction:
    """Return which multiple of an entry another is; 0 if it is none."""
    if part.keys() != whole.keys():
        return Fraction(0)
    shares = {x / whole[m] for m, x in part.items()}
    return shares.pop() if len(shares) == 1 else Fraction(0)
