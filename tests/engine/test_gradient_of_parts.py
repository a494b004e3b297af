"""A gradient with respect to a part of a result follows the game, not the inside of a module."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor, nn

import nvn


class Chained(nn.Module):
    """Returns (3h, h): its first part is made from its second."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(2.0, dtype=torch.float64))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = self.scale * x
        return 3 * h, h


class Weighted(nn.Module):
    """Returns w·(a + 5b)."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor(0.5, dtype=torch.float64))

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return self.w * (a + 5 * b)


@pytest.mark.parametrize("movers", [["Q"], ["P", "Q"]], ids="".join)
def test_whoever_moves(movers: list[str]) -> None:
    """While P moves, its inside is in autograd's graph; that must not show."""
    game = nvn.Game("parts")
    x = game.batch("x")
    P, Q = game.player("P", Chained()), game.player("Q", Weighted())
    tripled, h = P(x)[0], P(x)[1]
    slope = nvn.gradient(Q(tripled, h), h)
    seen = nvn.energy(torch.sum, name="sum")
    Q.minimizes(seen(slope))
    P.minimizes(seen(h) + seen(slope))
    engine = nvn.Engine(nvn.plan(game, nvn.simultaneous(P, Q)), partial(torch.optim.SGD, lr=0.1))
    batch = {"x": torch.ones(1, dtype=torch.float64)}
    # ∂Q/∂h is 5w: what `tripled` takes from h inside P is left out.
    assert engine.values(batch, [slope])[0].item() == 2.5
    assert engine.gradients(batch, movers)["Q"]["w"].item() == 5.0
