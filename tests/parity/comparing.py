"""What the parity tests share: optimizers, modules twice the same, statistics left alone, equality.

A hand-written loop updates the statistics of every BatchNorm that it runs in training mode, also
those of opponents and of teammates who do not move. nvn's buffers advance in their owners' moves
alone. Batch normalization in training mode never reads them, so parameters agree all the same; and
a loop that leaves them alone outside their owners' moves (`resting`) agrees in the buffers too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

ITERATIONS = 20

OPTIMIZERS = {
    "SGD": partial(torch.optim.SGD, lr=0.01, momentum=0.9, weight_decay=0.005),
    "Adam": partial(torch.optim.Adam, lr=2e-3, betas=(0.5, 0.999)),
    "fused Adam": partial(torch.optim.Adam, lr=2e-3, betas=(0.5, 0.999), fused=True),
}
each_optimizer = pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
each_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)

Networks = dict[str, nn.Module]


def twice(make: Callable[[], Networks], dtype: torch.dtype) -> tuple[Networks, Networks]:
    """Make networks from one seed, twice: ours and theirs, equal to the bit."""
    return _seeded(make, dtype), _seeded(make, dtype)


def _seeded(make: Callable[[], Networks], dtype: torch.dtype) -> Networks:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return {name: module.to(dtype) for name, module in make().items()}


@contextmanager
def resting(*modules: nn.Module) -> Iterator[None]:
    """Put the buffers of modules back at the end: nobody's statistics move in others' moves."""
    before = [(buffer, buffer.clone()) for module in modules for buffer in module.buffers()]
    yield
    with torch.no_grad():
        for buffer, old in before:
            buffer.copy_(old)


@contextmanager
def as_usual(*modules: nn.Module) -> Iterator[None]:
    """Let every forward pass move the statistics, as hand-written loops do."""
    del modules
    yield


each_habit = pytest.mark.parametrize("habit", [as_usual, resting])
each_dtype_and_habit = pytest.mark.parametrize(
    ("dtype", "habit"),
    [(torch.float32, resting), (torch.float64, as_usual)],
    ids=["float32", "float64"],
)


def assert_equal(ours: Networks, theirs: Networks, *, buffers: bool) -> None:
    """Parameters (and buffers) are the same bits."""
    for name, mine, his in _pairs(ours, theirs, buffers=buffers):
        assert torch.equal(mine, his), f"{name} differs by {(mine - his).abs().max()}"


def assert_close(ours: Networks, theirs: Networks, *, buffers: bool) -> None:
    """Parameters (and buffers) agree to 1e-10."""
    for name, mine, his in _pairs(ours, theirs, buffers=buffers):
        torch.testing.assert_close(mine, his, rtol=1e-10, atol=1e-10, msg=name)


def assert_moved(networks: Networks, make: Callable[[], Networks], *players: str) -> None:
    """The players that train are not where they began: equality of idle networks proves nothing."""
    for name in players:
        module = networks[name]
        dtype = next(module.parameters()).dtype
        start = _seeded(make, dtype)[name]
        pairs = zip(module.parameters(), start.parameters(), strict=True)
        assert max((mine - old).abs().max() for mine, old in pairs) > 1e-3, name


def _pairs(ours: Networks, theirs: Networks, *, buffers: bool) -> Iterator[tuple[str, Any, Any]]:
    for name, module in ours.items():
        state, other = module.state_dict(), theirs[name].state_dict()
        keys = state if buffers else dict(module.named_parameters())
        yield from ((f"{name}.{key}", state[key], other[key]) for key in keys)


def statistics_differ(ours: Networks, theirs: Networks, *players: str) -> bool:
    """Tell whether any running mean of the players differs, by more than rounding."""
    return any(
        (mine - theirs[name].state_dict()[key]).abs().max().item() > 1e-6
        for name in players
        for key, mine in ours[name].state_dict().items()
        if key.endswith("running_mean")
    )


def optimizers_of(networks: Mapping[str, nn.Module], optimizer: Any) -> dict[str, Any]:
    return {name: optimizer([*module.parameters()]) for name, module in networks.items()}


def random(generator: torch.Generator, dtype: torch.dtype, *shape: int) -> Tensor:
    return torch.randn(shape, generator=generator, dtype=dtype)
