"""Which energies are no means over samples."""

import pytest
import torch
from torch import nn

import nvn
from nvn.engine.dry_run.halves import not_means
from tests.small import BATCH, gan, linear, mean, sgd, tensor


def told(engine: nvn.Engine, batch: dict[str, torch.Tensor] = BATCH) -> list[str]:
    found = not_means(
        engine.plan.graph,
        engine._needed(),
        engine._interpreter,
        engine.state.next_counters(),
        batch,
    )
    return [name for name, _, _ in found]


def test_means_over_samples_are_nothing_to_tell() -> None:
    assert told(gan().engine(sgd)) == []  # its noise is divided as the batch is
    assert told(gan().engine(sgd), {"x": tensor(7, 3)}) == []
    assert told(gan().engine(sgd), {"x": tensor(1, 3)}) == []  # one has no halves


@pytest.mark.parametrize(
    "critic",
    [
        nn.Sequential(linear(3, 3), nn.BatchNorm1d(3), linear(3, 1)),
        nn.Sequential(linear(3, 64), nn.Dropout(0.5), linear(64, 1)),
    ],
    ids=["norm", "dropout"],
)
def test_samples_that_meet_are_told(critic: nn.Module) -> None:
    assert sorted(told(gan(critic=critic).engine(sgd))) == ["fool", "judge"]


def test_a_sum_is_told_and_a_mean_beside_it_is_not() -> None:
    game = nvn.Game("sum")
    f = game.player("f", linear())
    y = f(game.batch("x"))
    f.minimizes(mean(y) + nvn.energy(lambda t: t.square().sum(), name="sum")(y).named("sum"))
    assert told(nvn.Engine(nvn.plan(game, nvn.alternating(f)), sgd)) == ["sum"]
