"""Which passes tell pulls, how many they are, and how often that is little."""

from __future__ import annotations

import nvn
from nvn.planner.pulling import interval, pull_plan, weighed
from tests.small import gan, linear, mlp, square


def test_an_energy_that_two_players_weigh_is_one_pass() -> None:
    declared = gan()
    planned = pull_plan(declared.plan, weighed(declared.plan, 0))
    assert dict(planned.passes) == {declared.judge: ("D",), declared.fool: ("D", "G")}
    assert planned.counts == {
        "G": {"forward": 1, "backward": 1},
        "D": {"forward": 2, "backward": 2},
    }


def test_a_player_with_one_energy_alone_needs_no_pass() -> None:
    declared = gan()
    planned = pull_plan(declared.plan, weighed(declared.plan, 0))
    assert planned.alone == {"G": declared.fool}
    rest = planned.without(planned.alone)
    assert rest.terms.keys() == {"D"}
    assert rest.counts["G"] == {"forward": 1, "backward": 0}


def test_teammates_who_meet_are_not_alone() -> None:
    game = nvn.Game("team")
    x = game.batch("x")
    A, B = game.team("makers", A=linear(seed=1), B=linear(seed=2))
    made = nvn.value(lambda a, b: a * b)(A(x), B(x)).named("made")
    energy = square(nvn.value(lambda y: y + 1)(made))
    A.minimizes(energy)
    B.minimizes(energy)
    plan = nvn.plan(game, nvn.simultaneous(A, B))
    planned = pull_plan(plan, weighed(plan, 0))
    assert planned.meetings == {made: ("A", "B")}  # not what is made of it
    assert not planned.alone


def test_looking_takes_one_percent_of_the_passes_at_most() -> None:
    game = nvn.Game("many")
    x = game.batch("x")
    G, D = game.player("G", mlp()), game.player("D", mlp(3, 1))
    scale = [nvn.value(lambda y, k=k: k * y) for k in range(20)]
    energies = [square(fn(G(x))) for fn in scale]
    G.minimizes(sum(energies[1:], start=1 * energies[0]))
    D.minimizes(square(D(x)))
    plan = nvn.plan(game, nvn.alternating(D, G))
    # A step: 2 calls and 2 passes back. A look: 1 call, of G, and a pass back for each energy.
    assert 100 * (1 + 2 * 20) / (2 + 2 * 2) < 700
    assert interval(plan) == 700  # the next multiple of 50
    assert interval(gan().plan) == 100  # never more often
