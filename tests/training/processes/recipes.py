"""Recipes whose runs have to be the same in one process and in several: for test_runs.py."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

import nvn
from nvn import energies as en
from nvn.game.schedule import Schedule

SAMPLES = 46


class Noisy(Dataset[dict[str, Tensor]]):
    """Samples that are augmented at random."""

    def __len__(self) -> int:
        return SAMPLES

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"x": torch.tensor([index / SAMPLES, 1.0]) + 0.1 * torch.rand(2)}


def jittered(generator: torch.Generator, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    return {"x": batch["x"] + 0.1 * torch.rand(batch["x"].shape, generator=generator)}


def tensors(size: int) -> Any:
    x = torch.linspace(-1, 1, 2 * SAMPLES).view(SAMPLES, 2)
    return nvn.data.TensorBatches({"x": x}, size, seed=3, transform=jittered)


def loader(size: int) -> Any:
    return DataLoader(Noisy(), batch_size=size, shuffle=True, drop_last=True)


def net(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(nn.Linear(inputs, 8), nn.Tanh(), nn.Linear(8, outputs))


Players = tuple[nvn.Player, nvn.Player, nvn.Player]

SCHEDULES: MappingProxyType[str, Callable[[Players], Schedule]] = MappingProxyType(
    {
        "alternating": lambda p: nvn.alternating(p[0], nvn.move(p[1], p[2])),
        "one by one": lambda p: nvn.alternating(*p),
        "simultaneous": lambda p: nvn.simultaneous(*p),
        "times, fresh": lambda p: nvn.alternating(
            nvn.move(p[0], times=2, fresh=True), nvn.move(p[1], p[2], fresh=True)
        ),
        "every": lambda p: nvn.alternating(p[0], nvn.move(p[1], every=3), p[2]),
        "when": lambda p: nvn.alternating(
            p[0], nvn.move(p[1], p[2], when=lambda record: record.objectives["D"] < 1.42)
        ),
    }
)


def sums(engine: nvn.Engine) -> dict[str, float]:
    """Something that schedules wait for, which gets neither better nor worse."""
    return {"sum": 1.0 + 0.0 * float(sum(p.sum() for p in engine.modules["D"].parameters()))}


def recipe(schedule: str, data: Callable[[int], Any], size: int, steps: int = 20) -> nvn.Recipe:
    """A 1 v 2 game with a penalty, an average, a weight that is a value, and a warm-up."""
    game = nvn.Game("one_against_two")
    x = game.batch("x")
    z = game.noise("z", 3, like=x)
    G, E, D = (game.player(n, net(i, o)) for n, i, o in (("G", 4, 2), ("E", 2, 1), ("D", 2, 1)))
    twin = game.player("twin", net(2, 1))  # becomes E as the warm-up leaves it
    game.average("slow", G, half_life=20)
    adv = en.NonSaturating()
    made = G(nvn.value(lambda z, code: torch.cat([z, code], 1), name="joined")(z, E(x)))
    D.minimizes(adv.real(D(x)) + adv.fake(D(made)) + 0.3 * en.r1(D(x), x))
    loss = adv.fool(D(made)) + 2.0 * en.mse(made, x)
    G.minimizes(loss)
    E.minimizes(loss)
    twin.minimizes(en.mse(twin(x), E(x)))
    plateau = nvn.Plateau("sum", factor=0.5, patience=0)
    adam = partial(torch.optim.Adam, lr=1e-2)
    return nvn.Recipe(
        name=game.name,
        game=game,
        schedule=nvn.alternating(*SCHEDULES[schedule]((D, G, E)).moves, twin),
        optimizers={
            "D": nvn.Optimizer(adam, schedule=plateau),
            "G": adam,
            "E": partial(torch.optim.SGD, lr=0.1),
            "twin": partial(torch.optim.SGD, lr=0.1),
        },
        data=data(size),
        steps=steps,
        phases=[nvn.Phase("warmup", nvn.alternating(E), 4, copies={"twin": "E"})],
        evaluations=[nvn.Evaluation("sums", sums, every=5)],
    )


CASES = MappingProxyType(
    {
        **{name: partial(recipe, name, tensors) for name in SCHEDULES},
        "a loader": partial(recipe, "alternating", loader),
    }
)
