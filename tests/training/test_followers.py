"""Averages and earlier selves in whole runs: phases, weights, looking, applying, diverging."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn

import nvn
from nvn import energies as en
from nvn.errors import RunError
from nvn.training.hooks import hook
from tests.small import linear, tensor

DATA = [{"x": tensor(4, 3, seed=seed)} for seed in range(3)]


def recipe(generator: nn.Module | None = None, **changes: Any) -> nvn.Recipe:
    """A phase in which G alone moves, then the game; both averages and earlier selves are used."""
    game = nvn.Game("followed")
    x = game.batch("x")
    G = game.player("G", generator or linear(seed=1))
    D = game.player("D", linear(seed=2))
    smooth = game.average("G_ema", G, half_life=3, unit="steps")
    old = game.past("G_old", G, every=2, keep=2)
    made = smooth(x)
    G.minimizes(en.mse(G(x), x) + en.mse(G(x), made.stop_gradient()))
    D.minimizes(en.mse(D(G(x)), x) + en.mse(D(old(x)), x))

    def measure(engine: nvn.Engine) -> dict[str, float]:
        (found,) = engine.values(DATA[0], [made])
        return {"mean": found.mean().item()}

    def picture(engine: nvn.Engine, image: Image.Image) -> Image.Image:
        (found,) = engine.values({"x": torch.eye(3)}, [made])
        return Image.fromarray((255 * found.sigmoid()).to(torch.uint8).numpy())

    complete = nvn.Recipe(
        name="followed",
        game=game,
        schedule=nvn.alternating(D, nvn.move(G, every=2)),
        optimizers=partial(torch.optim.SGD, lr=0.1),
        data=DATA,
        steps=6,
        phases=[nvn.Phase("before", nvn.alternating(G), 4)],
        evaluations=[nvn.Evaluation("smooth", measure, every=3)],
        application=nvn.Application("picture", picture),
    )
    return complete.replace(**changes)


class Watching:
    """Averages by hand: after every step in which G has stepped."""

    def __init__(self) -> None:
        self.weight: Tensor | None = None
        self.steps = 0

    @hook
    def run_started(self, engines: Any) -> None:
        self.weight = engines["main"].modules["G"].weight.detach().clone()

    @hook
    def step_done(self, engine: nvn.Engine) -> None:
        now = engine.state.counters.steps.get("G", 0)
        if now > self.steps:
            assert self.weight is not None
            self.weight = self.weight.lerp(engine.modules["G"].weight.detach(), 1 - 0.5 ** (1 / 3))
        self.steps = now


def test_an_average_goes_on_through_phases_and_is_saved_measured_and_applied(
    tmp_path: Path,
) -> None:
    watching = Watching()
    run = nvn.train(recipe(), out=tmp_path / "run", plugins=[watching])
    assert watching.steps == 4 + 3
    assert watching.weight is not None
    final = tmp_path / "run" / "checkpoints" / "final"
    saved = load_file(final / "G_ema.safetensors")
    assert torch.equal(saved["weight"], watching.weight)
    assert not torch.equal(saved["weight"], load_file(final / "G.safetensors")["weight"])
    trained = nvn.trained(tmp_path / "run", recipe=recipe())
    for player, module in trained.engine.modules.items():
        expected = load_file(final / f"{player}.safetensors")
        assert all(torch.equal(x, expected[name]) for name, x in module.state_dict().items())
    (found,) = trained.engine.values(DATA[0], [trained.recipe.game.players["G_ema"](_x(trained))])
    assert run.metrics["smooth"]["mean"] == pytest.approx(found.mean().item())
    assert trained.apply(Image.new("L", (3, 3))).size == (3, 3)


def _x(trained: nvn.Trained) -> nvn.Value:
    return trained.recipe.game.batch("x")


class Grows(nn.Module):
    """Is not finite from its `at`-th training call on."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.own = linear(seed=1)
        self.register_buffer("calls", torch.tensor(0))
        self.at = at

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.calls += 1
        y: Tensor = self.own(x)
        return y / 0.0 if self.calls >= self.at else y


@pytest.mark.filterwarnings("ignore::nvn.NvnWarning")
@pytest.mark.parametrize("policy", ["stop", "rollback"])
def test_what_is_saved_of_a_run_that_diverges_is_finite(policy: Any, tmp_path: Path) -> None:
    made = recipe(Grows(6), phases=(), steps=20)
    with pytest.raises(RunError, match=r"G \(Grows\)|Grows"):
        nvn.train(made, out=tmp_path / "run", on_divergence=policy)
    for player in ("G", "G_ema", "G_old", "D"):
        found = load_file(tmp_path / "run" / "checkpoints" / "final" / f"{player}.safetensors")
        assert all(x.isfinite().all() for x in found.values())


def twins(steps: int = 4) -> nvn.Recipe:
    """G warms up; in the game its copy moves beside it, toward the same."""
    game = nvn.Game("twins")
    x = game.batch("x")
    G, twin = game.player("G", _normed(1)), game.player("twin", _normed(2))
    for player in (G, twin):
        player.minimizes(en.mse(player(x), x))
    return nvn.Recipe(
        name="twins",
        game=game,
        schedule=nvn.simultaneous(G, twin),
        optimizers=partial(torch.optim.SGD, lr=0.1),
        data=DATA,
        steps=steps,
        phases=[nvn.Phase("before", nvn.alternating(G), 5, copies={"twin": "G"})],
    )


def _normed(seed: int) -> nn.Module:
    return nn.Sequential(linear(seed=seed), nn.BatchNorm1d(3))


class Interrupting:
    """Interrupts a run after the last step of the phase before the game."""

    @hook
    def step_done(self, phase: nvn.Phase, record: nvn.Record) -> None:
        if (phase.name, record.step) == ("before", 5):
            raise KeyboardInterrupt


@pytest.mark.parametrize("interrupted", [False, True])
def test_a_copy_begins_the_next_phase_where_the_other_is(tmp_path: Path, interrupted: bool) -> None:
    out = tmp_path / "run"
    if interrupted:  # just when the phase is over: what is gone on from has no copy yet
        stopped = nvn.train(twins, out=out, plugins=[Interrupting()])
        assert (stopped.outcome, stopped.steps) == ("interrupted", {"before": 5})
    run = nvn.train(twins, resume=out) if interrupted else nvn.train(twins, out=out)
    assert run.steps == {"before": 5, "main": 4}
    G, twin = (run.engine.modules[name].state_dict() for name in ("G", "twin"))
    # They move alike, so they are alike at the end only if they were so at first.
    assert all(torch.equal(x, twin[name]) for name, x in G.items())
    assert not torch.equal(G["0.weight"], linear(seed=1).weight)
