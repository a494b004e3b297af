"""TITLE: a generator learns to sample points in the plane, against one critic.

nvn check FILE     try it, without training
nvn plan FILE      what a step computes
nvn run FILE       train it
nvn sample runs/NAME -n 500 --out points.png
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch
from PIL import Image, ImageDraw
from pydantic import Field
from torch import Tensor, nn

import nvn
from nvn import energies as en


class Config(nvn.Config):
    """Settings: `nvn run FILE --set steps=5000`; each has a type, a bound and a description."""

    steps: int = Field(2000, ge=1, description="iterations of the game")
    batch: int = Field(128, ge=2, description="samples in a batch")
    hidden: int = Field(64, ge=1, description="width of both networks")
    noise: int = Field(8, ge=1, description="dimensions of the generator's noise")
    lr: float = Field(1e-3, gt=0, description="learning rate of both players")
    r1: float = Field(0.05, ge=0, description="weight of the gradient penalty on real samples")


def recipe(config: Config) -> nvn.Recipe:
    """Declare the game: players, what each minimizes, and who moves when."""
    game = nvn.Game("NAME")
    real = game.batch("real")  # an entry of each batch, see Points
    noise = game.noise("noise", config.noise, like=real)
    G = game.player("G", network(config.noise, config.hidden, 2))
    D = game.player("D", network(2, config.hidden, 1))

    fake = G(noise).named("fake")
    adv = en.NonSaturating()  # or en.Hinge(), en.Wasserstein(), …
    D.minimizes(adv.real(D(real)) + adv.fake(D(fake)) + config.r1 * en.r1(D(real), real))
    G.minimizes(adv.fool(D(fake)))

    draw = partial(picture, fake=fake, noise=config.noise)
    return nvn.Recipe(
        name="NAME",
        game=game,
        schedule=nvn.alternating(D, G),  # nvn.simultaneous(D, G): both from the same point
        optimizers=partial(torch.optim.Adam, lr=config.lr, betas=(0.5, 0.99)),
        data=Points(config.batch),
        steps=config.steps,
        previews=[nvn.Preview("samples", partial(draw, count=1000), every=500)],
        evaluations=[
            nvn.Evaluation("spread", partial(spread, fake=fake, noise=config.noise), every=500)
        ],
        sampling=nvn.Sampling(draw),
    )


def network(inputs: int, hidden: int, outputs: int) -> nn.Module:
    """Return a network with two hidden layers."""
    return nn.Sequential(
        nn.Linear(inputs, hidden),
        nn.LeakyReLU(0.2),
        nn.Linear(hidden, hidden),
        nn.LeakyReLU(0.2),
        nn.Linear(hidden, outputs),
    )


class Points:
    """Endless batches `{"real": (N, 2)}`: points around a circle. Put your own data here."""

    def __init__(self, batch: int, seed: int = 0) -> None:
        self.batch = batch
        self.seed = seed

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        generator = torch.Generator().manual_seed(self.seed)
        while True:
            angle = 2 * torch.pi * torch.rand(self.batch, generator=generator)
            circle = torch.stack([angle.cos(), angle.sin()], dim=1)
            yield {"real": circle + 0.05 * torch.randn(self.batch, 2, generator=generator)}


def samples(engine: nvn.Engine, count: int, fake: nvn.Value, noise: int) -> Tensor:
    """Return `count` samples (count, 2)."""
    points: Tensor = engine.values({"noise": torch.randn(count, noise)}, [fake])[0]
    return points.float().cpu()


def spread(engine: nvn.Engine, fake: nvn.Value, noise: int) -> dict[str, float]:
    """Measure how far samples are from the circle, on average."""
    distance = samples(engine, 1000, fake, noise).norm(dim=1)
    return {"from_circle": (distance - 1).abs().mean().item()}


def picture(engine: nvn.Engine, count: int, fake: nvn.Value, noise: int) -> Image.Image:
    """Draw samples."""
    image = Image.new("RGB", (400, 400), "white")
    draw = ImageDraw.Draw(image)
    for x, y in (200 + 130 * samples(engine, count, fake, noise)).tolist():
        draw.ellipse((x - 1.5, y - 1.5, x + 1.5, y + 1.5), fill="#d9480f")
    return image
