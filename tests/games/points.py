"""Players that are points: games whose play is known in closed form (games.md, section 3).

Conventions there and here: player i descends L_i; v = (∇_i L_i); H = Dv; c = η·s, with η the
learning rate and s the strength of the coupling.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import nvn

Array = np.ndarray[Any, np.dtype[np.float64]]


class Point(nn.Module):
    """A point in space, as a player: its call returns where it is, shape (d,)."""

    def __init__(self, *at: float) -> None:
        super().__init__()
        self.at = nn.Parameter(torch.tensor(at, dtype=torch.float64))

    def forward(self) -> Tensor:
        return self.at


def rates(**by_name: float) -> dict[str, Any]:
    """Plain gradient descent, a learning rate for each player."""
    return {name: partial(torch.optim.SGD, lr=rate) for name, rate in by_name.items()}


def engine(
    game: nvn.Game, schedule: nvn.Schedule, optimizers: Mapping[str, Any] | float
) -> nvn.Engine:
    """Return an engine; a number as the optimizers is everybody's learning rate."""
    if isinstance(optimizers, float):
        optimizers = dict.fromkeys(game.players, partial(torch.optim.SGD, lr=optimizers))
    return nvn.Engine(nvn.plan(game, schedule), optimizers)


def place(engine: nvn.Engine, at: Sequence[float] | Array) -> None:
    """Put the players at `at`: all their parameters in the order declared, one after the other."""
    rest = torch.tensor(np.asarray(at, dtype=np.float64))
    with torch.no_grad():
        for parameter in _parameters(engine):
            parameter.copy_(rest[: parameter.numel()].reshape(parameter.shape))
            rest = rest[parameter.numel() :]
    assert not len(rest)


def where(engine: nvn.Engine) -> Array:
    """Return where the players are, as one vector."""
    return np.concatenate([p.detach().numpy().ravel() for p in _parameters(engine)]).copy()


def step(engine: nvn.Engine, times: int = 1, batch: Mapping[str, Tensor] | None = None) -> Array:
    """Play some iterations; return where the players are then."""
    for _ in range(times):
        engine.step(batch or {})
    return where(engine)


def field(
    engine: nvn.Engine, at: Sequence[float] | Array, batch: Mapping[str, Tensor] | None = None
) -> Array:
    """Return v = (∇_i L_i) at a place."""
    place(engine, at)
    found = engine.gradients(batch or {}, list(engine.modules))
    return np.concatenate([g.numpy().ravel() for grads in found.values() for g in grads.values()])


def hessian(engine: nvn.Engine, batch: Mapping[str, Tensor] | None = None) -> Array:
    """Return H of a linear game, column by column: v at a basis vector, less v at the origin."""
    size = len(where(engine))
    zero = field(engine, np.zeros(size), batch)
    return np.column_stack([field(engine, e, batch) - zero for e in np.eye(size)])


def transition(
    engine: nvn.Engine, scale: float = 1.0, batch: Mapping[str, Tensor] | None = None
) -> Array:
    """Return the matrix of one iteration, column by column: where scaled basis vectors go.

    For games that are linear about the origin; with a small scale for those that nearly are.
    """
    columns = []
    for direction in np.eye(len(where(engine))):
        place(engine, scale * direction)
        columns.append(step(engine, batch=batch) / scale)
    return np.column_stack(columns)


def _parameters(engine: nvn.Engine) -> list[nn.Parameter]:
    return [p for module in engine.modules.values() for p in module.parameters()]


# --- functions of points ----------------------------------------------------------------------


def product(x: Tensor, y: Tensor) -> Tensor:
    """Return x·y, a number."""
    return (x * y).sum()


def half_square(x: Tensor) -> Tensor:
    """Return ½‖x‖²."""
    return 0.5 * x.square().sum()


def total(*points: Tensor) -> Tensor:
    """Return the sum of all coordinates."""
    return torch.stack([p.sum() for p in points]).sum()


def team_product(a1: Tensor, a2: Tensor, b1: Tensor, b2: Tensor) -> Tensor:
    """Return (a₁ + a₂)(b₁ + b₂)."""
    return ((a1 + a2) * (b1 + b2)).sum()
