"""Fabric: the engine in each precision, and without."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

import nvn
from nvn import energies as en
from nvn.engine.precision import CastModule, Precision
from nvn.training.fabric import make_fabric
from tests.small import BATCH, Gan, adam, assert_same, gan, linear, mlp, tensor, weights

PRECISIONS = ["32-true", "64-true", "bf16-mixed"]


def fabric(precision: str = "32-true") -> Fabric:
    return make_fabric("cpu", precision=precision)


class Watching(nn.Module):
    """Notes the dtypes that its linear layer takes and gives."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.net = mlp(inputs, outputs)
        self.seen: list[torch.dtype] = []

    def forward(self, x: Tensor) -> Tensor:
        y = self.net(x)
        self.seen += [x.dtype, y.dtype]
        return y


def penalised(**modules: nn.Module) -> Gan:
    small = gan(**modules)
    small.D.minimizes(10 * en.r1(small.D(small.x), small.x))
    return small


def play(engine: nvn.Engine, steps: int = 5) -> Iterator[dict[str, float]]:
    for step in range(steps):
        record = engine.step({"x": tensor(8, 3, seed=step)})
        yield {**record.energies, **record.objectives, **record.gradient_norms}


def test_32_true_equals_no_fabric_at_all() -> None:
    with_fabric, without = penalised().engine(adam, fabric()), penalised().engine(adam)
    assert list(play(with_fabric)) == list(play(without))
    assert_same(weights(with_fabric), weights(without))


def test_64_true_is_double_throughout() -> None:
    D = Watching(3, 1)
    engine = penalised(critic=D).engine(adam, fabric("64-true"))
    assert {p.dtype for p in D.parameters()} == {torch.float64}
    double = list(play(engine))
    assert {*D.seen} == {torch.float64}
    single = list(play(penalised(critic=Watching(3, 1)).engine(adam)))
    assert double[0]["judge"] == pytest.approx(single[0]["judge"], rel=1e-5)
    assert double[0]["judge"] != single[0]["judge"]


def test_noise_and_samples_are_of_the_runs_precision() -> None:
    game = nvn.Game("game")
    label = game.batch("label")
    z = game.noise("z", 3, like=label)  # whole numbers say nothing of the precision
    w = game.sample("w", lambda g, batch: torch.rand(8, 3, generator=g))
    G = game.player("G", linear())
    G.minimizes(en.mse(G(z), w))
    engine = nvn.Engine(nvn.plan(game, nvn.alternating(G)), adam, fabric("64-true"))
    batch = {"label": torch.arange(8)}
    engine.step(batch)
    drawn = engine.values(batch, [z, w, label])
    assert [x.dtype for x in drawn] == [torch.float64, torch.float64, torch.int64]
    assert torch.get_default_dtype() == torch.float32


def test_bf16_mixed_computes_modules_in_half_and_energies_in_single_precision() -> None:
    D = Watching(3, 1)
    small = penalised(critic=D)
    seen: list[torch.dtype] = []

    def watched(x: Tensor) -> Tensor:
        seen.append(x.dtype)
        return (x @ x.mT).mean()

    small.D.minimizes(nvn.energy(watched)(small.D(small.x)))
    engine = small.engine(adam, fabric("bf16-mixed"))
    numbers = list(play(engine))
    assert D.seen[1::2] == [torch.bfloat16] * (len(D.seen) // 2)
    assert {*seen} == {torch.float32}
    assert {p.dtype for p in D.parameters()} == {torch.float32}
    single = list(play(penalised(critic=Watching(3, 1)).engine(adam)))
    assert numbers[0]["judge"] == pytest.approx(single[0]["judge"], rel=0.03)
    assert numbers[0]["judge"] != single[0]["judge"]


def test_r1_in_bf16_mixed_comes_close_to_single_precision() -> None:
    def slope(precision: str) -> tuple[float, Tensor]:
        small = penalised()
        engine = small.engine(adam, fabric(precision))
        energy = en.r1(small.D(small.x), small.x)
        gradient = nvn.gradient(small.D(small.x), small.x)
        penalty, direction = engine.values(BATCH, [energy, gradient], training=True)
        return penalty.item(), direction

    half, direction = slope("bf16-mixed")
    single, exact = slope("32-true")
    assert direction.dtype == torch.float32
    assert half == pytest.approx(single, rel=0.05)
    torch.testing.assert_close(direction, exact, rtol=0.1, atol=0.01)


def test_the_gradients_of_r1_in_bf16_mixed_come_close_to_single_precision() -> None:
    def gradients(precision: str) -> Tensor:
        engine = penalised().engine(adam, fabric(precision))
        found = engine.gradients(BATCH, "D")["D"].values()
        return torch.cat([g.flatten() for g in found])

    half, single = gradients("bf16-mixed"), gradients("32-true")
    assert half.dtype == torch.float32
    assert torch.nn.functional.cosine_similarity(half, single, dim=0) > 0.99


def test_mixed_precision_sees_new_weights_after_a_step() -> None:
    """Autocast keeps the weights it has cast for as long as its context lives."""
    small = gan(generator=linear())
    engine = small.engine(lambda ps: torch.optim.SGD(ps, lr=1.0), fabric("bf16-mixed"))
    before = engine.values(BATCH, [small.fake])[0]
    engine.step(BATCH)
    noise = engine.values(BATCH, [small.z])[0]
    after = engine.values({**BATCH, "z": noise}, [small.fake])[0]
    module = engine.modules["G"]
    assert not torch.equal(before, after)
    torch.testing.assert_close(after, module(noise), rtol=0.02, atol=0.02)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_data_keep_their_values(precision: str) -> None:
    """A target is compared as it is, not rounded to what a module computes in."""
    small = gan()
    engine = small.engine(adam, fabric(precision))
    (x,) = engine.values(BATCH, [small.x])
    assert_same(x.float(), BATCH["x"])
    assert x.dtype == (torch.float64 if precision == "64-true" else torch.float32)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_every_precision_goes_on_where_it_was(precision: str) -> None:
    straight = penalised().engine(adam, fabric(precision))
    expected = list(play(straight, 3))
    engine = penalised().engine(adam, fabric(precision))
    engine.load_state_dict(penalised().engine(adam, fabric(precision)).state_dict())
    assert list(play(engine, 3)) == expected


def test_modules_are_the_very_ones_declared() -> None:
    small = gan()
    module = small.G.module
    parameter = next(module.parameters())
    engine = small.engine(adam, fabric("64-true"))
    assert engine.modules["G"] is module
    assert next(module.parameters()) is parameter


def test_outputs_come_back_in_single_precision_at_least() -> None:
    given: dict[str, Any] = {
        "half": torch.ones(1, dtype=torch.bfloat16),
        "rest": [torch.ones(1, dtype=torch.float64), torch.ones(1, dtype=torch.int64), None],
    }
    called = CastModule(nn.Identity(), lambda: given, None)
    found = called()
    assert found["half"].dtype == torch.float32
    assert found["rest"] == given["rest"]


def test_where_nothing_is_to_be_cast_modules_are_called_as_they_are() -> None:
    module = linear()
    for made in (None, fabric("32-true")):
        assert Precision(made).calling(module) is module
        assert Precision(made).applying(torch.mean) is torch.mean
    assert isinstance(Precision(fabric("bf16-mixed")).calling(module), CastModule)
    assert isinstance(Precision(None).calling(linear().to(torch.bfloat16)), CastModule)
