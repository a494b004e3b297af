"""What several unit tests share: small modules, a small GAN, and ways to ask for problems."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import nvn
from nvn.errors import GameError, Problem

mean = nvn.energy(torch.mean, name="mean")
square = nvn.energy(lambda x: x.square().mean(), name="square")
sgd = partial(torch.optim.SGD, lr=0.1)
adam = partial(torch.optim.Adam, lr=0.01)


def linear(inputs: int = 3, outputs: int = 3, seed: int = 0) -> nn.Linear:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Linear(inputs, outputs)


def mlp(inputs: int = 3, outputs: int = 3, *, seed: int = 0) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(inputs, 8), nn.Tanh(), nn.Linear(8, outputs))


def tensor(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


class Own(nn.Module):
    """A player that is a vector: it takes nothing, or anything, and returns its parameter."""

    def __init__(self, *numbers: float) -> None:
        super().__init__()
        self.own = nn.Parameter(torch.tensor(numbers or (1.0,)))

    def forward(self, *_: Any) -> Tensor:
        return self.own


@dataclass
class Gan:
    """x → D, z → G → D: `fool` is what G minimizes, `judge` what D does."""

    game: nvn.Game
    x: nvn.Value
    z: nvn.Value
    G: nvn.Player
    D: nvn.Player
    fake: nvn.Value
    fool: nvn.Energy
    judge: nvn.Energy
    schedule: nvn.Schedule

    @property
    def plan(self) -> nvn.Plan:
        return nvn.plan(self.game, self.schedule)

    def engine(self, optimizers: Any = sgd, fabric: Any = None, **options: Any) -> nvn.Engine:
        return nvn.Engine(self.plan, optimizers, fabric, **options)


BATCH = {"x": tensor(8, 3, seed=1)}


def gan(generator: nn.Module | None = None, critic: nn.Module | None = None) -> Gan:
    game = nvn.Game("gan")
    x = game.batch("x")
    z = game.noise("z", 3, like=x)
    G = game.player("G", generator or mlp(seed=1))
    D = game.player("D", critic or mlp(3, 1, seed=2))
    fake = G(z)
    fool, judge = square(D(fake)).named("fool"), square(D(x)).named("judge")
    G.minimizes(fool)
    D.minimizes(judge - fool)
    return Gan(game, x, z, G, D, fake, fool, judge, nvn.alternating(D, G))


def problems(game: nvn.Game, *moves: Any, batch: dict[str, Any] | None = None) -> list[Problem]:
    """Return what is wrong with a game in which `moves` alternate, and with a batch if given."""

    def declare_and_check() -> None:
        plan = nvn.plan(game, nvn.alternating(*moves))
        assert batch is not None, "the structure is in order"
        nvn.Engine(plan, sgd).check(batch)

    with pytest.raises(GameError) as caught:
        declare_and_check()
    assert caught.value.game == game.name
    return list(caught.value.problems)


def problem(game: nvn.Game, *moves: Any, batch: dict[str, Any] | None = None) -> Problem:
    """Return the only thing wrong with a game."""
    found = problems(game, *moves, batch=batch)
    assert len(found) == 1, "\n".join(map(str, found))
    return found[0]


def noted(game: nvn.Game) -> str:
    """Return the only problem noted while a game was declared."""
    (found,) = game.problems
    return str(found)


def weights(engine: nvn.Engine) -> dict[str, dict[str, Tensor]]:
    """Return a copy of every player's parameters and buffers."""
    return {
        name: {key: value.clone() for key, value in module.state_dict().items()}
        for name, module in engine.modules.items()
    }


def assert_same(a: Any, b: Any) -> None:
    torch.testing.assert_close(a, b, rtol=0, atol=0)
