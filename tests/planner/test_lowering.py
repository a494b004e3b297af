"""Lowering: programs in which nothing is computed twice, or held too long.

Whole programs, to be read, stand in tests/golden/programs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import nvn
from nvn import energies as en
from nvn.planner import ir
from nvn.planner.ir import Program
from nvn.planner.liveness import verify
from nvn.planner.lowering import LARGE, lower
from tests.small import adam, gan, linear, mean, mlp, sgd, square, tensor


def lowered(game: nvn.Game, *moves: Any, large: int = LARGE) -> Program:
    plan = replace(nvn.plan(game, nvn.alternating(*moves), partial=True), large=large)
    program = plan.program(plan.whole)
    verify(program)
    return program


def of(program: Program, *kinds: type[ir.Instruction]) -> list[Any]:
    return [x for x in program.instructions if isinstance(x, kinds)]


# --- what stands in one ---------------------------------------------------------------------


def test_one_player_takes_one_pass() -> None:
    """However many energies, calls and penalties."""
    small = gan()
    small.D.minimizes(mean(small.D(small.D(small.x))) + en.r1(small.D(small.x), small.x))
    small.D.minimizes(en.gradient_penalty(small.D(small.fake), small.fake))
    assert len(of(lowered(small.game, small.D), ir.Backward)) == 1


def test_values_are_reused_until_a_player_upstream_steps() -> None:
    """G(z) once for all of D's repetitions and for G's first; D(G(z)) each time."""
    small = gan()
    program = lowered(small.game, nvn.move(small.D, times=3), nvn.move(small.G, times=2), small.D)
    calls = [x.label for x in of(program, ir.Call)]
    assert calls.count("G(z)") == 3
    assert calls.count("D(G(z))") == 6
    assert calls.count("D(x)") == 4
    assert len(of(program, ir.Backward)) == 6


def learning(program: Program) -> list[tuple[str, bool]]:
    """Each call, and whether the player's parameters require gradients in it."""
    flags: dict[str, bool] = {}
    found = []
    for x in program.instructions:
        if isinstance(x, ir.RequiresGrad):
            flags[x.player] = x.value
        elif isinstance(x, ir.Call):
            found.append((x.label, flags.get(x.player, True)))
    return found


def test_a_graph_is_attached_for_the_turn_that_goes_back() -> None:
    """Opponents' calls don't learn, and what they make is a constant where nobody goes back."""
    small = gan()
    assert learning(lowered(small.game, small.G)) == [("G(z)", True), ("D(G(z))", False)]
    assert learning(lowered(small.game, small.D)) == [
        ("G(z)", False),
        ("D(G(z))", True),
        ("D(x)", True),
    ]


def test_parameters_require_gradients_again_at_the_end() -> None:
    small = gan()
    program = lowered(small.game, small.D, small.G, small.D)
    last = {x.player: x.value for x in of(program, ir.RequiresGrad)}
    assert last
    assert all(last.values())


def test_buffers_are_kept_in_their_owners_moves_alone() -> None:
    small = gan(
        generator=nn.Sequential(linear(), nn.BatchNorm1d(3)),
        critic=nn.Sequential(linear(), nn.BatchNorm1d(3), linear(3, 1)),
    )
    program = lowered(small.game, small.D, small.G)
    committed = [
        x.player if isinstance(x, ir.Step) else f"buffers of {x.player}"
        for x in of(program, ir.Step, ir.CommitBuffers)
    ]
    # D works on its own buffers in its own turn; so does G in D's, since it moves next.
    assert committed == ["D", "G"]
    assert [(x.label, x.copies) for x in of(program, ir.Call)] == [
        ("G(z)", False),
        ("D(G(z))", False),
        ("D(x)", False),
        ("D(G(z))", True),
    ]


def test_buffers_that_are_asked_for_as_they_were_are_not_worked_on() -> None:
    """A call in eval mode sees the buffers that the turn began with."""
    small = gan(critic=nn.Sequential(linear(), nn.BatchNorm1d(3), linear(3, 1)))
    small.D.minimizes(mean(small.D.method("forward", training=False)(small.x)))
    calls = of(lowered(small.game, small.D), ir.Call)
    ours = [(x.label, x.copies, x.evaluating) for x in calls if x.player == "D"]
    assert ours[0][1:] == (True, False)
    assert [x for x in ours if x[2]] == [("D.eval(x)", True, True)]


def test_buffers_that_several_calls_make_are_committed_by_their_owner() -> None:
    """Of two calls of G in D's turn, the second starts with what the first has made."""
    small = gan(generator=nn.Sequential(linear(), nn.BatchNorm1d(3)))
    both = mean(small.D(small.G(small.x))) + mean(small.D(small.fake))
    small.D.minimizes(both)
    small.G.minimizes(both)
    program = lowered(small.game, small.D, small.G)
    calls = [x for x in of(program, ir.Call) if x.player == "G"]
    assert [(x.copies, x.buffers is not None, x.becomes is not None) for x in calls] == [
        (True, False, True),
        (True, True, True),
    ]
    assert [x.player for x in of(program, ir.CommitBuffers)] == ["G"]


def test_looking_commits_nothing() -> None:
    small = gan(critic=nn.Sequential(linear(), nn.BatchNorm1d(3), linear(3, 1)))
    plan = nvn.plan(small.game, nvn.alternating(small.D), partial=True)
    program, _ = lower(plan.graph, plan.turns(plan.whole), steps=False)
    verify(program)
    assert not of(program, ir.Step, ir.CommitBuffers)
    assert all(x.copies for x in of(program, ir.Call) if x.player == "D")


def test_a_value_that_weighs_is_a_constant() -> None:
    """No pass goes back through a weight, though one goes through the value elsewhere."""
    small = gan()
    small.G.minimizes(small.fool.stop_gradient() * square(small.fake))
    (backward,) = of(lowered(small.game, small.G), ir.Backward)
    assert sorted(len(scale.slots) for scale, _ in backward.energies) == [0, 1]


def test_a_gradient_of_a_gradient_keeps_its_graph_though_no_pass_takes_it() -> None:
    """∂/∂b of something made of ∂D/∂b, as a weight: the inner gradient has to go onward."""
    small = gan()
    inner = nvn.gradient(small.D(small.x), small.x)
    outer = nvn.gradient(square(inner), small.x)
    small.G.minimizes(nvn.value(torch.sum)(outer) * mean(small.fake))
    graphs = {x.label: x.create_graph for x in of(lowered(small.game, small.G), ir.Gradient)}
    assert graphs[str(inner)]
    assert not graphs[str(outer)]


def test_a_gradient_of_a_gradient_is_played_as_it_is_plainly() -> None:
    """The same, played: on modules that bend, so that there is a second derivative."""
    found = []
    for plain in (False, True):
        small = gan(critic=mlp(3, 1, seed=2))
        inner = nvn.gradient(small.D(small.x), small.x)
        outer = nvn.gradient(square(inner), small.x)
        small.G.minimizes(nvn.value(torch.sum)(outer) * mean(small.fake))
        engine = small.engine(sgd, plain=plain)
        found.append(engine.gradients({"x": tensor(8, 3)}, "G")["G"])
    for key, expected in found[1].items():
        torch.testing.assert_close(found[0][key], expected)


def test_repetitions_that_take_nothing_new_take_nothing() -> None:
    small = gan()
    program = lowered(small.game, nvn.move(small.D, times=2), nvn.move(small.G, fresh="noise"))
    assert [x.fresh for x in of(program, ir.NextBatch)] == [True, "noise"]
    assert nvn.Engine(small.plan, adam).step({"x": tensor(8, 3)}).energies


# --- one pass, several, and when ---------------------------------------------------------------


def test_several_gradients_of_one_value_are_taken_in_one_pass() -> None:
    game = nvn.Game("two")
    x, y = game.batch("x", "y")
    D = game.player("D", mlp(6, 1))
    judged = D(nvn.value(beside)(x, y))
    by_x, by_y = nvn.gradient(judged, x), nvn.gradient(judged, y)
    D.minimizes(square(by_x) + square(by_y))
    (gradient,) = of(lowered(game, D), ir.Gradient)
    assert len(gradient.outs) == len(gradient.xs) == 2
    plan = nvn.plan(game, nvn.alternating(D))
    assert plan.counts == {"D": {"forward": 1, "backward": 2}}  # ∂y/∂x and y, and D's own


def beside(a: Tensor, b: Tensor) -> Tensor:
    return torch.cat([a, b], dim=1)


def order(program: Program) -> list[str]:
    """Calls, passes and steps, in order."""
    kinds = (ir.Call, ir.Backward, ir.Step)
    return [x.label if isinstance(x, ir.Call) else type(x).__name__ for x in of(program, *kinds)]


def test_large_players_go_back_through_one_part_before_the_next_is_computed() -> None:
    """D's judgment of the real is over before the fake is made, whatever was declared first."""
    small = gan()
    moves = small.D, small.G
    assert order(lowered(small.game, *moves, large=0)) == [
        "D(x)",
        "Backward",
        "G(z)",
        "D(G(z))",
        "Backward",
        "Step",
        "D(G(z))",
        "Backward",
        "Step",
    ]
    assert order(lowered(small.game, *moves))[:4] == ["G(z)", "D(G(z))", "D(x)", "Backward"]


def test_passes_add_up_where_parameters_keep_their_gradients() -> None:
    """Only a multiple of somebody else's pass is scaled, and so kept apart."""
    small = gan()
    apart = lowered(small.game, small.D, large=0)
    assert [x.into for x in of(apart, ir.Backward)] == [("D",), ("D",)]
    assert not of(apart, ir.Accumulate)
    small.G.minimizes(mean(small.fake))
    together = lowered(small.game, (small.D, small.G))
    assert {p for x in of(together, ir.Backward) for p in x.into} == {"D", "G"}


def test_a_chain_of_buffers_keeps_its_order_when_parts_are_taken_apart() -> None:
    """D(G(z)) is declared, and so normalized, before D(x), though D(x) goes back first."""
    critic = nn.Sequential(linear(), nn.BatchNorm1d(3), linear(3, 1))
    small = gan(critic=critic)
    calls = [x.label for x in of(lowered(small.game, small.D, large=0), ir.Call)]
    assert calls.index("D(G(z))") < calls.index("D(x)")


@pytest.mark.parametrize("large", [0, LARGE])
def test_a_slope_that_weighs_another_part_is_taken_before_its_graph_is_freed(large: int) -> None:
    """G's part is weighed by how steep D is at x, which D's own part goes back through."""
    found = []
    for plain in (False, True):
        game = nvn.Game("slope")
        x = game.batch("x")
        G, D = game.player("G", mlp(seed=1)), game.player("D", mlp(3, 1, seed=2))
        steepness = square(nvn.gradient(D(x), x))
        D.minimizes(square(D(x)))
        G.minimizes(steepness.stop_gradient() * mean(G(x)))
        plan = replace(nvn.plan(game, nvn.simultaneous(D, G)), large=large)
        engine = nvn.Engine(plan, sgd, plain=plain)
        found.append(engine.gradients({"x": tensor(8, 3)}, ["G", "D"]))
    for player, gradients in found[1].items():
        for key, expected in gradients.items():
            torch.testing.assert_close(found[0][player][key], expected)


# --- names --------------------------------------------------------------------------------------


def test_names_are_those_that_people_gave() -> None:
    small = gan()
    small.fake.named("fake")
    written = {x.out.name for x in of(lowered(small.game, small.D), ir.Call)}
    assert written == {"fake", "D_fake", "D_x"}


def test_a_frozen_player_stores_no_graph_of_its_parameters() -> None:
    """Though they require gradients: being frozen is a matter of the game."""
    game = nvn.Game("judged")
    x = game.batch("x")
    G, C = game.player("G", linear()), game.frozen("C", linear())
    G.minimizes(mean(C(G(x))))
    program = lowered(game, G)
    assert learning(program) == [("G(x)", True), ("C(G(x))", False)]
    C.module.requires_grad_(False)
    assert not of(lowered(game, G), ir.RequiresGrad)
