"""Emission: each instruction as the line of Python that an expert would write."""

from __future__ import annotations

import ast
from typing import Any

import pytest

import nvn
from nvn.planner import ir
from nvn.planner.emit import Emitter, amount, folded, mixed
from nvn.planner.ir import Constant, Factor, Program, Scale, Slot, quoted
from tests.small import gan, linear, mean, sgd, tensor

A, B = Slot("a"), Slot("b")
ONE, HALF = Scale((Factor(1.0),)), Scale((Factor(0.5),))


def lines(*instructions: ir.Instruction) -> list[str]:
    source = Emitter(Program("test", (*instructions, ir.RequiresGrad("X", True)), {}, {})).emit()
    ast.parse(source.text)
    return [line.removeprefix("    ") for line in source.text.splitlines()[1:-2]]


@pytest.mark.parametrize(
    ("instruction", "expected"),
    [
        (ir.NextBatch(True), "batch = run.next_batch()"),
        (ir.NextBatch("noise"), "run.redraw()"),
        (ir.Entry(A, 'it"s'), 'a = batch["it\\"s"]'),
        (ir.Noise(A, "z", (16,), B, 255), 'a = run.noise("z", (16,), b, 0xFF)'),
        (ir.Sample(A, "w", Constant("draw"), 255), 'a = run.sample("w", draw, 0xFF)'),
        (ir.Seed(255, ("D", "G")), 'run.seed(0xFF, "D", "G")'),
        (ir.Call(A, "D", "forward", (B,), {"k": 1}), "a = D(b, k=1)"),
        (ir.Call(A, "D", "encode", (B,), {}), "a = D.encode(b)"),
        (ir.Apply(A, Constant("f"), ([B, 2],), {}), "a = f([b, 2])"),
        (ir.Item(A, B, (0, slice(None))), "a = b[0, :]"),
        (ir.Gradient((A,), B, (Slot("x"),), True), "a, = gradient(b, [x], create_graph=True)"),
        (ir.Detach(A, B), "a = detached(b)"),
        (ir.Leaf(A, B), "a = leaf(b)"),
        (ir.Alias(A, B), "a = alias(b)"),
        (ir.Accumulate(A, None, HALF, B), "a = accumulate(None, 0.5, b)"),
        (ir.Record(A, B), "a = recorded(b)"),
        (ir.Step("D", None, "D"), 'run.step("D")'),
        (ir.Step("D", A, "D"), 'run.step("D", a)'),
        (ir.Step("D", None, "D:slow"), 'run.step("D", optimizer="D:slow")'),
        (
            ir.RequirePaths((("D", None),)),
            'run.require_path("D", [p.grad for p in D_params])',
        ),
        (ir.CommitBuffers("D", A), "commit(D_places, a)"),
        (ir.Free((A, B)), "del a, b"),
        (
            ir.Backward("D", ((HALF, A), (ONE, B)), (), ("D",), (), (), False),
            "backward([a, b], [0.5, 1.0], D_params)",
        ),
        (
            ir.Backward("D", ((ONE, A),), (), ("D",), alone=True),
            "backward([a], [1.0])",
        ),
        (
            ir.Backward("D", ((ONE, A),), (), ("D", "E"), (), (), True),
            "backward([a], [1.0], [*D_params, *E_params], retain_graph=True)",
        ),
        (
            ir.Backward("G", (), ((B, ((ONE, Slot("c")),)),), (), (("G", Slot("g")),), (), False),
            "[g] = vjp([b], [c], [], [G_params])",
        ),
        (
            ir.Backward("D", ((ONE, A),), (), ("D",), (), ((B, Slot("d")),), False),
            "[d] = vjp([a], [1.0], D_params, [], [b])",
        ),
    ],
)
def test_an_instruction_is_a_line(instruction: ir.Instruction, expected: str) -> None:
    assert lines(instruction) == [expected]


def test_what_a_call_works_on_stands_around_it() -> None:
    call = ir.Call(A, "D", "forward", (B,), {}, True, True, Slot("s"), Slot("t"))
    assert lines(call) == ["with evaluating(D), on_copies(D_places, s) as t:", "    a = D(b)"]


def test_parameters_are_told_one_by_one() -> None:
    assert lines(ir.RequiresGrad("D", False)) == [
        "for p in D_params:",
        "    p.requires_grad = False",
    ]


def test_long_calls_take_a_line_an_argument() -> None:
    energies = tuple((ONE, Slot(f"a_rather_long_name_{i}")) for i in range(5))
    found = lines(ir.Backward("G", energies, (), ("G",), (), (), False))
    assert found[0] == "backward("
    assert found[-1] == ")"
    assert all(len(line) < 110 for line in found[2:])


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("f(a, b)", ["f(a, b)"]),
        (
            "[one] = f([two, three], g(x=4))",
            ["[one] = f(", "    [two, three],", "    g(x=4),", ")"],
        ),
        ("with (first(a), second(b)):", ["with (", "    first(a),", "    second(b),", "):"]),
        ('f("a, (b", "c, d, e, f, g")', ["f(", '    "a, (b",', '    "c, d, e, f, g",', ")"]),
        # A comma would make a tuple of what is only held together.
        ("y = (first - second).mean()", ["y = (", "    first - second", ").mean()"]),
        ("y = [abc for a, b in zip(c)]", ["y = [", "    abc for a, b in zip(c)", "]"]),
        ("a_long_name = another_long_name", ["a_long_name = another_long_name"]),
    ],
)
def test_long_lines_are_folded_at_their_outermost_brackets(line: str, expected: list[str]) -> None:
    assert [*folded(line, 26)] == expected


def test_weights_are_written_as_products_and_sums() -> None:
    ramp = Constant("ramp")
    assert amount(Scale((Factor(0.5), Factor(2.0)))) == "2.5"
    assert amount(Scale((Factor(2.0, (ramp,)), Factor(0.5, (), (A, B))))) == (
        "2.0 * float(ramp(step)) + a * b * 0.5"
    )
    assert amount(Scale((Factor(1.0, (), (A,)),))) == "a"
    assert mixed(((ONE, A),)) == "a"
    assert mixed(((HALF, A), (ONE, B))) == "total((0.5, a), (1.0, b))"


@pytest.mark.parametrize("text", ["plain", 'with "quotes"', "it's", "back\\slash", "new\nline"])
def test_strings_come_back_as_they_were(text: str) -> None:
    assert quoted(text).startswith('"')
    assert ast.literal_eval(quoted(text)) == text


def test_every_line_of_a_loop_belongs_to_its_instruction() -> None:
    plan = gan().plan
    program = plan.program(plan.whole)
    source = Emitter(program).emit()
    written: Any = source.text.splitlines()
    for number, position in source.lines.items():
        line, instruction = written[number - 1], program.instructions[position]
        names = [slot.name for slot in (*instruction.reads, *instruction.writes)]
        if isinstance(instruction, ir.Call | ir.Apply | ir.Detach):
            assert all(name in line for name in names), line
    assert {*source.lines.values()} >= {
        i for i, x in enumerate(program.instructions) if not isinstance(x, ir.Free)
    }


def test_functions_of_the_step_see_it() -> None:
    small = gan()
    small.G.minimizes(rising * small.fool)
    engine = small.engine()
    first, second = (engine.step({"x": tensor(8, 3)}) for _ in range(2))
    assert first.objectives["G"] == first.energies["fool"]
    assert second.objectives["G"] == pytest.approx(2 * second.energies["fool"])


def rising(step: int) -> float:
    return float(step)


def test_players_and_values_may_be_called_anything() -> None:
    """A file name is no identifier, a keyword neither; the loop uses some names itself."""
    game = nvn.Game("names")
    x = game.batch("for")
    players = [game.player(name, linear()) for name in ("G-1", "G.1", "batch", "class", "vjp")]
    for player in players:
        player.minimizes(mean(player(x)).named(f"it's {player.name}\n of"))
    engine = nvn.Engine(nvn.plan(game, nvn.simultaneous(*players)), sgd)
    record = engine.step({"for": tensor(8, 3)})
    assert record.gradient_norms.keys() == {"G-1", "G.1", "batch", "class", "vjp"}


def test_values_may_have_the_names_that_the_loop_uses() -> None:
    """`for p in D_params` once overwrote a value called p, and `run` was the engine's no more."""
    found = []
    for plain in (False, True):
        game = nvn.Game("names")
        p, run, recorded = game.batch("p", "run", "recorded")
        A, B = game.player("A", linear(seed=1)), game.player("B", linear(seed=2))
        A.minimizes(mean(B(A(p))))
        B.minimizes(mean(B(A(run))) + mean(B(recorded)) + mean(B(p)))
        engine = nvn.Engine(nvn.plan(game, nvn.alternating(B, A, B)), sgd, plain=plain)
        found.append(engine.step({name: tensor(8, 3) for name in ("p", "run", "recorded")}))
    assert found[0].energies == pytest.approx(found[1].energies, abs=1e-6)
