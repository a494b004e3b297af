"""Rows of weights: the fewest passes that serve all players, exactly, and nothing cancels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from math import inf

import pytest
import torch

import nvn
from nvn.game.values import Energy, WeightedSum
from nvn.planner.basis import STEEPEST, Basis, Label, Rows
from tests.small import linear, mean

game = nvn.Game("rows")
x = game.batch("x")
P = game.player("P", linear())
E1, E2, E3, E4 = (mean(P.method(name)(x)) for name in ("one", "two", "three", "four"))
SCALE = nvn.value(torch.sum)(x)  # a value that weighs
OTHER = nvn.value(torch.prod)(x)

Sums = dict[str, WeightedSum | Energy]


def fade(step: int) -> float:
    """A function of the step, through zero."""
    return 1.0 - step


def rise(step: int) -> float:
    return float(step)


def rows(objectives: Mapping[str, WeightedSum | Energy]) -> Rows:
    return Rows({p: (1.0 * objective).terms for p, objective in objectives.items()})


def basis(
    objectives: Mapping[str, WeightedSum | Energy],
    *,
    owners: Iterable[str] = (),
    energies: Iterable[Energy] = (E1, E2, E3, E4),
) -> Basis:
    """Return the passes through a node that every player needs, on all these energies."""
    return rows(objectives).basis([*objectives], [*energies], [*owners])


def written(found: Basis) -> dict[str, dict[str, str]]:
    """Return how each player's row is made: `{player: {label: coefficient}}`."""
    return {
        player: {_name(label): " + ".join(map(str, sum_)) for label, sum_ in way.items()}
        for player, way in found.ways.items()
    }


def _name(label: Label) -> str:
    return str(label) if isinstance(label, str) else f"E{(E1, E2, E3, E4).index(label) + 1}"


# --- the rank ---------------------------------------------------------------------------------


def test_proportional_rows_are_one_pass() -> None:
    """A minimax pair: rank 1, one player's row is the other's negative."""
    found = basis({"D": E1, "G": -E1})
    assert (found.labels, found.rank) == (("D",), 1)
    assert written(found) == {"D": {"D": "1"}, "G": {"D": "-1"}}


def test_the_rank_is_exact() -> None:
    """0.1 + 0.2 is not 0.3: as fractions of floats, neither are these rows proportional."""
    assert basis({"A": 0.3 * E1 + E2, "B": 0.6 * E1 + 2 * E2}).rank == 1
    assert basis({"A": 0.3 * E1 + E2, "B": (0.1 + 0.2) * E1 + E2}).rank == 2


@pytest.mark.parametrize("near", [1e-6, 1e-9, 1e-12, 2.0**-52])
def test_nearly_proportional_rows_are_two(near: float) -> None:
    """However near: nothing is subtracted from what is nearly the same."""
    found = basis({"A": E1 + E2, "B": (1 + near) * E1 + E2})
    assert (found.labels, found.rank) == (("A", "B"), 2)


def test_never_more_passes_than_energies() -> None:
    """Three players on two energies, none of whom is a sum of the others: these pass singly."""
    found = basis({"A": E1 + E2, "B": E1 - E2, "C": E1 + 2 * E2})
    assert (found.labels, found.rank) == ((E1, E2), 2)
    assert written(found)["C"] == {"E1": "1", "E2": "2"}


def test_eight_rows_of_one_direction_are_one_pass() -> None:
    """Eight generators against two critics on one logit each: one pass each, not eight."""
    found = basis({f"G{k}": -(2.0**k) * (E1 + E2) for k in range(8)})
    assert (found.labels, found.rank) == (("G7",), 1)


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
    assert basis(players, owners=["A"]).labels == ("A",)
    assert basis(players).labels == ("B",)
    assert written(basis(players, owners=["C"]))["B"] == {"C": "-2"}


def test_who_stands_for_most_is_the_head_even_of_owners() -> None:
    """A row with a symbol in it cannot make the row without."""
    players = {"A": fade * E1, "B": E1}
    assert basis(players, owners=["A"]).labels == ("B",)


def test_no_row_is_made_of_one_that_is_too_short() -> None:
    """A pass of weight 1e-30 would underflow on the way: the long row is no multiple of it."""
    long = {"A": 1e-30 * E1 + 1e-30 * E2, "B": E1 + E2}
    assert basis(long, owners=["A"]).labels == ("B",)
    owned = {"A": E1 + E2, "B": STEEPEST * (E1 + E2), "C": 2 * STEEPEST * (E1 + E2)}
    assert basis({"A": owned["A"], "B": owned["B"]}, owners=["A"]).labels == ("A",)
    assert basis({"A": owned["A"], "C": owned["C"]}, owners=["A"]).labels == ("C",)


def test_a_sum_has_no_steep_factors_either() -> None:
    """C = 1e30·A + B adds up exactly, and would be all underflow."""
    even = basis({"A": E1 + E4, "B": E2 + E3, "C": E1 + E4 + E2 + E3})
    assert even.labels == ("A", "B")
    steep = basis({"A": 1e-30 * (E1 + E4), "B": E2 + E3, "C": E1 + E4 + E2 + E3})
    assert steep.labels == ("A", "B", "C")


# --- symbols ----------------------------------------------------------------------------------


def test_symbols_multiply_and_never_divide() -> None:
    """E1 is not fade·E1 / fade, which is zero over zero when the weight has faded."""
    found = basis({"A": fade * E1 + fade * E2, "B": 2 * E1 + 2 * E2})
    assert written(found) == {"A": {"B": "0.5·fade(step)"}, "B": {"B": "1"}}
    for owners in (["A"], ["B"], []):
        found = basis({"A": fade * E1, "B": SCALE * (fade * E1)}, owners=owners)
        assert found.labels == ("A",)


def test_products_of_symbols_know_no_order() -> None:
    """s·t·E1 and t·s·E1 are one direction; s·s·E1 is s times s·E1."""
    assert basis({"A": fade * E1 * SCALE, "B": SCALE * E1 * fade}).rank == 1
    found = basis({"A": fade * E1 * fade + E2 * fade, "B": fade * E1 + E2})
    assert written(found)["A"] == {"B": "fade(step)"}


def test_two_symbols_are_two_rows_but_never_more_than_energies() -> None:
    """Nothing is known of how two symbols relate: not even that one may stand for the other."""
    found = basis({"A": E1 * SCALE, "B": -E1 * OTHER})
    assert (found.labels, found.rank) == ((E1,), 1)
    assert {p: [*way] for p, way in found.ways.items()} == {"A": [E1], "B": [E1]}
    assert basis({"A": fade * E1 + E2, "B": rise * E1 + E2}).rank == 2


def test_a_row_may_be_empty_of_nobody() -> None:
    """Whoever asks is given a way that makes its row, whatever the symbols."""
    found = basis({"A": fade * E1, "B": rise * E1, "C": E1 * SCALE, "D": fade * E1 + rise * E1})
    assert all(found.ways.values())


# --- nothing cancels --------------------------------------------------------------------------


def test_a_sum_of_two_rows_takes_no_pass_of_its_own() -> None:
    """C = A + B, where A and B share no energy or have the same sign on it."""
    found = basis({"A": E1 + E3, "B": E2 + E3, "C": E1 + E2 + 2 * E3})
    assert (found.labels, found.rank) == (("A", "B"), 2)
    assert written(found)["C"] == {"A": "1", "B": "1"}


def test_no_row_is_a_difference_of_two() -> None:
    """B = C − A: exact, but an infinity on A's energy would reach B. Three passes, rank two."""
    players = {"A": E1 + E4, "C": E1 + E2 + E3 + E4}
    found = basis(players | {"B": E2 + E3}, owners=["A", "C"])
    assert (found.labels, found.rank) == (("A", "C", "B"), 2)


def test_no_sum_cancels_once_symbols_have_values() -> None:
    """A = B + C, but with fade near −1 they are huge beside it; not if both have it."""
    players = {"B": E1 + E2 + E4, "C": fade * (E1 + E3), "A": E1 + E2 + E4 + fade * (E1 + E3)}
    assert basis(players).labels == ("B", "C", "A")
    same = {"B": fade * (E1 + E2), "C": fade * (E1 + E3), "A": fade * (2 * E1 + E2 + E3)}
    assert basis(same).labels == ("B", "C")


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
            _assert_sound(basis(sums, energies=energies), sums, energies)


def _assert_sound(
    found: Basis, sums: Mapping[str, WeightedSum], energies: tuple[Energy, ...]
) -> None:
    mine = rows(sums)
    assert found.rank <= len(found.labels) <= min(len(sums), len(energies))
    for player, way in found.ways.items():
        for energy in energies:
            parts = [
                sum(Fraction(w.factor) for w in factor)
                * sum(Fraction(w.factor) for w in mine.weight(label, energy))
                for label, factor in way.items()
            ]
            whole = sum(Fraction(w.factor) for w in mine.weight(player, energy))
            assert sum(parts) == whole
            assert sum(map(abs, parts)) == abs(whole)


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
    ("label", "energies", "touches"),
    [("A", [E1], True), ("A", [E2], False), (E1, [E1], True), (E1, [E2], False), ("B", [E2], True)],
)
def test_a_pass_touches_what_it_carries(
    label: Label, energies: list[Energy], touches: Callable[..., bool]
) -> None:
    assert rows({"A": E1, "B": E1 + E2}).touches(label, energies) is touches


def test_what_a_pass_starts_with() -> None:
    """A player's pass starts with its weights, an energy's with one; elsewhere nothing."""
    found = rows({"A": 0.5 * E1 + fade * E1 - E2})
    assert [str(w) for w in found.weight("A", E1)] == ["0.5", "fade(step)"]
    assert [str(w) for w in found.weight(E1, E1)] == ["1"]
    assert found.weight("A", E3) == found.weight(E1, E2) == ()


def test_weights_that_cancel_are_no_weights() -> None:
    """E1 − E1 is nothing to pull on."""
    assert not rows({"A": E1 + E2 - E1}).touches("A", [E1])
