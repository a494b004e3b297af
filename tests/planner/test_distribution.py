"""Where several processes play: what is sent, and when."""

from dataclasses import replace

import pytest
from hypothesis import given

import nvn
from nvn import energies as en
from nvn.planner import ir
from nvn.planner.ir import Instruction
from nvn.planner.liveness import verify
from tests.games.specs import GameSpec
from tests.games.strategies import Taste, examples, games
from tests.games.styles import declare
from tests.small import gan, linear

# Random weights are sometimes all zero.
pytestmark = pytest.mark.filterwarnings("ignore:.*all weights of the objective of")

everything = Taste(kinds=("spectral", "dropout"), modes=True, slopes=True, related=True, moves=True)


def program(plan: nvn.Plan) -> ir.Program:
    plan = replace(plan, together=True)
    return plan.program(plan.whole)


def kinds(instructions: tuple[Instruction, ...]) -> list[str]:
    shown = (ir.Backward, ir.Average, ir.Arrive, ir.Step, ir.Means, ir.Mean)
    return [type(x).__name__ for x in instructions if isinstance(x, shown)]


@examples(60)
@given(games(everything))
def test_every_program_is_whole_and_every_step_goes_along_what_all_agree_on(spec: GameSpec) -> None:
    declared = declare(spec, spec.modules())
    made = program(nvn.plan(declared.game, declared.schedule))
    verify(made)
    waiting: set[str] = set()
    arrived: set[str] = set()
    for x in made.instructions:
        match x:
            case ir.Average(player, _):
                waiting.add(player)
            case ir.Arrive(player, _):
                waiting.remove(player)
                arrived.add(player)
            case ir.Step(player, _, _):
                arrived.remove(player)
            case ir.Backward():
                # What is on its way is complete.
                assert waiting.isdisjoint([*x.into, *(name for name, _ in x.players)])
    assert not waiting
    assert not arrived


def test_who_is_done_first_is_sent_while_the_others_are_computed() -> None:
    game = nvn.Game("two")
    x, y = game.batch("x", "y")
    f, g = game.player("f", linear(seed=1)), game.player("g", linear(seed=2))
    f.minimizes(en.mse(f(x), y))
    g.minimizes(en.mse(g(x), y))
    made = program(nvn.plan(game, nvn.simultaneous(f, g)))
    backwards = [*("Backward", "Average") * 2, "Arrive", "Arrive", "Step", "Step", "Means"]
    assert kinds(made.instructions) == backwards


def test_one_process_sends_nothing() -> None:
    plan = gan().plan
    assert not {"Average", "Arrive", "Means"} & {*kinds(plan.program(plan.whole).instructions)}
