"""Each symptom is told once, with figures; games that are well have none."""

import warnings
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import nvn
from nvn.errors import NvnWarning
from tests.tiny import tiny

DATA = [{"x": torch.randn(8, 3, generator=torch.Generator().manual_seed(i))} for i in range(5)]


def mean(x: Tensor) -> Tensor:
    return (x**2).mean()


def sigmoid_mean(x: Tensor) -> Tensor:
    return torch.sigmoid(x).mean()


def told(recipe: Any, out: Path) -> list[str]:
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        nvn.train(recipe, out=out)
    return [str(each.message) for each in found if issubclass(each.category, NvnWarning)]


def game(steps: int = 700, optimizers: Any = None, **energies: Any) -> nvn.Recipe:
    made = nvn.Game("symptoms")
    x = made.batch("x")
    for name, energy in energies.items():
        f = made.player(name, nn.Linear(3, 3))
        f.minimizes(nvn.energy(energy, name=f"e_{name}")(f(x)))
    players = [made.players[name] for name in energies]
    return nvn.Recipe(
        name="symptoms",
        game=made,
        schedule=nvn.alternating(*players),
        optimizers=optimizers or partial(torch.optim.SGD, lr=0.05),
        data=DATA,
        steps=steps,
    )


def test_a_game_that_is_well_has_none(tmp_path: Path) -> None:
    assert told(partial(game, f=mean), tmp_path / "a") == []
    assert told(tiny(steps=600, evaluations=[], previews=[]), tmp_path / "b") == []


def test_a_game_that_has_arrived_has_not_lost(tmp_path: Path) -> None:
    """Its gradient vanishes, and its objective is lower than it was."""
    adam = partial(torch.optim.Adam, lr=0.05)
    found = told(partial(game, optimizers=adam, steps=2000, f=mean), tmp_path / "run")
    assert not [each for each in found if "lost" in each]


def test_a_player_whose_opponent_has_won(tmp_path: Path) -> None:
    """What G gets from a critic that is sure of itself, as in a saturated minimax game."""

    def saturating() -> nvn.Recipe:
        made = nvn.Game("saturated")
        x = made.batch("x")
        G, D = made.player("G", nn.Linear(3, 3)), made.player("D", nn.Linear(3, 1, bias=False))
        score = nvn.energy(sigmoid_mean, name="score")(D(G(x)))
        G.minimizes(-1.0 * score)
        D.minimizes(score)
        with torch.no_grad():
            G.module.weight.zero_()
            G.module.bias.fill_(1.0)
        rates = {"G": partial(torch.optim.SGD, lr=1e-6), "D": partial(torch.optim.SGD, lr=400.0)}
        return nvn.Recipe(
            name="saturated",
            game=made,
            schedule=nvn.alternating(D, G),
            optimizers=rates,
            data=DATA,
            steps=800,
        )

    found = told(saturating, tmp_path / "run")
    assert [each for each in found if "objective" in each or "lost" in each]


def test_an_objective_and_an_energy_that_do_not_move(tmp_path: Path) -> None:
    found = told(partial(game, f=mean, g=lambda x: 0.0 * x.mean() + 3.0), tmp_path / "run")
    assert "the objective of g has been 3 to the bit for 300 steps" in found
    assert "the energy e_g(g(x)) has been 3 to the bit for 300 steps" in found
    assert len(found) == 2


def test_a_learning_rate_of_zero(tmp_path: Path) -> None:
    rates = {"f": partial(torch.optim.SGD, lr=0.0), "g": partial(torch.optim.SGD, lr=0.1)}
    found = told(partial(game, optimizers=rates, steps=20, f=mean, g=mean), tmp_path / "run")
    assert found == ["the learning rate of f is 0: it learns nothing"]


def test_one_that_a_schedule_will_raise_is_none(tmp_path: Path) -> None:
    raising = partial(torch.optim.lr_scheduler.LambdaLR, lr_lambda=lambda step: min(1.0, step / 10))
    rates = nvn.Optimizer(partial(torch.optim.SGD, lr=0.1), schedule=raising)
    assert told(partial(game, optimizers=rates, steps=20, f=mean), tmp_path / "run") == []


def test_steps_that_change_nothing(tmp_path: Path) -> None:
    rates = {"f": partial(torch.optim.SGD, lr=1e-30), "g": partial(torch.optim.SGD, lr=0.1)}
    found = told(partial(game, optimizers=rates, f=mean, g=mean), tmp_path / "run")
    assert len(found) == 1
    assert found[0].startswith("f has steps that change nothing, along a gradient of")


@pytest.mark.parametrize("steps", [10])
def test_short_runs_are_not_judged(tmp_path: Path, steps: int) -> None:
    assert told(partial(game, steps=steps, f=lambda x: 0.0 * x.mean()), tmp_path / "run") == []
