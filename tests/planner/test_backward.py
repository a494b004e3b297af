"""Going back: the fewest passes through each node, cut only where passes are mixed anew."""

from __future__ import annotations

from typing import Any

import torch

import nvn
from nvn import energies as en
from nvn.game.values import Value
from nvn.planner.backward import BackwardPlan
from tests.small import gan, linear, mean, square

total = nvn.value(lambda *ts: torch.stack(ts).sum(dim=0), name="total")


def back(game: nvn.Game, *players: Any) -> BackwardPlan:
    """Return how players go back who move together."""
    plan = nvn.plan(game, nvn.simultaneous(*players), partial=True)
    (played,) = plan.program(plan.whole).turns
    return played.backward_plan


def crowd(*names: str) -> tuple[nvn.Game, list[nvn.Player], nvn.Value]:
    """A frozen critic judges what several players have made together."""
    game = nvn.Game("crowd")
    x = game.batch("x")
    players = [game.player(name, linear(seed=i)) for i, name in enumerate(names)]
    J = game.frozen("J", linear())
    return game, players, J(total(*(player(x) for player in players)))


def written(found: BackwardPlan, node: Value) -> list[str]:
    """Return what passes through a node, in words."""
    return [x.name for x in found.passes[node]]


# --- one pass where one will do ---------------------------------------------------------------


def test_one_player_goes_back_in_one_piece() -> None:
    """However many energies and calls: one plain backward."""
    small = gan()
    small.D.minimizes(mean(small.D(small.D(small.x))) + en.r1(small.D(small.x), small.x))
    found = back(small.game, small.D)
    assert not found.cut_edges
    assert len(found.segments) == 1
    assert all(written(found, node) == ["D"] for node in found.needed_by)


def test_one_pass_serves_a_minimax_pair() -> None:
    """Through D(G(z)) goes D's row, through G its negative: a gradient-reversal layer, found."""
    small = gan()
    found = back(small.game, small.D, small.G)
    judged = small.D(small.fake)
    assert written(found, judged) == ["D"]
    assert written(found, small.fake) == ["G"]
    assert {
        str(w) for way in found.coefficients(judged, found.matrix.row("G")).values() for w in way
    } == {"-1"}
    assert found.cut_edges == {(small.fake, judged)}


def test_eight_generators_pass_once_through_each_of_two_critics() -> None:
    game = nvn.Game("eight")
    x = game.batch("x")
    makers = [game.player(f"G{k}", linear(seed=k)) for k in range(8)]
    critics = [game.player(f"D{k}", linear(seed=k)) for k in range(2)]
    made = total(*(maker(x) for maker in makers))
    fools = [mean(critic(made)) for critic in critics]
    for critic, fool in zip(critics, fools, strict=True):
        critic.minimizes(-fool)
    for k, maker in enumerate(makers, start=1):
        maker.minimizes(k * fools[0] + 0.5 * k * fools[1])
    found = back(game, *critics, *makers)
    assert [len(found.passes[critic(made)]) for critic in critics] == [1, 1]
    assert [len(found.passes[maker(x)]) for maker in makers] == [1] * 8
    assert written(found, made) == ["G7"]  # whose row is the longest stands for all


def test_what_nobody_pulls_through_is_left_out() -> None:
    small = gan()
    found = back(small.game, small.G)
    assert small.D(small.x) not in found.needed_by
    assert found.needed_by[small.D(small.fake)] == ("G",)


# --- cuts -------------------------------------------------------------------------------------


def test_teammates_with_one_objective_are_not_cut() -> None:
    """A sum of two players' parts, one energy: autograd goes through everything at once."""
    game, (A, B), judged = crowd("A", "B")
    for player in (A, B):
        player.minimizes(mean(judged) + square(judged))
    found = back(game, A, B)
    assert not {edge for edge in found.cut_edges if judged in edge}
    assert len(found.passes[judged]) == 1


def test_energies_that_pass_one_by_one_do_so_from_the_start() -> None:
    """Three players, two energies, no sum: two passes, and no cut between energies and critic."""
    game, (A, B, C), judged = crowd("A", "B", "C")
    one, two = mean(judged), square(judged)
    A.minimizes(one + two)
    B.minimizes(one - two)
    C.minimizes(one + 2 * two)
    found = back(game, A, B, C)
    assert found.passes[judged] == (found.matrix.unit(one), found.matrix.unit(two))
    assert written(found, one) == [str(one)]
    assert written(found, two) == [str(two)]
    assert not {edge for edge in found.cut_edges if judged in edge}


def test_energies_do_not_pass_one_by_one_where_that_costs_more() -> None:
    """Upstream, five rows of four directions on three energies; downstream one row: four passes."""
    game = nvn.Game("settle")
    x = game.batch("x")
    A, B, C, D, E, F = (game.player(name, linear(seed=i)) for i, name in enumerate("ABCDEF"))
    made = total(*(player(x) for player in (A, B, C, D, F)))
    judged = E(made)
    one, two, three = mean(judged), square(judged), mean(made)
    A.minimizes(one + two + three)
    B.minimizes(one + two - three)
    C.minimizes(one + two + 2 * three)
    D.minimizes(one + two - 3 * three)
    E.minimizes(one + two)
    F.minimizes(-2 * one - 2 * two - 2 * three)  # as A does, the other way
    found = back(game, A, B, C, D, E, F)
    assert written(found, judged) == ["E"]
    assert written(found, made) == ["F", "B", "C", "D"]


def test_a_penalty_is_not_cut_on_its_way() -> None:
    """From x to y, what takes x takes the same tensor: the gradient goes through it."""
    small = gan()
    judged = small.D(small.fake)
    penalty = en.r1(judged, small.fake)
    small.D.minimizes(penalty)
    small.G.minimizes(2 * penalty)
    found = back(small.game, small.D, small.G)
    slope = next(node for node in found.needed_by if str(node).startswith("gradient("))
    assert (judged, slope) not in found.cut_edges
    assert {judged, slope} <= {*found.segments[found.segment_of[slope]]}


def test_segments_come_after_those_that_give_them_cotangents() -> None:
    small = gan()
    small.G.minimizes(mean(small.fake))
    found = back(small.game, small.D, small.G)
    assert found.cut_edges
    segment = found.segment_of
    assert all(segment[value] > segment[node] for value, node in found.cut_edges)


def test_every_node_is_in_exactly_one_segment() -> None:
    small = gan()
    found = back(small.game, small.D, small.G)
    nodes = [node for segment in found.segments for node in segment]
    assert sorted(nodes, key=id) == sorted(found.needed_by, key=id)


def test_no_pass_serves_another_where_its_player_has_nothing_to_do() -> None:
    """D's row may not stand for G's on the way to a slope, for G goes by another way too."""
    small = gan()
    slope = nvn.gradient(small.D(small.fake), small.z)
    H = small.game.frozen("H", linear())  # where D has nothing to do
    beside = en.mse(H(small.fake), slope)
    game = small.game
    small.G.minimizes(beside)
    small.D.minimizes(2.5 * beside)
    found = back(game, small.D, small.G)
    for value, node in found.cut_edges:
        for player in found.needed_by[value]:
            for x in found.coefficients(value, found.matrix.row(player)):
                if x.touches(found.energies_below[node]) and x.name != player:
                    assert found.coefficients(node, x), f"{x} at {node}"
