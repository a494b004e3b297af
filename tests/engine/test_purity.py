"""What a dry run finds out of what is computed beside a result, and what the engine makes of it."""

import random
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import nvn
from nvn import energies as en
from nvn.engine.dry_run.purity import same
from nvn.errors import GameError, RunError
from tests.small import BATCH, Gan, adam, gan, linear, mean, problem, sgd

# --- randomness that nothing seeds ------------------------------------------------------------


@pytest.mark.parametrize(
    ("draw", "whose"),
    [
        (torch.randn_like, "torch's"),
        (lambda x: x * random.random(), "Python's"),
        (lambda x: x * np.random.rand(), "NumPy's"),
    ],
)
def test_a_function_that_draws_is_refused(draw: Callable[[Tensor], Tensor], whose: str) -> None:
    game = nvn.Game("game")
    f = game.player("f", linear(3, 1))
    f.minimizes(mean(f(nvn.value(draw)(game.batch("x")))))
    told = problem(game, f, batch=BATCH)
    assert f"draws from {whose} global random stream" in told.found
    assert "game.noise" in told.edit


class Drawing(nn.Module):
    """Draws in a way of its own."""

    def __init__(self, draw: Callable[[], Any]) -> None:
        super().__init__()
        self.inner = linear(3, 1)
        self.draw = draw

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.inner(x) + self.draw()
        return made


@pytest.mark.parametrize("draw", [random.random, np.random.rand])
def test_a_module_that_draws_otherwise_than_by_torch_is_refused(draw: Any) -> None:
    small = gan(critic=Drawing(draw))
    with pytest.raises(GameError, match="seeded for each call"):
        small.engine().check(BATCH)


def test_a_module_that_draws_by_torch_is_in_order() -> None:
    gan(critic=Drawing(partial(torch.rand, ()))).engine().check(BATCH)


def test_a_generator_of_its_own_is_found_by_computing_twice() -> None:
    draw = partial(torch.rand, (), generator=torch.Generator())
    with pytest.raises(GameError, match="gives something else when it is computed again"):
        gan(critic=Drawing(draw)).engine().check(BATCH)


def test_a_sample_that_does_not_use_its_generator_is_refused() -> None:
    game = nvn.Game("game")
    x = game.batch("x")
    f = game.player("f", linear(3, 1))
    drawn = game.sample("drawn", lambda generator, batch: torch.rand(8, 3))
    f.minimizes(en.mse(f(x), f(drawn)))
    assert "generator=generator" in problem(game, f, batch=BATCH).edit


# --- parameters -------------------------------------------------------------------------------


class Following(nn.Module):
    """Changes a parameter while it runs, as a momentum encoder does."""

    def __init__(self) -> None:
        super().__init__()
        self.fast, self.slow = linear(3, 1), linear(3, 1).requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        self.slow.weight.data.mul_(0.9).add_(self.fast.weight.data, alpha=0.1)
        made: Tensor = self.fast(x) + self.slow(x)
        return made


def test_a_parameter_that_changes_in_forward_is_refused_and_left_as_it_was() -> None:
    small = gan(critic=Following())
    engine = small.engine()
    before = small.D.module.slow.weight.clone()
    with pytest.raises(GameError, match=r"changes its parameter 'slow\.weight'") as caught:
        engine.check(BATCH)
    assert "register_buffer" in caught.value.problems[0].edit
    assert torch.equal(small.D.module.slow.weight, before)


@pytest.mark.parametrize("look", ["values", "gradients"])
def test_whoever_looks_is_told_of_it_too(look: str) -> None:
    small = gan(critic=Following())
    engine = small.engine()
    looks = {
        "values": lambda: engine.values(BATCH, [small.fool]),
        "gradients": lambda: engine.gradients(BATCH, "G"),
    }
    before = small.D.module.slow.weight.clone()
    with pytest.raises((GameError, RunError), match=r"changes its parameter 'slow\.weight'"):
        looks[look]()
    assert torch.equal(small.D.module.slow.weight, before)


# --- backward passes that compute forward again -----------------------------------------------


class Net(nn.Module):
    def __init__(self, outputs: int, *, again: bool, seed: int) -> None:
        super().__init__()
        self.first, self.norm = linear(3, 4, seed=seed), nn.BatchNorm1d(4)
        self.last, self.again = linear(4, outputs, seed=seed + 1), again

    def part(self, x: Tensor) -> Tensor:
        return torch.tanh(self.norm(self.first(x)))

    def forward(self, x: Tensor) -> Tensor:
        inner = checkpoint(self.part, x, use_reentrant=False) if self.again else self.part(x)
        made: Tensor = self.last(inner)
        return made


def saving_memory(again: bool) -> Gan:
    return gan(Net(3, again=again, seed=1), Net(1, again=again, seed=5))


@pytest.mark.parametrize("plain", [False, True])
def test_checkpointed_statistics_advance_as_without(plain: bool) -> None:
    engines = [saving_memory(again).engine(adam, plain=plain) for again in (False, True)]
    for _ in range(3):
        records = [engine.step(BATCH) for engine in engines]
        assert records[0].energies == records[1].energies
    states = [{n: m.state_dict() for n, m in engine.modules.items()} for engine in engines]
    for name in "GD":
        for key, value in states[0][name].items():
            assert torch.equal(value, states[1][name][key]), (name, key)


def test_a_call_in_eval_mode_that_computes_again_in_training_is_refused() -> None:
    small = saving_memory(True)
    still = small.D.method("forward", training=False)(small.fake)
    small.G.minimizes(mean(still).named("still"))
    with pytest.raises(GameError, match="in eval mode, computes forward again"):
        small.engine().check(BATCH)


# --- backward passes that are not linear ------------------------------------------------------


class Clipping(nn.Module):
    """Clips the gradient of what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = linear(3, 1, seed=4)

    def forward(self, x: Tensor) -> Tensor:
        x = x * 1
        if x.requires_grad:
            x.register_hook(lambda gradient: gradient.clamp(-1e-3, 1e-3))
        made: Tensor = self.inner(x)
        return made


def shared(critic: nn.Module) -> Gan:
    """G and E descend the same energies through D, with weights of their own."""
    small = gan(critic=critic)
    E = small.game.player("E", linear(seed=7))
    judged = en.mse(small.D(E(small.fake)), small.D(small.x))
    small.G.minimizes(3 * judged)
    E.minimizes(judged)
    small.schedule = nvn.simultaneous(small.G, E, small.D)
    return small


def test_passes_are_not_shared_where_gradients_are_clipped() -> None:
    played = []
    for plain in (False, True):
        small = shared(Clipping())
        engine = small.engine(sgd, plain=plain)
        for _ in range(3):
            engine.step(BATCH)
        played.append({name: m.state_dict() for name, m in engine.modules.items()})
        assert engine.plan.nonlinear == ("D",)
        assert "through D gradients do not flow linearly" in str(engine.plan)
    for name in "GE":
        for key, value in played[0][name].items():
            torch.testing.assert_close(value, played[1][name][key], rtol=1e-6, atol=1e-7)


def test_gradients_before_a_step_are_those_of_the_plain_engine_too() -> None:
    found = [
        shared(Clipping()).engine(sgd, plain=plain).gradients(BATCH, ["G", "E"])
        for plain in (False, True)
    ]
    for name in "GE":
        for key, value in found[0][name].items():
            torch.testing.assert_close(value, found[1][name][key], rtol=1e-6, atol=1e-7)


class Reversing(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = linear(3, 1, seed=4)

    def forward(self, x: Tensor) -> Tensor:
        x = x * 1
        if x.requires_grad:
            x.register_hook(torch.neg)
        made: Tensor = self.inner(x)
        return made


@pytest.mark.parametrize("critic", [Reversing(), nn.Sequential(linear(3, 1), nn.BatchNorm1d(1))])
def test_passes_are_shared_where_gradients_flow_linearly(critic: nn.Module) -> None:
    """A hook that reverses them is linear; so is a bias before a BatchNorm, mere rounding."""
    small = shared(critic)
    engine = small.engine(sgd)
    engine.check(BATCH)
    assert engine.plan.nonlinear == ()
    assert engine.plan.counts == small.plan.counts


# --- modes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("looked", [False, True], ids=["stepped", "looked at between"])
def test_parts_keep_the_modes_that_they_were_given(looked: bool) -> None:
    generator = nn.Sequential(linear(3, 3), nn.BatchNorm1d(3), nn.BatchNorm1d(3))
    generator[1].eval()
    engine = gan(generator).engine(adam)
    for _ in range(2):
        if looked:
            engine.modules["G"].eval()
        engine.step(BATCH)
    assert generator[1].num_batches_tracked == 0
    assert generator[2].num_batches_tracked == 2
    engine.modules["G"].train()
    assert engine.modules["G"][1].training


@pytest.mark.parametrize("odd", [float("inf"), float("nan")])
def test_numbers_that_are_none_are_the_same_again(odd: float) -> None:
    one = torch.tensor([odd, 1.0])
    assert same(one, one.clone())
    assert same(one[:1], one[:1].clone())
    assert not same(one, torch.tensor([odd, 2.0]))
    assert not same(one, torch.tensor([1.0, odd]))


def test_an_iteration_without_moves_takes_no_batch_for_the_check() -> None:
    small = gan()
    plan = nvn.plan(small.game, nvn.alternating(nvn.move(small.D, small.G, every=2)))
    first, second = nvn.Engine(plan, sgd), nvn.Engine(plan, sgd)
    first.step(BATCH)
    second.load_state_dict(first.state_dict())
    batches = iter([BATCH])
    second.step(batches)  # nobody moves in the second iteration
    second.step(batches)
    assert next(batches, None) is None
