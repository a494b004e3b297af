"""One process of several that play together: what test_together.py starts, and not a test file.

Random games, derandomized, so that all processes draw the same ones: each plays a game twice, alone
on whole batches, and together with the others on its share of them.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from hypothesis import given
from lightning_fabric import Fabric
from torch import Tensor

import nvn
from tests.games.specs import GameSpec, batches
from tests.games.strategies import Taste, examples, games
from tests.games.styles import declare

# BatchNorm and dropout are no functions of one sample: these cannot be the same.
TASTE = Taste(norms=False, kinds=("spectral",), slopes=True, related=True, moves=True)
ITERATIONS = 4
CLOSE = 1e-12

adam = partial(torch.optim.Adam, lr=1e-3)
sgd = partial(torch.optim.SGD, lr=1e-3, momentum=0.9)


def whole(seed: int, count: int) -> Iterator[dict[str, Tensor]]:
    """Yield the batches of all processes as one."""
    source = batches(seed, noise=False)
    while True:
        parts = [next(source) for _ in range(count)]
        yield {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def shares(seed: int, fabric: Fabric) -> Iterator[dict[str, Tensor]]:
    """Yield one process's share."""
    source = batches(seed, noise=False)
    while True:
        yield [next(source) for _ in range(fabric.world_size)][fabric.global_rank]


def engine_of(spec: GameSpec, optimizer: Any, fabric: Fabric | None) -> nvn.Engine:
    declared = declare(spec, spec.modules())
    return nvn.Engine(nvn.plan(declared.game, declared.schedule), optimizer, fabric)


def numbers(engine: nvn.Engine) -> dict[str, Tensor]:
    """All that a game learns, and what optimizers make of it."""
    return {
        f"{name}.{key}": value.detach().clone()
        for name, module in engine.modules.items()
        for key, value in module.state_dict().items()
    }


def assert_close(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, x in one.items():
        torch.testing.assert_close(x, other[name], rtol=CLOSE, atol=CLOSE, equal_nan=True, msg=name)


def play(fabric: Fabric) -> None:
    @examples(int(sys.argv[1]))
    @given(games(TASTE))
    def test_games(spec: GameSpec) -> None:
        optimizer = sgd if len(spec.players) % 2 else adam
        alone, together = (engine_of(spec, optimizer, each) for each in (None, fabric))
        data, share = whole(3, fabric.world_size), shares(3, fabric)
        for _ in range(ITERATIONS):
            ours, theirs = alone.step(data), together.step(share)
            for group in ("energies", "objectives", "gradient_norms"):
                mine, other = getattr(ours, group), getattr(theirs, group)
                assert mine.keys() == other.keys()
                for name, number in mine.items():
                    close = CLOSE * max(1.0, abs(number))
                    assert abs(number - other[name]) <= close or number != number, (group, name)
        assert_close(numbers(alone), numbers(together))

    test_games()


def main() -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    count = int(sys.argv[2])
    fabric = Fabric(accelerator="cpu", strategy="ddp", devices=count, precision="64-true")
    fabric.launch()
    play(fabric)
    fabric.barrier()
    print(f"process {fabric.global_rank} of {fabric.world_size}: the same")


if __name__ == "__main__":
    main()
