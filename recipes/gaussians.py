"""Two players on a ring of eight Gaussians: the smallest game worth watching.

A generator learns to sample from a mixture in the plane, against one critic. Whether it covers all
eight modes, or collapses onto a few, can be counted and seen.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import pairwise

import torch
from PIL import Image, ImageDraw
from pydantic import Field
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR

import nvn
from nvn import energies as en

MODES = 8
SPREAD = 0.05  # standard deviation of a mode; the ring has radius 1


class Config(nvn.Config):
    """Settings of the ring."""

    steps: int = Field(3000, ge=1, le=10**9, description="iterations of the game")
    batch: int = Field(256, ge=2, le=10**6, description="samples in a batch")
    hidden: int = Field(64, ge=1, le=8192, description="width of both networks")
    noise: int = Field(8, ge=1, le=8192, description="dimensions of the generator's noise")
    lr: float = Field(1e-3, gt=0, le=10, description="learning rate of both players")
    r1: float = Field(
        0.05, ge=0, le=1e6, description="weight of the gradient penalty on real samples"
    )


def recipe(config: Config) -> nvn.Recipe:
    """Declare the game."""
    game = nvn.Game("gaussians")
    real = game.batch("real")
    noise = game.noise("noise", config.noise, like=real)
    G = game.player("G", mlp(config.noise, config.hidden, 2))
    D = game.player("D", mlp(2, config.hidden, 1))

    fake = G(noise).named("fake")
    adv = en.NonSaturating()
    D.minimizes(adv.real(D(real)) + adv.fake(D(fake)) + config.r1 * en.r1(D(real), real))
    G.minimizes(adv.fool(D(fake)))

    return nvn.Recipe(
        name="gaussians",
        game=game,
        schedule=nvn.alternating(D, G),
        optimizers=nvn.Optimizer(
            partial(torch.optim.Adam, lr=config.lr, betas=(0.5, 0.99)),
            schedule=partial(CosineAnnealingLR, T_max=config.steps),  # lets the circling die down
        ),
        data=Ring(config.batch),
        steps=config.steps,
        evaluations=[nvn.Evaluation("modes", partial(coverage, fake=fake), every=500)],
        previews=[nvn.Preview("samples", partial(picture, fake=fake), every=500)],
        sampling=nvn.Sampling(partial(drawn, fake=fake)),
    )


def mlp(inputs: int, hidden: int, outputs: int) -> nn.Module:
    """Return a network with three hidden layers."""
    widths = [inputs, hidden, hidden, hidden]
    layers = [(nn.Linear(a, b), nn.LeakyReLU(0.2)) for a, b in pairwise(widths)]
    return nn.Sequential(*(part for layer in layers for part in layer), nn.Linear(hidden, outputs))


class Ring:
    """Endless batches `{"real": (N, 2)}` from the mixture, the same each time it is read."""

    def __init__(self, batch: int, seed: int = 0) -> None:
        self.batch = batch
        self.seed = seed

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        generator = torch.Generator().manual_seed(self.seed)
        while True:
            modes = torch.randint(MODES, (self.batch,), generator=generator)
            offsets = SPREAD * torch.randn(self.batch, 2, generator=generator)
            yield {"real": centers()[modes] + offsets}


def centers() -> Tensor:
    """Return the modes' centers (8, 2)."""
    angles = torch.arange(MODES) * (2 * math.pi / MODES)
    return torch.stack([angles.cos(), angles.sin()], dim=1)


def samples(engine: nvn.Engine, fake: nvn.Value, count: int = 2048, *, same: bool = True) -> Tensor:
    """Return `count` samples (count, 2) of the generator, from the `same` noise each time."""
    inputs = next(iter(engine.modules["G"].parameters())).shape[1]
    noise = torch.randn(count, inputs, generator=torch.Generator().manual_seed(1) if same else None)
    points: Tensor = engine.values({"noise": noise}, [fake])[0]
    return points.float().cpu()


def coverage(engine: nvn.Engine, fake: nvn.Value) -> Mapping[str, float]:
    """Count the modes that are covered, and the share of samples that lie on one.

    A sample lies on a mode within three standard deviations of its center; a mode is covered if a
    quarter of its fair share of samples lies on it.
    """
    points = samples(engine, fake)
    distances = torch.cdist(points, centers())
    nearest = distances.argmin(dim=1)[distances.amin(dim=1) < 3 * SPREAD]
    hits = nearest.bincount(minlength=MODES)
    covered = (hits >= len(points) / MODES / 4).sum()
    return {"modes_covered": float(covered), "on_a_mode": len(nearest) / len(points)}


def picture(engine: nvn.Engine, fake: nvn.Value) -> Image.Image:
    """Draw the generator's samples over real ones."""
    return _drawn(samples(engine, fake))


def drawn(engine: nvn.Engine, count: int, fake: nvn.Value) -> Image.Image:
    """Draw `count` new samples over real ones."""
    return _drawn(samples(engine, fake, count, same=False))


def _drawn(made: Tensor, size: int = 480) -> Image.Image:
    """Draw points (N, 2) in orange over real ones in gray."""
    image = Image.new("RGB", (size, size), "white")
    draw = ImageDraw.Draw(image)
    for points, color in (
        (next(iter(Ring(2048, seed=1)))["real"], "#b8bcc4"),
        (made, "#d9480f"),
    ):
        for x, y in ((points / 1.5 + 1) * size / 2).tolist():
            draw.ellipse((x - 1.5, size - y - 1.5, x + 1.5, size - y + 1.5), fill=color)
    return image
