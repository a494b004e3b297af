"""TITLE: a generator learns to make pictures like those in a folder, against one critic.

nvn run FILE       train it; --set size=64 for larger pictures
nvn sample runs/NAME -n 64 --out made.png
"""

from __future__ import annotations

import math
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from pydantic import Field
from torch import Tensor, nn

import nvn
from nvn import energies as en


class Config(nvn.Config):
    """Settings: `nvn run FILE --set steps=50000`; each has a type, a bound and a description."""

    folder: str = Field("FOLDER", description="where the pictures are, in folders of any depth")
    size: int = Field(32, ge=8, le=256, description="pixels of a side: 8, 16, 32, …")
    steps: int = Field(20_000, ge=1, description="iterations of the game")
    batch: int = Field(32, ge=2, description="pictures in a batch")
    width: int = Field(32, ge=1, description="channels at the full size; each half has twice these")
    noise: int = Field(64, ge=1, description="dimensions of the generator's noise")
    lr: float = Field(2e-4, gt=0, description="learning rate of both players")
    r1: float = Field(1.0, ge=0, description="weight of the gradient penalty on real pictures")
    half_life: float = Field(
        2000.0, gt=0, description="of the average of the generator's weights, in pictures"
    )


def recipe(config: Config) -> nvn.Recipe:
    """Declare the game: players, what each minimizes, and who moves when."""
    halvings = round(math.log2(config.size / 4))
    if 4 * 2**halvings != config.size:
        raise nvn.ConfigError(f"size = {config.size}: expected 8, 16, 32, 64, 128 or 256")
    game = nvn.Game("NAME")
    real = nvn.value(from_bytes)(game.batch("real"))
    noise = game.noise("noise", config.noise, like=real)
    G = game.player("G", generator(config.noise, config.width, halvings))
    D = game.player("D", critic(config.width, halvings))
    smooth = game.average("smooth", G, half_life=config.half_life)  # what samples are made with

    fake = G(noise)
    flipped = game.sample("flip", coin)  # which of the real pictures are mirrored
    seen = nvn.value(mirrored)(real, flipped)
    adv = en.NonSaturating()
    D.minimizes(adv.real(D(seen)) + adv.fake(D(fake)) + config.r1 * en.r1(D(seen), seen))
    G.minimizes(adv.fool(D(fake)))

    made = smooth(noise).named("made")
    return nvn.Recipe(
        name="NAME",
        game=game,
        schedule=nvn.alternating(D, G),
        optimizers=partial(torch.optim.Adam, lr=config.lr, betas=(0.0, 0.99)),
        data=partial(pictures, Path(config.folder), config.size, config.batch),
        steps=config.steps,
        previews=[nvn.Preview("samples", partial(sheet, made=made, noise=config.noise), every=500)],
        sampling=nvn.Sampling(partial(samples, made=made, noise=config.noise)),
    )


# --- data ---


def pictures(folder: Path, size: int, batch: int) -> nvn.data.TensorBatches:
    """Read all pictures of a folder, cut to squares: batches `{"real": (N, 3, size, size)}`."""
    files = nvn.folders.find_pictures([folder])
    read = []
    with nvn.progress("reading pictures", len(files)) as bar:
        for file in files:
            read.append(_square(file.path, size))
            bar.advance()
    if len(read) < batch:
        raise nvn.DataError(f"{folder}: {len(read)} pictures, fewer than batch = {batch}")
    return nvn.data.TensorBatches({"real": torch.stack(read)}, batch_size=batch)


def _square(path: Path, size: int) -> Tensor:
    try:
        image = nvn.images.read_picture(path)
    except nvn.DataError as error:
        raise nvn.DataError(f"{path}: {error}") from None
    image = ImageOps.fit(image, (size, size), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def from_bytes(pictures: Tensor) -> Tensor:
    """Return pictures (N, 3, H, W) of bytes as numbers from -1 to 1."""
    return pictures.float() / 127.5 - 1


def coin(generator: torch.Generator, batch: dict[str, Any]) -> Tensor:
    """Return one coin a picture (N, 1, 1, 1)."""
    count = len(batch["real"])
    return torch.rand(count, 1, 1, 1, generator=generator, device=batch["real"].device)


def mirrored(pictures: Tensor, coins: Tensor) -> Tensor:
    """Return pictures, half of them mirrored."""
    return torch.where(coins < 0.5, pictures.flip(-1), pictures)


# --- players ---


def generator(noise: int, width: int, doublings: int) -> nn.Module:
    """Return a network from noise (N, noise) to pictures (N, 3, H, W), H = W = 4·2^doublings."""
    channels = [width * 2**k for k in range(doublings, -1, -1)]
    first = [nn.Linear(noise, channels[0] * 16), nn.Unflatten(1, (channels[0], 4, 4))]
    layers: list[nn.Module] = [*first, nn.LeakyReLU(0.2)]
    for before, after in pairwise(channels):
        layers += [
            nn.Upsample(scale_factor=2),
            nn.Conv2d(before, after, 3, padding=1),
            nn.GroupNorm(1, after),
            nn.LeakyReLU(0.2),
        ]
    return nn.Sequential(*layers, nn.Conv2d(channels[-1], 3, 3, padding=1), nn.Tanh())


def critic(width: int, halvings: int) -> nn.Module:
    """Return a network from pictures (N, 3, H, W) to a judgment each (N, 1)."""
    channels = [width * 2**k for k in range(halvings + 1)]
    layers: list[nn.Module] = [nn.Conv2d(3, channels[0], 3, padding=1), nn.LeakyReLU(0.2)]
    for before, after in pairwise(channels):
        layers += [nn.Conv2d(before, after, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels[-1] * 16, 1))


# --- pictures ---


def samples(engine: nvn.Engine, count: int, made: nvn.Value, noise: int) -> list[Image.Image]:
    """Make `count` pictures."""
    (found,) = engine.values({"noise": torch.randn(count, noise)}, [made])
    numbers = ((found.float().clamp(-1, 1) + 1) * 127.5).round().byte()
    return [Image.fromarray(each.permute(1, 2, 0).cpu().numpy()) for each in numbers]


def sheet(engine: nvn.Engine, made: nvn.Value, noise: int) -> Image.Image:
    """Lay out 36 pictures in a grid."""
    return nvn.images.grid(samples(engine, 36, made, noise))
