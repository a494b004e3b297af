"""Pairs of which everything can be computed by hand, and an engine that computes with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from nvn_recipes.groupgan.data.pairs import Pairs, Split
from torch import Tensor, nn

import nvn
from nvn import energies as en
from tests.recipes.groupgan.some import Given

LEVELS = {-1.0: 0, -0.6: 51, -0.2: 102, 0.2: 153, 0.6: 204, 1.0: 255}


class Shift(nn.Module):
    """A player that has to be: games without any are refused."""

    def __init__(self) -> None:
        super().__init__()
        self.by = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.by


def seeing(*functions: Callable[[Tensor], Tensor]) -> tuple[nvn.Engine, nvn.Value, list[nvn.Value]]:
    """An engine of a game with weak pictures, these, and what functions make of them."""
    game = nvn.Game("seeing")
    weak = game.batch("weak")
    player = game.player("P", Shift())
    player.minimizes(en.mse(player(weak), weak))
    plan = nvn.plan(game, nvn.alternating(player))
    engine = nvn.Engine(plan, partial(torch.optim.SGD, lr=0.1))
    return engine, weak, [nvn.value(function)(weak) for function in functions]


def flat_pairs(
    weak: Sequence[float],
    peak: Sequence[float],
    label: Sequence[int],
    neutral: Sequence[float] | None = None,
    classes: Sequence[str] = ("calm", "happy"),
    channels: int = 3,
    size: int = 16,
) -> Pairs:
    """Pairs of pictures of one level each, one pair a person."""
    count = len(weak)
    levels = [LEVELS[level] for level in (*weak, *peak, *(neutral or ()))]
    pictures = torch.tensor(levels, dtype=torch.uint8)[:, None, None, None]
    which = torch.arange(count)
    return Pairs(
        pictures.expand(-1, channels, size, size),
        which,
        count + which,
        torch.tensor(label),
        which,
        tuple(classes),
        neutral=2 * count + which if neutral else None,
        intensity=torch.full((count,), 0.5) if neutral else None,
    )


def unseen(pairs: Pairs) -> Split:
    """A split whose test part is all of these pairs."""
    reserved = torch.ones(len(pairs), dtype=torch.bool)
    whole = Pairs(**{**vars(pairs), "reserved": reserved})
    return Split(Given(whole), whole.pictures.shape[-1], fold=0, folds=2)


def happy_if_light(pictures: Tensor) -> Tensor:
    """Logits (N, 2): class 1 for what is lighter than 0."""
    light = pictures.flatten(1).mean(dim=1)
    return torch.stack([-light, light], dim=1)


def lighter(pictures: Tensor) -> Tensor:
    return pictures + 0.4


class Count:
    """A bar that counts."""

    def __init__(self, total: int | None) -> None:
        self.total, self.done = total, 0

    def advance(self, amount: int = 1) -> None:
        self.done += amount


def counting(monkeypatch: Any) -> list[Count]:
    """The bars that are opened from now on."""
    bars: list[Count] = []

    @contextmanager
    def progress(description: str, total: int | None = None) -> Any:
        bars.append(Count(total))
        yield bars[-1]

    monkeypatch.setattr(nvn, "progress", progress)
    return bars
