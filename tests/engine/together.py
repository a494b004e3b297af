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
from torch import Tensor, nn

import nvn
from nvn import energies as en
from nvn.errors import GameWarning
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


def assert_same(ours: nvn.Record, theirs: nvn.Record) -> None:
    for group in ("energies", "objectives", "gradient_norms"):
        mine, other = getattr(ours, group), getattr(theirs, group)
        assert mine.keys() == other.keys()
        for name, number in mine.items():
            close = CLOSE * max(1.0, abs(number))
            assert abs(number - other[name]) <= close or number != number, (group, name)


def play(fabric: Fabric) -> None:
    @examples(int(sys.argv[1]))
    @given(games(TASTE))
    def test_games(spec: GameSpec) -> None:
        optimizer = sgd if len(spec.players) % 2 else adam
        alone, together = (engine_of(spec, optimizer, each) for each in (None, fabric))
        data, share = whole(3, fabric.world_size), shares(3, fabric)
        for _ in range(ITERATIONS):
            ours, theirs = alone.step(data), together.step(share)
            assert_same(ours, theirs)
        assert_close(numbers(alone), numbers(together))

    test_games()


class Odd(nn.Module):
    """A part that is not used, and rows that few samples need: sparse gradients."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(7)
            self.rows = nn.Embedding(12, 3, sparse=True, dtype=torch.float64)
            self.unused = nn.Linear(3, 3, dtype=torch.float64)
            self.last = nn.Linear(3, 3, dtype=torch.float64)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.last(self.rows(x))
        return made


def labelled(rank: int | None, count: int) -> Iterator[dict[str, Tensor]]:
    """Yield labels and targets: one process's share of them, or all."""
    generator = torch.Generator().manual_seed(5)
    while True:
        k = torch.randint(12, (count * 2,), generator=generator)
        y = torch.randn(count * 2, 3, generator=generator, dtype=torch.float64)
        mine = slice(None) if rank is None else slice(2 * rank, 2 * rank + 2)
        yield {"k": k[mine], "y": y[mine]}


def check_odd_gradients(fabric: Fabric) -> None:
    def engine(given: Fabric | None) -> nvn.Engine:
        game = nvn.Game("odd")
        k, y = game.batch("k", "y")
        f = game.player("f", Odd())
        f.minimizes(en.mse(f(k), y))
        plan = nvn.plan(game, nvn.alternating(f))
        return nvn.Engine(plan, partial(torch.optim.SGD, lr=0.1), given)

    alone, together = engine(None), engine(fabric)
    count = fabric.world_size
    data, share = labelled(None, count), labelled(fabric.global_rank, count)
    for _ in range(5):
        alone.step(data)
        together.step(share)
    assert_close(numbers(alone), numbers(together))


def check_what_differs_is_told(fabric: Fabric) -> None:
    """BatchNorm sees the samples of one process alone."""
    game = nvn.Game("norms")
    x = game.batch("x")
    f = game.player("f", nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)).double())
    f.minimizes(en.mse(f(x), x).named("far"))
    engine = nvn.Engine(nvn.plan(game, nvn.alternating(f)), sgd, fabric)
    generator = torch.Generator().manual_seed(fabric.global_rank)
    batch = {"x": torch.randn(8, 3, generator=generator, dtype=torch.float64)}
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        engine.step(batch)
        engine.step(batch)
    ours = [str(w.message) for w in told if issubclass(w.category, GameWarning)]
    assert len(ours) == (fabric.global_rank == 0)
    assert all("`far` is " in text for text in ours)
    state = torch.cat([t.flatten().double() for t in engine.modules["f"].state_dict().values()])
    assert all(torch.equal(state, other) for other in fabric.all_gather(state))


def check_dropout_differs(fabric: Fabric) -> None:
    game = nvn.Game("dropout")
    x = game.batch("x")
    f = game.player("f", nn.Sequential(nn.Linear(3, 64), nn.Dropout(0.5)).double())
    f.minimizes(nvn.energy(lambda y: y.mean(), name="mean")(f(x)).named("mean"))
    engine = nvn.Engine(nvn.plan(game, nvn.alternating(f)), sgd, fabric)
    seen: list[Tensor] = []
    f.module[1].register_forward_hook(lambda *given: seen.append(given[2].detach()))
    engine.step({"x": torch.ones(2, 3, dtype=torch.float64)})
    masks = fabric.all_gather(seen[-1] == 0)
    assert not torch.equal(masks[0], masks[1])


def main() -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    count = int(sys.argv[2])
    fabric = Fabric(accelerator="cpu", strategy="ddp", devices=count, precision="64-true")
    fabric.launch()
    play(fabric)
    check_odd_gradients(fabric)
    check_what_differs_is_told(fabric)
    check_dropout_differs(fabric)
    fabric.barrier()
    print(f"process {fabric.global_rank} of {fabric.world_size}: the same")


if __name__ == "__main__":
    main()
