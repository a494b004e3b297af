"""Going back: the fewest passes through each node, cut only where passes are mixed anew."""

from __future__ import annotations

import sys
import warnings
from typing import Any

import pytest
import torch
from hypothesis import given

import nvn
from nvn import energies as en
from nvn.game.values import Value
from nvn.planner.backward import BackwardPlan, EdgeKind, backward_plan
from nvn.planner.rank_reduction import MAX_SEARCH
from tests.games.specs import GameSpec
from tests.games.strategies import Taste, examples, games
from tests.games.styles import declare
from tests.planner.exact import faults
from tests.small import Own, gan, linear, mean, mlp, sgd, square, tensor

total = nvn.value(lambda *ts: torch.stack(ts).sum(dim=0), name="total")


def back(game: nvn.Game, *players: Any) -> BackwardPlan:
    """Return how players go back who move together."""
    plan = nvn.plan(game, nvn.simultaneous(*players), partial=True)
    _, (played,) = plan.lowered(plan.whole)
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


# --- the worked example of backward.py ---------------------------------------------------------


class Paired(torch.nn.Linear):
    """Takes the sum of its inputs."""

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        return super().forward(torch.stack(inputs).sum(dim=0))


def test_the_worked_example() -> None:
    game = nvn.Game("2v2")
    weak, peak, label = game.batch("weak", "peak", "label")
    G, E, D, Dp = (game.player(name, Paired(3, 3)) for name in ("G", "E", "D", "Dp"))
    C = game.frozen("C", Paired(3, 3))
    f = E(weak)
    fake = G(weak, f)
    judged, peaked, recognized = D(fake, f), Dp(fake, f), C(fake)
    fool_D, fool_Dp = mean(judged), mean(peaked)
    mse, ce = en.mse(fake, peak), en.cross_entropy(recognized, label)
    G.minimizes(0.002 * fool_D + 0.002 * fool_Dp + mse + 0.1 * ce)
    E.minimizes(0.002 * fool_D + 0.002 * fool_Dp + ce)
    found = back(game, G, E)

    def made(node: Value) -> dict[str, dict[str, str]]:
        return {
            player: {
                x.name: " + ".join(map(str, c))
                for x, c in found.coefficients(node, found.matrix.row(player)).items()
            }
            for player in found.needed_by[node]
        }

    for node in (judged, fool_D, peaked, fool_Dp):
        assert made(node) == {"G": {"G": "1"}, "E": {"G": "1"}}
    for node in (recognized, ce):
        assert made(node) == {"G": {"E": "0.1"}, "E": {"E": "1"}}
    assert made(mse) == {"G": {"G": "1"}}
    assert made(fake) == {"G": {"G": "1"}, "E": {"E": "1"}}
    assert made(f) == {"E": {"E": "1"}}

    uses = [(fake, judged), (fake, peaked), (fake, recognized), (f, judged), (f, peaked)]
    assert found.cut_edges == {*uses}
    assert all(found.kind(*edge) is EdgeKind.LEAF for edge in uses)
    assert found.kind(f, fake) is found.kind(fake, mse) is EdgeKind.LIVE
    assert found.kind(weak, fake) is found.kind(label, ce) is EdgeKind.CONSTANT
    at_fake, shared, at_C, at_f, shared_f = (found.leaf_of[edge] for edge in uses)
    assert at_fake == shared
    assert at_f == shared_f
    assert len({at_fake, at_C, at_f}) == 3
    assert {frozenset(segment) for segment in found.segments} == {
        frozenset([judged, peaked, fool_D, fool_Dp]),
        frozenset([recognized, ce]),
        frozenset([mse, fake, f]),
    }
    assert found.segments[-1] == (f, fake, mse)
    assert not [*faults(game_graph(game), found)]


def game_graph(game: nvn.Game) -> Any:
    players = [p for p in game.players.values() if p.objective]
    return nvn.plan(game, nvn.simultaneous(*players), partial=True).graph


# --- exactly what everybody wants ---------------------------------------------------------------


@examples(60)
@given(games(Taste(slopes=True, related=True, moves=True, kinds=("dropout",), modes=True)))
def test_everybody_gets_exactly_what_it_descends(spec: GameSpec) -> None:
    """Random games: node by node and edge by edge, without computing anything."""
    declared = declare(spec, spec.modules())
    everybody = nvn.simultaneous(*(declared.game.players[p.name] for p in spec.active))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of weights that are all zero
        plans = [nvn.plan(declared.game, s, partial=True) for s in (declared.schedule, everybody)]
    for plan in plans:
        for turn in plan.turns(plan.whole):
            found = backward_plan(plan.graph, turn.terms)
            assert not [*faults(plan.graph, found)]


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


def test_gradients_that_lie_between_one_another_stay_in_one_piece() -> None:
    """Two by px and two by pz, each pair with one of the other's between: all four together."""
    game = nvn.Game("between")
    x, z = game.batch("x", "z")
    D, F, P, Q = (game.player(name, mlp(seed=i)) for i, name in enumerate("DFPQ"))
    px, pz, add = P(x), Q(z), nvn.value(torch.add, name="add")
    first = nvn.gradient(D(px), px)
    other = nvn.gradient(F(pz), pz)
    second = nvn.gradient(D(add(px, other)), px)
    last = nvn.gradient(F(add(pz, first)), pz)
    goal = en.mse(second, last)
    for player, weight in ((D, 1.0), (F, -2.0), (P, 3.0), (Q, 0.5)):
        player.minimizes(weight * goal)
    found = back(game, D, F, P, Q)
    assert len({found.segment_of[node] for node in (first, other, second, last)}) == 1
    assert_as_plain(game, [D, F, P, Q])


def in_two_ways(*, apart: bool) -> tuple[nvn.Game, list[nvn.Player], list[Value]]:
    """G's row stands for D's at two calls of D, but as two different multiples: D's are too short.

    What D judges is made of one value of G's, or of two.
    """
    game = nvn.Game("two ways")
    x, z = game.batch("x", "z")
    D, G = game.player("D", linear(seed=1)), game.player("G", linear(seed=2))
    fake = G(z)
    other = G(x) if apart else nvn.value(torch.sub, name="sub")(fake, x)
    one, two = mean(D(fake)), square(D(other))
    G.minimizes(one + two)
    D.minimizes(1e-30 * one + 1e-20 * two)
    return game, [D, G], [D(fake), D(other)]


@pytest.mark.parametrize("apart", [False, True])
def test_a_call_of_autograd_asks_for_parameters_in_one_way(apart: bool) -> None:
    """One call would add up D's two gradients before they are multiplied."""
    game, players, calls = in_two_ways(apart=apart)
    found = back(game, *players)
    assert [written(found, call) for call in calls] == [["G"], ["G"]]
    assert len({found.segment_of[call] for call in calls}) == 2
    assert_as_plain(game, players)


def test_no_pass_goes_by_for_a_player_who_is_not_below_it() -> None:
    """Two slopes by x, of P's call and of Q's: neither of the two is upstream of the other.

    P's row is a multiple of Q's, but Q's pass may not serve P at P(x): H(P(x)) takes it too,
    through which no pass of Q's goes.
    """
    game = nvn.Game("side by side")
    x = game.batch("x")
    P, Q = game.player("P", mlp(seed=1)), game.player("Q", mlp(seed=2))
    H = game.frozen("H", mlp(seed=3))
    p, q = P(x), Q(x)
    slopes = en.mse(nvn.gradient(p, x), nvn.gradient(q, x))
    beside = en.mse(H(p), q)
    P.minimizes(slopes + beside)
    Q.minimizes(2.5 * slopes + 2.5 * beside)
    found = back(game, P, Q)
    assert written(found, p) == ["P"]
    assert written(found, q) == ["Q"]
    assert_as_plain(game, [P, Q])


def assert_as_plain(game: nvn.Game, players: list[nvn.Player]) -> None:
    plan = nvn.plan(game, nvn.simultaneous(*players))
    names = [player.name for player in players]
    batch = {name: tensor(4, 3, seed=i) for i, name in enumerate(("x", "z"))}
    engines = (nvn.Engine(plan, sgd, plain=plain) for plain in (False, True))
    planned, plain = (engine.gradients(batch, names) for engine in engines)
    torch.testing.assert_close(planned, plain, rtol=1e-5, atol=0 if names == ["D", "G"] else 1e-7)


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


# --- many players -------------------------------------------------------------------------------


def many(makers: int, critics: int) -> tuple[nvn.Game, list[nvn.Player], list[nvn.Player]]:
    """What all makers make together, every critic judges; every maker weighs every judgement."""
    game = nvn.Game("many")
    G = [game.player(f"G{i}", Own()) for i in range(makers)]
    D = [game.player(f"D{k}", Own()) for k in range(critics)]
    made = total(*(maker() for maker in G))
    judged = [mean(critic(made)) for critic in D]
    for i, maker in enumerate(G):
        maker.minimizes(
            sum(((1.0 + (i * k + i) % 7) * e for k, e in enumerate(judged)), 0.0 * judged[0])
        )
    for critic, energy in zip(D, judged, strict=True):
        critic.minimizes(-energy)
    return game, G, D


def calls(makers: int, critics: int, kind: str) -> int:
    """Count the calls of Python functions while every turn's way back is planned."""
    game, G, D = many(makers, critics)
    schedules = {
        "together": nvn.simultaneous(*G, *D),
        "as teams": nvn.alternating(tuple(D), tuple(G)),
        "one by one": nvn.alternating(*D, *G),
    }
    plan = nvn.plan(game, schedules[kind])
    turns = plan.turns(plan.whole)
    count = 0

    def called(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(called)
    try:
        for turn in turns:
            backward_plan(plan.graph, turn.terms)
    finally:
        sys.setprofile(before)
    return count


@pytest.mark.parametrize("kind", ["together", "as teams", "one by one"])
def test_planning_grows_as_players_times_energies(kind: str) -> None:
    """Twice the makers and twice the critics: four times the work, by count, at most."""
    assert MAX_SEARCH < 12  # beyond it, no smaller basis is searched for
    small, large = calls(12, 12, kind), calls(24, 24, kind)
    assert large <= 4 * small
