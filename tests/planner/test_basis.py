"""The weight matrix: passes that serve all players, exactly, and nothing cancels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from itertools import product
from math import inf

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import nvn
from nvn.game.values import Energy, WeightedSum
from nvn.planner.basis import MAX_ROW_RATIO, Basis, Coefficient, Pass, WeightMatrix
from nvn.planner.rank_reduction import smallest_basis
from tests.small import linear, mean

game = nvn.Game("matrix")
x = game.batch("x")
P = game.player("P", linear())
E1, E2, E3, E4 = ENERGIES = [mean(P.method(f"m{i}")(x)) for i in range(1, 5)]
SCALE = nvn.value(torch.sum)(x)  # a value that weighs
OTHER = nvn.value(torch.prod)(x)

Sums = dict[str, WeightedSum | Energy]


def fade(step: int) -> float:
    """A function of the step, through zero."""
    return 1.0 - step


def rise(step: int) -> float:
    return float(step)


def matrix(objectives: Mapping[str, WeightedSum | Energy]) -> WeightMatrix:
    terms = {p: (1.0 * objective).terms for p, objective in objectives.items()}
    return WeightMatrix(terms, {e: f"E{i}" for i, e in enumerate(ENERGIES, start=1)})


def basis(
    objectives: Mapping[str, WeightedSum | Energy],
    *,
    owners: Iterable[str] = (),
    energies: Iterable[Energy] = ENERGIES,
) -> Basis:
    """Return the passes through a node that every player needs, on all these energies."""
    return smallest_basis(matrix(objectives), [*objectives], frozenset(energies), frozenset(owners))


def written(found: Basis) -> dict[str, dict[str, str]]:
    """Return how each player's row is made: `{player: {pass: coefficient}}`."""
    return {
        row.name: {x.name: " + ".join(map(str, sum_)) for x, sum_ in way.items()}
        for row, way in found.coefficients.items()
        if row.player is not None
    }


def passes(found: Basis) -> tuple[str, ...]:
    return tuple(x.name for x in found.passes)


# --- the rank ---------------------------------------------------------------------------------


def test_proportional_rows_are_one_pass() -> None:
    """A minimax pair: rank 1, one player's row is the other's negative."""
    found = basis({"D": E1, "G": -E1})
    assert (passes(found), found.rank) == (("D",), 1)
    assert written(found) == {"D": {"D": "1"}, "G": {"D": "-1"}}


def test_the_rank_is_exact() -> None:
    """0.1 + 0.2 is not 0.3: as fractions of floats, neither are these rows proportional."""
    assert basis({"A": 0.3 * E1 + E2, "B": 0.6 * E1 + 2 * E2}).rank == 1
    assert basis({"A": 0.3 * E1 + E2, "B": (0.1 + 0.2) * E1 + E2}).rank == 2


@pytest.mark.parametrize("near", [1e-6, 1e-9, 1e-12, 2.0**-52])
def test_nearly_proportional_rows_are_two(near: float) -> None:
    """However near: nothing is subtracted from what is nearly the same."""
    found = basis({"A": E1 + E2, "B": (1 + near) * E1 + E2})
    assert (passes(found), found.rank) == (("A", "B"), 2)


def test_never_more_passes_than_energies() -> None:
    """Three players on two energies, none of whom is a sum of the others: these pass singly."""
    found = basis({"A": E1 + E2, "B": E1 - E2, "C": E1 + 2 * E2})
    assert (passes(found), found.rank) == (("E1", "E2"), 2)
    assert written(found)["C"] == {"E1": "1", "E2": "2"}


def test_eight_rows_of_one_direction_are_one_pass() -> None:
    """Eight generators against two critics on one logit each: one pass each, not eight."""
    found = basis({f"G{k}": -(2.0**k) * (E1 + E2) for k in range(8)})
    assert (passes(found), found.rank) == (("G7",), 1)


def test_only_the_energies_below_count() -> None:
    """Rows that differ above a node may be one below it."""
    players = {"A": E1 + E2, "B": 2 * E1 - E3}
    assert basis(players).rank == 2
    found = basis(players, energies=[E1])
    assert (found.rank, written(found)) == (1, {"A": {"B": "0.5"}, "B": {"B": "1"}})


# --- heads ------------------------------------------------------------------------------------


def test_the_owners_row_is_the_head() -> None:
    """Its pass gives its parameters' gradient at once; the longest row is next best."""
    players = {"A": E1, "B": 4 * E1, "C": -2 * E1}
    assert passes(basis(players, owners=["A"])) == ("A",)
    assert passes(basis(players)) == ("B",)
    assert written(basis(players, owners=["C"]))["B"] == {"C": "-2"}


def test_who_stands_for_most_is_the_head_even_of_owners() -> None:
    """A row with a symbol in it cannot make the row without."""
    players = {"A": fade * E1, "B": E1}
    assert passes(basis(players, owners=["A"])) == ("B",)


def test_no_row_is_made_of_one_that_is_too_short() -> None:
    """A pass of weight 1e-30 would underflow on the way: the long row is no multiple of it."""
    long = {"A": 1e-30 * E1 + 1e-30 * E2, "B": E1 + E2}
    assert passes(basis(long, owners=["A"])) == ("B",)
    owned = {"A": E1 + E2, "B": MAX_ROW_RATIO * (E1 + E2), "C": 2 * MAX_ROW_RATIO * (E1 + E2)}
    assert passes(basis({"A": owned["A"], "B": owned["B"]}, owners=["A"])) == ("A",)
    assert passes(basis({"A": owned["A"], "C": owned["C"]}, owners=["A"])) == ("C",)


def test_a_sum_has_no_steep_factors_either() -> None:
    """C = 1e30·A + B adds up exactly, and would be all underflow."""
    even = basis({"A": E1 + E4, "B": E2 + E3, "C": E1 + E4 + E2 + E3})
    assert passes(even) == ("A", "B")
    steep = basis({"A": 1e-30 * (E1 + E4), "B": E2 + E3, "C": E1 + E4 + E2 + E3})
    assert passes(steep) == ("A", "B", "C")


# --- symbols ----------------------------------------------------------------------------------


def test_symbols_multiply_and_never_divide() -> None:
    """E1 is not fade·E1 / fade, which is zero over zero when the weight has faded."""
    found = basis({"A": fade * E1 + fade * E2, "B": 2 * E1 + 2 * E2})
    assert written(found) == {"A": {"B": "0.5·fade(step)"}, "B": {"B": "1"}}
    for owners in (["A"], ["B"], []):
        found = basis({"A": fade * E1, "B": SCALE * (fade * E1)}, owners=owners)
        assert passes(found) == ("A",)


def test_products_of_symbols_know_no_order() -> None:
    """s·t·E1 and t·s·E1 are one direction; s·s·E1 is s times s·E1."""
    assert basis({"A": fade * E1 * SCALE, "B": SCALE * E1 * fade}).rank == 1
    found = basis({"A": fade * E1 * fade + E2 * fade, "B": fade * E1 + E2})
    assert written(found)["A"] == {"B": "fade(step)"}


def test_two_symbols_are_two_rows_but_never_more_than_energies() -> None:
    """Nothing is known of how two symbols relate: not even that one may stand for the other."""
    found = basis({"A": E1 * SCALE, "B": -E1 * OTHER})
    assert (passes(found), found.rank) == (("E1",), 1)
    assert {p: [*way] for p, way in written(found).items()} == {"A": ["E1"], "B": ["E1"]}
    assert basis({"A": fade * E1 + E2, "B": rise * E1 + E2}).rank == 2


def test_a_row_may_be_empty_of_nobody() -> None:
    """Whoever asks is given a way that makes its row, whatever the symbols."""
    found = basis({"A": fade * E1, "B": rise * E1, "C": E1 * SCALE, "D": fade * E1 + rise * E1})
    assert all(found.coefficients.values())


# --- nothing cancels --------------------------------------------------------------------------


def test_a_sum_of_two_rows_takes_no_pass_of_its_own() -> None:
    """C = A + B, where A and B share no energy or have the same sign on it."""
    found = basis({"A": E1 + E3, "B": E2 + E3, "C": E1 + E2 + 2 * E3})
    assert (passes(found), found.rank) == (("A", "B"), 2)
    assert written(found)["C"] == {"A": "1", "B": "1"}


def test_no_row_is_a_difference_of_two() -> None:
    """B = C − A: exact, but an infinity on A's energy would reach B. Three passes, rank two."""
    players = {"A": E1 + E4, "C": E1 + E2 + E3 + E4}
    found = basis(players | {"B": E2 + E3}, owners=["A", "C"])
    assert (passes(found), found.rank) == (("A", "C", "B"), 2)


def test_no_sum_cancels_once_symbols_have_values() -> None:
    """A = B + C, but with fade near −1 they are huge beside it; not if both have it."""
    players = {"B": E1 + E2 + E4, "C": fade * (E1 + E3), "A": E1 + E2 + E4 + fade * (E1 + E3)}
    assert passes(basis(players)) == ("B", "C", "A")
    same = {"B": fade * (E1 + E2), "C": fade * (E1 + E3), "A": fade * (2 * E1 + E2 + E3)}
    assert passes(basis(same)) == ("B", "C")


def test_ways_add_up_exactly_and_without_cancelling() -> None:
    """All of small integer matrices: each row is made of passes, each column of one sign."""
    energies = (E1, E2, E3)
    numbers = [(a, b, c) for a in (-1, 0, 2) for b in (0, 1) for c in (-1, 1)]
    for first in numbers:
        for second in numbers:
            third = tuple(a + b for a, b in zip(first, second, strict=True))
            table = {"A": first, "B": second, "C": third}
            table = {p: ws for p, ws in table.items() if any(ws)}
            sums = {
                p: sum(w * e for w, e in zip(ws, energies, strict=True) if w)
                for p, ws in table.items()
            }
            _assert_sound(sums, energies)


def _assert_sound(sums: Mapping[str, WeightedSum], energies: tuple[Energy, ...]) -> None:
    mine = matrix(sums)
    found = smallest_basis(mine, [*sums], frozenset(energies), frozenset())
    assert found.rank <= len(found.passes) <= min(len(sums), len(energies))
    for player in sums:
        for energy in energies:
            parts = summands(found, mine.row(player), energy)
            whole = number(mine.row(player).weight(energy))
            assert sum(parts) == whole
            assert sum(map(abs, parts)) == abs(whole)


def summands(found: Basis, row: Pass, energy: Energy) -> list[Fraction]:
    """Return the entries of (C·B)[player, energy] pass by pass."""
    way = found.coefficients[row]
    return [number(coefficient) * number(x.weight(energy)) for x, coefficient in way.items()]


def number(coefficient: Coefficient) -> Fraction:
    return sum((Fraction(w.factor) for w in coefficient), Fraction(0))


# Rows of few directions: some at random, and multiples and sums of them.
plain_rows = st.lists(
    st.lists(st.sampled_from([0, 0, 1, -1, 2, 0.1, -3, 1e-9]), min_size=4, max_size=4),
    min_size=1,
    max_size=3,
)
shares = st.lists(st.sampled_from([0, 0, 1, -1, 0.3, 2, 1e9]), min_size=3, max_size=3)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(plain_rows, st.lists(shares, max_size=5), st.data())
def test_the_matrix_is_coefficients_times_seeds(
    some: list[list[float]], more: list[list[float]], data: st.DataObject
) -> None:
    """W = C·B, entry by entry: exact but for the rounding of C's floats, and nothing cancels."""
    sums_of = [
        [sum(a * x for a, x in zip(s, c, strict=False)) for c in zip(*some, strict=True)]
        for s in more
    ]
    table = {f"P{i}": row for i, row in enumerate([*some, *sums_of]) if any(row)}
    if not table:
        return
    sums = {
        p: sum((w * e for w, e in zip(row, ENERGIES, strict=True) if w), 0.0 * E1)
        for p, row in table.items()
    }
    owners = frozenset(data.draw(st.sets(st.sampled_from([*table]), max_size=2)))
    mine, everything = matrix(sums), frozenset(ENERGIES)
    for found in (
        smallest_basis(mine, [*table], everything, owners),
        mine.per_direction([*table], everything, owners),
        mine.per_energy([*table], everything),
        mine.per_player([*table]),
    ):
        assert found.rank <= len(found.passes)
        for player, energy in product(table, ENERGIES):
            parts = summands(found, mine.row(player), energy)
            whole = number(mine.row(player).weight(energy))
            assert abs(sum(parts) - whole) <= abs(whole) / 2**52
            assert sum(map(abs, parts)) <= abs(whole) * (1 + Fraction(1, 2**52))


@settings(max_examples=200, deadline=None, derandomize=True)
@given(plain_rows, st.lists(shares, max_size=5))
def test_directions_are_exact(some: list[list[float]], more: list[list[float]]) -> None:
    """Every row is its multiple of its representative's, as fractions; everybody has one."""
    multiples = [[s[0] * x for x in some[0]] for s in more]
    table = {f"P{i}": row for i, row in enumerate([*some, *multiples]) if any(row)}
    sums = {
        p: sum((w * e for w, e in zip(row, ENERGIES, strict=True) if w), 0.0 * E1)
        for p, row in table.items()
    }
    mine, everything = matrix(sums), frozenset(ENERGIES)
    directions = mine.directions([*table], everything, frozenset())
    assert sorted(p for d in directions for p in d.members) == sorted(table)
    for direction in directions:
        row = mine.restricted(direction.representative, everything)
        for player, (factor, symbols) in direction.members.items():
            assert not symbols
            assert mine.restricted(player, everything) == {
                e: {m: factor * x for m, x in entry.items()} for e, entry in row.items()
            }


def test_an_infinite_energy_reaches_only_those_who_have_it() -> None:
    """Played: A and C descend an energy that is infinite, B one that C has too."""

    def broken(y: torch.Tensor) -> torch.Tensor:
        return (y * inf).sum()

    small = nvn.Game("infinite")
    a = small.batch("a")
    F, A, B, C = (small.player(n, linear(seed=i)) for i, n in enumerate("FABC"))
    made = [player(a) for player in (A, B, C)]
    joint = F(nvn.value(lambda *ts: torch.stack(ts).sum(dim=0))(*made))
    bad, good = nvn.energy(broken)(joint), mean(joint)
    A.minimizes(bad)
    B.minimizes(good)
    C.minimizes(bad + good)
    F.minimizes(bad + good)
    engine = nvn.Engine(
        nvn.plan(small, nvn.simultaneous(F, A, B, C)), lambda ps: torch.optim.SGD(ps, lr=0.1)
    )
    found = engine.gradients({"a": torch.ones(2, 3)}, [F, A, B, C])
    finite = {p: all(t.isfinite().all() for t in ts.values()) for p, ts in found.items()}
    assert finite == {"F": False, "A": False, "B": True, "C": False}


# --- passes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("carried", "energy", "touches"),
    [("A", E1, True), ("A", E2, False), (E1, E1, True), (E1, E2, False), ("B", E2, True)],
)
def test_a_pass_touches_what_it_carries(
    carried: str | Energy, energy: Energy, touches: bool
) -> None:
    found = matrix({"A": E1, "B": E1 + E2})
    x = found.row(carried) if isinstance(carried, str) else found.unit(carried)
    assert x.touches({energy}) is x.touches({energy, E3, E4}) is touches


def test_a_pass_is_one_object() -> None:
    """A hash costs nothing, however long the row; one of the same name elsewhere is another."""
    found = matrix({"A": E1, "E1": E1})
    assert found.row("A") is found.row("A")
    assert found.unit(E1) is found.unit(E1)
    assert len({found.row("E1"), found.unit(E1), matrix({"A": E1}).row("A"), found.row("A")}) == 4


def test_what_a_pass_starts_with() -> None:
    """A player's pass starts with its weights, an energy's with one; elsewhere nothing."""
    found = matrix({"A": 0.5 * E1 + fade * E1 - E2})
    assert [str(w) for w in found.row("A").weight(E1)] == ["0.5", "fade(step)"]
    assert [str(w) for w in found.unit(E1).weight(E1)] == ["1"]
    assert found.row("A").weight(E3) == found.unit(E1).weight(E2) == ()


def test_weights_that_cancel_are_no_weights() -> None:
    """E1 − E1 is nothing to pull on."""
    assert not matrix({"A": E1 + E2 - E1}).row("A").touches({E1})
