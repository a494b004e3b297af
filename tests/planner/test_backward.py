"""Going back: the fewest passes through each node, cut only where passes are mixed anew."""

from __future__ import annotations

from typing import Any

import torch

import nvn
from nvn import energies as en
from nvn.game.values import Value
from nvn.planner.backward import Pulling
from tests.small import gan, linear, mean, square

total = nvn.value(lambda *ts: torch.stack(ts).sum(dim=0), name="total")


def back(game: nvn.Game, *players: Any) -> Pulling:
    """Return how players go back who move together."""
    plan = nvn.plan(game, nvn.simultaneous(*players), partial=True)
    (played,) = plan.lowered(plan.whole)[1]
    return played.back


def crowd(*names: str) -> tuple[nvn.Game, list[nvn.Player], nvn.Value]:
    """A frozen critic judges what several players have made together."""
    game = nvn.Game("crowd")
    x = game.batch("x")
    players = [game.player(name, linear(seed=i)) for i, name in enumerate(names)]
    J = game.frozen("J", linear())
    return game, players, J(total(*(player(x) for player in players)))


def written(found: Pulling, node: Value) -> list[str]:
    """Return what passes through a node, in words."""
    return [str(label) for label in found.labels(node)]


# --- one pass where one will do ---------------------------------------------------------------


def test_one_player_goes_back_in_one_piece() -> None:
    """However many energies and calls: one plain backward."""
    small = gan()
    small.D.minimizes(mean(small.D(small.D(small.x))) + en.r1(small.D(small.x), small.x))
    found = back(small.game, small.D)
    assert not found.cuts
    assert len(found.parts) == 1
    assert all(basis.labels == ("D",) for basis in found.bases.values())


def test_one_pass_serves_a_minimax_pair() -> None:
    """Through D(G(z)) goes D's row, through G its negative: a gradient-reversal layer, found."""
    small = gan()
    found = back(small.game, small.D, small.G)
    judged = small.D(small.fake)
    assert written(found, judged) == ["D"]
    assert written(found, small.fake) == ["G"]
    assert {str(w) for way in found.way(judged, "G").values() for w in way} == {"-1"}
    assert found.cuts == {(small.fake, judged)}


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
    assert [len(found.labels(critic(made))) for critic in critics] == [1, 1]
    assert [len(found.labels(maker(x))) for maker in makers] == [1] * 8
    assert written(found, made) == ["G7"]  # whose row is the longest stands for all


def test_what_nobody_pulls_through_is_left_out() -> None:
    small = gan()
    found = back(small.game, small.G)
    assert small.D(small.x) not in found.need
    assert found.need[small.D(small.fake)] == ("G",)


# --- cuts -------------------------------------------------------------------------------------


def test_teammates_with_one_objective_are_not_cut() -> None:
    """A sum of two players' parts, one energy: autograd goes through everything at once."""
    game, (A, B), judged = crowd("A", "B")
    for player in (A, B):
        player.minimizes(mean(judged) + square(judged))
    found = back(game, A, B)
    assert not {edge for edge in found.cuts if judged in edge}
    assert len(found.labels(judged)) == 1


def test_energies_that_pass_one_by_one_do_so_from_the_start() -> None:
    """Three players, two energies, no sum: two passes, and no cut between energies and critic."""
    game, (A, B, C), judged = crowd("A", "B", "C")
    one, two = mean(judged), square(judged)
    A.minimizes(one + two)
    B.minimizes(one - two)
    C.minimizes(one + 2 * two)
    found = back(game, A, B, C)
    assert found.labels(judged) == (one, two)
    assert found.labels(one) == (one,)
    assert found.labels(two) == (two,)
    assert not {edge for edge in found.cuts if judged in edge}


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
    slope = next(node for node in found.need if str(node).startswith("gradient("))
    assert (judged, slope) not in found.cuts
    assert next(part for part in found.parts if slope in part) >= {judged, slope}


def test_parts_come_after_those_that_give_them_cotangents() -> None:
    small = gan()
    small.G.minimizes(mean(small.fake))
    found = back(small.game, small.D, small.G)
    place = {node: i for i, part in enumerate(found.parts) for node in part}
    assert found.cuts
    assert all(place[value] > place[node] for value, node in found.cuts)


def test_every_node_is_in_exactly_one_part() -> None:
    small = gan()
    found = back(small.game, small.D, small.G)
    nodes = [node for part in found.parts for node in part]
    assert sorted(nodes, key=id) == sorted(found.need, key=id)


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
    for value, node in found.cuts:
        for player in found.need[value]:
            for label in found.way(value, player):
                rows = found.rows
                if rows.touches(label, found.below[node]) and label != player:
                    assert found.way(node, label), f"{label} at {node}"
