"""Many against many: M makers, K judges, every maker weighs every judge's energy in its own way.

Side by side, the judges see what all makers make together; in a chain, each maker works on what the
one before has made.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

import nvn

WIDTH, SAMPLES = 256, 32
sgd = partial(torch.optim.SGD, lr=1e-3)


def net() -> nn.Module:
    return nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.Tanh(), nn.Linear(WIDTH, WIDTH), nn.Tanh())


def together(*parts: Tensor) -> Tensor:
    return torch.stack(parts).sum(dim=0)


def mean_square(x: Tensor) -> Tensor:
    return x.square().mean()


def declared(makers: int, judges: int, *, chain: bool, plain: bool = False) -> nvn.Engine:
    torch.manual_seed(0)
    game = nvn.Game(f"{makers} v {judges}")
    x = game.batch("x")
    team = game.team("makers", **{f"G{i}": net() for i in range(makers)})
    opponents = [game.frozen(f"D{k}", net()) for k in range(judges)]
    made: nvn.Value = x
    parts = []
    for maker in team:
        made = maker(made if chain else x)
        parts.append(made)
    seen = made if chain else nvn.value(together)(*parts)
    energies = [nvn.energy(mean_square)(judge(seen)) for judge in opponents]
    generator = torch.Generator().manual_seed(1)
    for maker in team:
        weights = torch.rand(judges, generator=generator).tolist()
        maker.minimizes(sum((w * e for w, e in zip(weights, energies, strict=True)), 0.0))
    return nvn.Engine(nvn.plan(game, nvn.simultaneous(team)), sgd, plain=plain)


def batch() -> dict[str, Tensor]:
    return {"x": torch.randn(SAMPLES, WIDTH)}
