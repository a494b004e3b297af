"""Fewer passes than directions: sums of rows, and never more passes than energies."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import nvn
from nvn.game.values import Energy
from nvn.planner.basis import Row
from nvn.planner.rank_reduction import MAX_SEARCH, reduce_rank
from tests.small import linear, mean, sgd, square, tensor

game = nvn.Game("rows")
x = game.batch("x")
E1, E2, E3 = ENERGIES = [nvn.energy(torch.sum, name=f"e{i}")(x) for i in (1, 2, 3)]
peak = nvn.energy(torch.amax, name="peak")
total = nvn.value(lambda *ts: torch.stack(ts).sum(dim=0), name="total")


def row(*numbers: float) -> Row:
    some = zip(ENERGIES, numbers, strict=True)
    return {energy: {frozenset(): Fraction(w)} for energy, w in some if w}


NOBODY: frozenset[str] = frozenset()
A, B, C = row(1, 1, 0), row(0, 0, 1), row(1, 1, 1)


def test_the_smallest_game_that_needs_it() -> None:
    """C = A + B, and there are three energies: two passes."""
    found = reduce_rank({"A": A, "B": B, "C": C}, NOBODY)
    assert found == {"A": {"A": 1}, "B": {"B": 1}, "C": {"A": 1, "B": 1}}


@pytest.mark.parametrize(
    "rows",
    [
        {"A": A, "C": C},  # two directions are two
        {"A": A, "B": B, "C": row(1, 2, 1)},  # independent
        {"A": row(1, -1, 1), "B": row(0, 1, 1), "C": row(1, 0, 2)},  # e2 would cancel
        {"A": A, "B": B, "C": row(1, 1, 2.0**25)},  # a steep factor
    ],
)
def test_nothing_is_gained(rows: dict[str, Row]) -> None:
    assert reduce_rank(rows, NOBODY) is None


def test_owners_rows_pass() -> None:
    """C's row may not be a sum where C owns the node; and no row is a difference."""
    assert reduce_rank({"A": A, "B": B, "C": C}, frozenset("C")) is None


def test_many_directions_are_not_searched() -> None:
    many = {f"P{i}": row(1, i, i * i) for i in range(1, MAX_SEARCH + 1)}
    assert reduce_rank({**many, "A": row(1, 0, 0)}, NOBODY) is None


numbers = st.sampled_from([0, 1, 2, 3, -1])


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.lists(st.tuples(numbers, numbers, numbers).filter(any), min_size=1, max_size=6))
def test_sums_are_exact_and_nothing_cancels(table: list[tuple[int, int, int]]) -> None:
    rows = {f"P{i}": row(*numbers) for i, numbers in enumerate(dict.fromkeys(table))}
    found = reduce_rank(rows, NOBODY)
    for player, parts in (found or {}).items():
        for energy in ENERGIES:
            summands = [x * _entry(rows[q], energy) for q, x in parts.items()]
            assert sum(summands) == _entry(rows[player], energy)
            assert sum(map(abs, summands)) == abs(_entry(rows[player], energy))


def _entry(of: Row, energy: Energy) -> Fraction:
    return of.get(energy, {}).get(frozenset(), Fraction(0))


# --- played -------------------------------------------------------------------------------------


def played(*weights: dict[str, float]) -> tuple[nvn.Plan, nvn.Game]:
    """Players whose sum a frozen critic judges, in three ways."""
    game = nvn.Game("crowd")
    x = game.batch("x")
    players = [game.player(f"P{i}", linear(seed=i)) for i in range(len(weights))]
    judged = game.frozen("J", linear())(total(*(player(x) for player in players)))
    energies: dict[str, Any] = {"e1": mean(judged), "e2": square(judged), "e3": peak(judged)}
    for player, row in zip(players, weights, strict=True):
        player.minimizes(sum((w * energies[e] for e, w in row.items()), 0.0 * energies["e1"]))
    return nvn.plan(game, nvn.simultaneous(*players)), game


@pytest.mark.parametrize(
    ("weights", "passes"),
    [
        # Three directions on three energies, of rank two.
        (({"e1": 1, "e2": 1}, {"e3": 1}, {"e1": 1, "e2": 1, "e3": 1}), 2),
        # Three directions on two energies, none a sum of the others.
        (({"e1": 1, "e2": 1}, {"e1": 1, "e2": -1}, {"e1": 1, "e2": 2}), 2),
        # As the first, but e1 would cancel.
        (({"e1": 1, "e2": 1}, {"e1": -1, "e3": 1}, {"e2": 1, "e3": 1}), 3),
    ],
)
def test_how_often_the_critic_is_gone_through(
    weights: tuple[dict[str, float], ...], passes: int
) -> None:
    plan, _ = played(*weights)
    assert plan.counts["J"]["backward"] == passes
    batch = {"x": tensor(4, 3)}
    names = [f"P{i}" for i in range(len(weights))]
    found = nvn.Engine(plan, sgd).gradients(batch, names)
    plain = nvn.Engine(plan, sgd, plain=True).gradients(batch, names)
    torch.testing.assert_close(found, plain)
