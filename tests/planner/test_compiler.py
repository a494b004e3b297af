"""Programs: a flat list of instructions, in which nothing is computed twice or held too long."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

import nvn
from nvn import energies as en
from nvn.planner import instructions as ins
from nvn.planner.instructions import Instruction
from nvn.planner.program import Program
from tests.small import adam, gan, linear, mean, mlp, sgd, square, tensor


def compiled(game: nvn.Game, *moves: Any) -> Program:
    plan = nvn.plan(game, nvn.alternating(*moves), partial=True)
    return plan.program(plan.whole)


def of(program: Program, *kinds: type[Instruction]) -> list[Any]:
    return [x for x in program.instructions if isinstance(x, kinds)]


def lines(program: Program) -> Iterator[str]:
    """Write a program down, slots by what they hold."""
    for x in program.instructions:
        yield _line(x, program.names)


def _line(x: Instruction, names: tuple[str, ...]) -> str:
    def factors(scale: ins.Scale) -> str:
        return " + ".join(f"{f.number:g}" for f in scale)

    match x:
        case ins.Take(fresh):
            return f"take {'a batch' if fresh is True else fresh}"
        case ins.Evaluate():
            given = ", ".join(names[s] for s in x.inputs.values())
            return f"evaluate {names[x.slot]}" + (f" from {given}" if given else "")
        case ins.Forward():
            given = ", ".join(names[s] for s in x.inputs.values())
            return f"call {names[x.slot]} from {given}" + (", to learn" if x.learns else "")
        case ins.Detach(_, slot) | ins.Cut(_, slot) | ins.View(_, slot):
            return f"make {names[slot]}"
        case ins.Pull():
            starts = [f"{factors(scale)} {names[slot]}" for slot, scale in x.seeds]
            starts += [
                f"{names[slot]} by " + " and ".join(f"{factors(c)} {names[s]}" for s, c in mixed)
                for slot, mixed in x.cotangents
            ]
            ends = [f"{name} times {factors(scale)}" for name, scale in x.players]
            ends += [names[slot] for _, slot in x.leaves]
            return f"pull {x.label} at {', '.join(starts)}: {', '.join(ends)}"
        case ins.Report():
            return f"report {', '.join(x.energies)}"
        case ins.Step(players):
            return f"step {', '.join(players)}"
        case ins.Keep(player):
            return f"keep the buffers of {player}"
        case ins.Drop(slots):
            return f"drop {', '.join(names[s] for s in slots)}"
    raise AssertionError(x)


# --- whole programs, to be read ---------------------------------------------------------------


def test_the_program_of_a_gan() -> None:
    """D, then G. The fake is made once, with a graph for G; D sees a constant."""
    small = gan()
    assert [*lines(compiled(small.game, small.D, small.G))] == [
        "take a batch",
        "evaluate x",
        "evaluate z from x",
        "call G(z) from z, to learn",
        "drop z",
        "make G(z) as a constant",
        "call D(G(z)) from G(z) as a constant, to learn",
        "drop G(z) as a constant",
        "evaluate fool from D(G(z))",
        "drop D(G(z))",
        "call D(x) from x, to learn",
        "drop x",
        "evaluate judge from D(x)",
        "drop D(x)",
        "report judge, fool",
        "pull D at -1 fool, 1 judge: D times 1",
        "drop fool, judge",
        "step D",
        "call D(G(z)) from G(z)",
        "drop G(z)",
        "evaluate fool from D(G(z))",
        "drop D(G(z))",
        "report fool",
        "pull G at 1 fool: G times 1",
        "drop fool",
        "step G",
    ]


def test_the_program_of_a_gan_that_moves_together() -> None:
    """One pass through D(G(z)) serves both: G goes on with its negative."""
    small = gan()
    assert [*lines(compiled(small.game, (small.D, small.G)))] == [
        "take a batch",
        "evaluate x",
        "evaluate z from x",
        "call G(z) from z, to learn",
        "drop z",
        "make G(z) cut",
        "call D(G(z)) from G(z) cut, to learn",
        "evaluate fool from D(G(z))",
        "drop D(G(z))",
        "call D(x) from x, to learn",
        "drop x",
        "evaluate judge from D(x)",
        "drop D(x)",
        "report judge, fool",
        "pull D at -1 fool, 1 judge: D times 1, cotangent of G(z), D",
        "drop fool, judge, G(z) cut",
        "pull G at G(z) by -1 cotangent of G(z), D: G times 1",
        "drop G(z), cotangent of G(z), D",
        "step D, G",
    ]


# --- what stands in one ---------------------------------------------------------------------


def test_one_player_takes_one_pull() -> None:
    """However many energies, calls and penalties."""
    small = gan()
    small.D.minimizes(mean(small.D(small.D(small.x))) + en.r1(small.D(small.x), small.x))
    small.D.minimizes(en.gradient_penalty(small.D(small.fake), small.fake))
    assert len(of(compiled(small.game, small.D), ins.Pull)) == 1


def test_values_are_reused_until_a_player_upstream_steps() -> None:
    """G(z) once for all of D's repetitions and for G's first; D(G(z)) each time."""
    small = gan()
    program = compiled(small.game, nvn.move(small.D, times=3), nvn.move(small.G, times=2), small.D)
    calls = [str(x.node) for x in of(program, ins.Forward)]
    assert calls.count("G(z)") == 3
    assert calls.count("D(G(z))") == 6
    assert calls.count("D(x)") == 4
    assert len(of(program, ins.Pull)) == 6


def test_a_graph_is_attached_for_the_turn_that_pulls() -> None:
    """Opponents' calls don't learn, and what they make is a constant where nobody pulls."""
    small = gan()
    learns = [(str(x.node), x.learns) for x in of(compiled(small.game, small.G), ins.Forward)]
    assert learns == [("G(z)", True), ("D(G(z))", False)]
    learns = [(str(x.node), x.learns) for x in of(compiled(small.game, small.D), ins.Forward)]
    assert learns == [("G(z)", False), ("D(G(z))", True), ("D(x)", True)]


def test_every_slot_is_dropped_right_after_it_is_last_needed() -> None:
    """Whatever is written is read no later than just before it is dropped, and never after."""
    small = gan(generator=nn.Sequential(linear(), nn.BatchNorm1d(3)))
    small.D.minimizes(en.r1(small.D(small.x), small.x))
    program = compiled(small.game, small.D, (small.D, small.G))
    dropped: set[int] = set()
    names = list(program.names)
    for before, now in zip(program.instructions, program.instructions[1:], strict=False):
        text = _slots(before)
        assert not text & dropped
        if isinstance(now, ins.Drop):
            assert {*now.slots} <= text
            dropped |= {*now.slots}
    assert dropped == {*range(len(names))}


def _slots(x: Instruction) -> set[int]:
    match x:
        case ins.Evaluate():
            return {x.slot, *x.inputs.values()}
        case ins.Forward():
            return {s for s in (x.slot, x.state, x.becomes, *x.inputs.values()) if s is not None}
        case ins.Detach(a, b) | ins.Cut(a, b) | ins.View(a, b):
            return {a, b}
        case ins.Keep(_, state):
            return {state}
        case ins.Report():
            weights = (s for ts in x.objectives.values() for t in ts for f in t[1] for s in f.slots)
            ends = (slot for terms in x.objectives.values() for slot, _ in terms)
            return {*x.energies.values(), *ends, *weights}
        case ins.Pull():
            mixed = {s for _, sources in x.cotangents for s, _ in sources}
            ends = {s for s, _ in x.cotangents} | {s for pair in x.leaves for s in pair}
            return {s for s, _ in x.seeds} | mixed | ends
    return set()


def test_buffers_are_kept_in_their_owners_moves_alone() -> None:
    small = gan(
        generator=nn.Sequential(linear(), nn.BatchNorm1d(3)),
        critic=nn.Sequential(linear(), nn.BatchNorm1d(3), linear(3, 1)),
    )
    program = compiled(small.game, small.D, small.G)
    steps = [x for x in program.instructions if isinstance(x, ins.Step | ins.Keep)]
    assert [x.player if isinstance(x, ins.Keep) else x.players for x in steps] == [
        ("D",),
        "D",
        ("G",),
        "G",
    ]


def test_a_value_that_weighs_is_a_constant() -> None:
    """No pass goes back through a weight, though the value is pulled through elsewhere."""
    small = gan()
    small.G.minimizes(small.fool.stop_gradient() * square(small.fake))
    (pull,) = of(compiled(small.game, small.G), ins.Pull)
    scales = [scale for _, scale in pull.seeds]
    assert [len(factor.slots) for scale in scales for factor in scale] == [0, 1]


def test_a_gradient_of_a_gradient_keeps_its_graph_though_nobody_pulls() -> None:
    """∂/∂b of something made of ∂D/∂b, as a weight: the inner gradient has to go onward."""
    small = gan()
    inner = nvn.gradient(small.D(small.x), small.x)
    outer = nvn.gradient(square(inner), small.x)
    small.G.minimizes(nvn.value(torch.sum)(outer) * mean(small.fake))
    onward = {str(x.node): x.onward for x in of(compiled(small.game, small.G), ins.Evaluate)}
    assert onward[str(inner)]
    assert not onward[str(outer)]


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
    program = compiled(small.game, nvn.move(small.D, times=2), nvn.move(small.G, fresh="noise"))
    assert [x.fresh for x in of(program, ins.Take)] == [True, "noise"]
    assert nvn.Engine(small.plan, adam).step({"x": tensor(8, 3)}).energies
