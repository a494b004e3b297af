"""A tiny game of pictures, for the tests of plugins."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

import nvn
from nvn import energies as en


class Pictures:
    """Endless batches `{"real": (8, 3, 4, 4)}`."""

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        generator = torch.Generator().manual_seed(0)
        while True:
            yield {"real": torch.rand(8, 3, 4, 4, generator=generator)}


class FixedBatch(nn.Module):
    """A generator whose batches must have eight samples."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 48)

    def forward(self, z: Tensor) -> Tensor:
        return self.linear(z.reshape(8, 4)).reshape(8, 3, 4, 4)


def picture_game(generator: nn.Module | None = None, **changes: Any) -> nvn.Recipe:
    game = nvn.Game("pictures")
    real = game.batch("real")
    z = game.noise("z", 4, like=real)
    made = generator or nn.Sequential(nn.Linear(4, 48), nn.Tanh(), nn.Unflatten(1, (3, 4, 4)))
    G = game.player("G", made)
    D = game.player("D", nn.Sequential(nn.Flatten(), nn.Linear(48, 2), nn.Tanh()))
    adv, fake = en.NonSaturating(), G(z).named("fake")
    D.minimizes(adv.real(D(real)) + adv.fake(D(fake)))
    G.minimizes(adv.fool(D(fake)))
    recipe = nvn.Recipe(
        name="pictures",
        game=game,
        schedule=nvn.alternating(D, G),
        optimizers=partial(torch.optim.Adam, lr=0.01),
        data=Pictures(),
        steps=6,
        previews=[nvn.Preview("fakes", lambda engine: Image.new("L", (4, 4), 9), every=3)],
    )
    return recipe.replace(**changes)
