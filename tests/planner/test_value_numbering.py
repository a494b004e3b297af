"""Versions: which values of an iteration are the same tensor."""

from __future__ import annotations

from typing import Any

import pytest
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

import nvn
from nvn.planner.value_numbering import Versions, versions
from tests.small import Gan, gan, linear, mean


def normed() -> nn.Module:
    return nn.Sequential(linear(), nn.BatchNorm1d(3))


def spectral() -> nn.Module:
    return spectral_norm(linear())


def numbered(small: Gan, *moves: Any) -> tuple[Versions, ...]:
    plan = nvn.plan(small.game, nvn.alternating(*moves), partial=True)
    return versions(plan.turns(plan.whole), plan.graph.stateful)


def test_what_nobody_behind_it_has_changed_is_the_same() -> None:
    """D's step leaves G(z) alone, and changes D(G(z))."""
    small = gan()
    first, second = numbered(small, small.D, small.G)
    assert first.numbers[small.fake] == second.numbers[small.fake]
    judged = small.D(small.fake)
    assert first.numbers[judged] != second.numbers[judged]


def test_a_step_upstream_changes_all_that_is_made_of_it() -> None:
    small = gan()
    first, second = numbered(small, small.G, small.D)
    assert first.numbers[small.z] == second.numbers[small.z]
    for node in (small.fake, small.D(small.fake), small.fool):
        assert first.numbers[node] != second.numbers[node]


@pytest.mark.parametrize(
    ("fresh", "same"), [(False, {"x", "z", "G(z)"}), ("noise", {"x"}), (True, set())]
)
def test_fresh_moves_see_new_batches_or_new_draws(fresh: Any, same: set[str]) -> None:
    small = gan()
    first, second = numbered(small, small.D, nvn.move(small.D, fresh=fresh))
    kept = {str(v) for v in first.numbers if first.numbers[v] == second.numbers[v]}
    assert kept == same


def test_a_call_may_draw_so_new_draws_are_new_calls() -> None:
    """D(x) has nothing of the noise in it; but if it drops out, its mask is drawn anew."""
    small = gan()
    small.G.minimizes(mean(small.D(small.x)) + mean(small.G(small.x)))
    first, second = numbered(small, small.G, nvn.move(small.G, fresh="noise"))
    judged = small.D(small.x)
    assert judged not in first.numbers or first.numbers[judged] != second.numbers[judged]


@pytest.mark.parametrize("make", [normed, spectral])
def test_calls_chain_their_players_buffers(make: Any) -> None:
    """The second call of a turn starts with what the first has made of the buffers."""
    small = gan(critic=make())
    (first,) = numbered(small, small.D)
    calls = [node for node in first.numbers if node in first.starts]
    assert len(calls) == 2
    assert first.starts[calls[1]] == first.ends[calls[0]]
    assert first.kept == {"D": first.ends[calls[1]]}


@pytest.mark.parametrize("make", [normed, spectral])
def test_buffers_advance_in_their_owners_moves_alone(make: Any) -> None:
    """Before D has moved, G's move and D's start with the same buffers; not so afterwards."""
    small = gan(critic=make())
    first, second, third = numbered(small, small.G, small.D, small.G)
    judged = small.D(small.fake)
    (real,) = (n for n in second.starts if n is not judged)
    before = {first.starts[judged]} | {min(second.starts[judged], second.starts[real])}
    assert len(before) == 1
    assert first.kept == {}
    assert set(second.kept) == {"D"}
    assert third.starts[judged] == second.kept["D"]


def test_calls_in_eval_mode_start_with_the_turns_buffers() -> None:
    """Whatever the calls in training mode before them have made of these."""
    small = gan(critic=normed())
    still = small.D.method("forward", training=False)(small.x)
    small.D.minimizes(mean(still))
    (first,) = numbered(small, small.D)
    training = next(node for node in first.ends)
    assert first.starts[still] == first.starts[training]
    assert still not in first.ends


def test_same_calls_from_the_same_buffers_are_one() -> None:
    """With statistics too: the order of the calls is the same in both moves, so are the values."""
    small = gan(generator=normed())
    first, second = numbered(small, small.D, small.G)
    assert first.numbers[small.fake] == second.numbers[small.fake]
    assert second.kept == {"G": first.ends[small.fake]}


def test_the_worked_example() -> None:
    """The table at the head of value_numbering.py."""
    game = nvn.Game("numbers")
    x = game.batch("x")
    z = game.noise("z", 3, like=x)
    G, D = game.player("G", linear()), game.player("D", normed())
    fake = G(z)
    judged = D(fake)
    energy = mean(judged)
    D.minimizes(-energy)
    G.minimizes(energy)
    plan = nvn.plan(game, nvn.alternating(D, G))
    first, second = versions(plan.turns(plan.whole), plan.graph.stateful)
    assert first.numbers == {x: 0, z: 1, fake: 2, judged: 4, energy: 6}
    assert (first.starts, first.ends, first.kept) == ({judged: 3}, {judged: 5}, {"D": 5})
    assert second.numbers == {x: 0, z: 1, fake: 2, judged: 7, energy: 9}
    assert (second.starts, second.ends, second.kept) == ({judged: 5}, {judged: 8}, {})
