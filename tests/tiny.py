"""The smallest recipe that has everything: two players, a phase, an evaluation, a preview."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

import nvn

DATA = [{"x": torch.full((2, 3), float(i))} for i in range(4)]


class Shift(nn.Module):
    """Adds a vector of its own to its input."""

    def __init__(self) -> None:
        super().__init__()
        self.by = nn.Parameter(torch.randn(3))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.by


def square(x: Tensor) -> Tensor:
    return (x**2).mean()


def product(x: Tensor, y: Tensor) -> Tensor:
    return (x * y).mean()


def tiny(**changes: Any) -> nvn.Recipe:
    """Two players who pull at a product, each held back by a square."""
    game = nvn.Game("tiny")
    x = game.batch("x")
    G, D = game.player("G", Shift()), game.player("D", Shift())
    pull, hold = nvn.energy(product, name="pull"), nvn.energy(square, name="hold")
    G.minimizes(pull(G(x), D(x)) + hold(G(x)))
    D.minimizes(hold(D(x)) - pull(G(x), D(x)))
    schedule = nvn.alternating(D, G)
    complete = nvn.Recipe(
        name="tiny",
        game=game,
        schedule=schedule,
        optimizers=partial(torch.optim.SGD, lr=0.1),
        data=DATA,
        steps=6,
        phases=[nvn.Phase("warmup", nvn.alternating(G), 3)],
        evaluations=[nvn.Evaluation("size", size, every=2)],
        previews=[nvn.Preview("gray", gray, every=4)],
    )
    return complete.replace(**changes)


def size(engine: nvn.Engine) -> dict[str, float]:
    shift = engine.modules["G"]
    assert isinstance(shift, Shift)
    return {"norm": shift.by.norm().item()}


def gray(engine: nvn.Engine) -> Image.Image:
    return Image.new("L", (4, 4), 128)


class Endless:
    """Data that never end, as many loaders do."""

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        while True:
            yield DATA[1]


FILE = '''\
"""A tiny game, for the tests of the command.

More of it.
"""

from typing import ClassVar

from pydantic import Field

import nvn

from .neighbor import made


class Config(nvn.Config):
    """Settings."""

    presets: ClassVar = {"long": {"steps": 9}, "wrong": {"stesp": 1}}
    steps: int = Field(6, ge=1, description="iterations of the game")
    lr: float = Field(0.1, gt=0, description="learning rate")


def recipe(config: Config) -> nvn.Recipe:
    """Declare it."""
    return made(config)
'''

NEIGHBOR = """\
from functools import partial

import torch

from tests.tiny import tiny


def made(config):
    return tiny(steps=config.steps, optimizers=partial(torch.optim.SGD, lr=config.lr))
"""
