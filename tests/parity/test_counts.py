"""`plan.counts` against the calls and backward passes that really happen, on random games."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given
from torch import Tensor, nn

import nvn
from nvn import energies as en
from tests.games.specs import GameSpec, Net, PlayerSpec, batches
from tests.games.strategies import Taste, examples, games
from tests.games.styles import declare

pytestmark = pytest.mark.filterwarnings("error")

SGD = partial(torch.optim.SGD, lr=0.01)


class Tally:
    """Counts, by hooks, the calls of modules and the gradients that go back through a call.

    A call of a `Net`, of any of its methods, goes through its part `joint` exactly once, and all it
    returns is made from what comes out there: a hook on that tensor fires once for each backward
    pass that goes through the call, for inputs, parameters or both.
    """

    def __init__(self, modules: Mapping[str, nn.Module]) -> None:
        self.forward: Counter[str] = Counter()
        self.backward: Counter[str] = Counter()
        for name, module in modules.items():
            assert isinstance(module, Net)
            module.joint.register_forward_hook(partial(self._called, name))

    def _called(self, name: str, module: nn.Module, args: Any, output: Tensor) -> None:
        self.forward[name] += 1
        if output.requires_grad:
            output.register_hook(partial(self._passed, name))

    def _passed(self, name: str, gradient: Tensor) -> None:
        self.backward[name] += 1

    def clear(self) -> None:
        self.forward.clear()
        self.backward.clear()

    def counts(self, names: list[str]) -> dict[str, dict[str, int]]:
        return {n: {"forward": self.forward[n], "backward": self.backward[n]} for n in names}


def assert_counted(plan: nvn.Plan, modules: Mapping[str, nn.Module]) -> None:
    """The first iteration, in which every move happens, makes the passes that the plan says."""
    tally = Tally(modules)
    engine = nvn.Engine(plan, SGD)
    engine.check(next(batches()))
    tally.clear()
    engine.step(batches())
    assert plan.counts == tally.counts(list(plan.counts))


def check_counts(spec: GameSpec) -> None:
    modules = spec.modules()
    declared = declare(spec, modules)
    assert_counted(nvn.plan(declared.game, declared.schedule), modules)


# Gradients inside a game (nvn.gradient) are passes of their own kind: not counted here.
counted_games = games(Taste(penalties=False, zeros=False))


@examples(45)
@given(counted_games)
def test_counts_are_the_passes_made(spec: GameSpec) -> None:
    """Forward: how often a module is called. Backward: how often a gradient goes back through."""
    check_counts(spec)


@pytest.mark.slow
@examples(1500, new=True)
@given(counted_games)
def test_counts_of_many_more_games(spec: GameSpec) -> None:
    """The same on games never drawn before."""
    check_counts(spec)


# --- by hand ------------------------------------------------------------------------------------


def nets(*names: str) -> dict[str, nn.Module]:
    return {name: PlayerSpec(name, seed=i).module() for i, name in enumerate(names)}


def test_the_counts_of_a_gan() -> None:
    """D, then G: D moves through two calls, G's gradient goes back through D and G."""
    modules = nets("G", "D")
    game = nvn.Game("gan")
    a, b = game.batch("a", "b")
    G, D = (game.player(name, module) for name, module in modules.items())
    adv = en.NonSaturating()
    fake = G(b)
    D.minimizes(adv.real(D(a)) + adv.fake(D(fake)))
    G.minimizes(adv.fool(D(fake)))
    plan = nvn.plan(game, nvn.alternating(nvn.move(D, times=2), G))
    expected = {"G": {"forward": 1, "backward": 1}, "D": {"forward": 5, "backward": 5}}
    assert plan.counts == expected
    assert_counted(plan, modules)


def test_no_gradient_goes_back_through_what_is_stopped() -> None:
    """C(G(a)) serves as a target: it is called, but no gradient goes back through C."""
    modules = nets("G", "C")
    game = nvn.Game("stopped")
    a = game.batch("a")
    G, C = game.player("G", modules["G"]), game.frozen("C", modules["C"])
    made = G(a)
    G.minimizes(en.mse(made, C(made).stop_gradient()))
    plan = nvn.plan(game, nvn.alternating(G))
    expected = {"G": {"forward": 1, "backward": 1}, "C": {"forward": 1, "backward": 0}}
    assert_counted(plan, modules)
    assert plan.counts == expected


def test_an_energy_of_weight_zero_costs_nothing() -> None:
    """A weight that is always zero (an ablation): nothing is computed, nothing is counted."""
    modules = nets("G", "C")
    game = nvn.Game("ablation")
    a, b = game.batch("a", "b")
    G, C = game.player("G", modules["G"]), game.frozen("C", modules["C"])
    made = G(a)
    G.minimizes(en.mse(made, b) + 0.0 * en.mse(C(made), b))
    plan = nvn.plan(game, nvn.alternating(G))
    expected = {"G": {"forward": 1, "backward": 1}, "C": {"forward": 0, "backward": 0}}
    assert_counted(plan, modules)
    assert plan.counts == expected
