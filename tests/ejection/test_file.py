"""The file: what is in it, and what is refused."""

from __future__ import annotations

import ast
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import nvn
from nvn import energies as en
from nvn.errors import GameError
from tests.ejection.playing import play_both
from tests.small import adam, gan, linear, sgd, tensor

BATCH = {"x": tensor(8, 3)}


def eject(plan: nvn.Plan, optimizers: Any = sgd, **options: Any) -> str:
    return nvn.eject(plan, optimizers, BATCH, **options)


def described() -> tuple[nvn.Game, nvn.Value, nvn.Player, nvn.Player]:
    game = nvn.Game("described")
    return game, game.batch("x"), game.player("A", linear()), game.player("B", linear(seed=1))


def own(x: Tensor) -> Tensor:
    return x.square().mean()


def ramp(step: int) -> float:
    return float(step < 3)


def test_a_loop_that_draws_nothing_has_no_counters() -> None:
    game, x, A, B = described()
    A.minimizes(en.mse(B(A(x)), x))
    source = eject(nvn.plan(game, nvn.alternating(A), partial=True))
    assert "Counters" not in source
    assert "B_A_x - x).square().mean()" in source
    assert "what the loop calls" not in source  # all of it is torch


def test_every_problem_is_told_at_once() -> None:
    game, x, A, B = described()
    w = game.sample("w", lambda generator, batch: torch.rand(8, 3, generator=generator))
    mean = nvn.energy(lambda y: y.mean(), name="mean")
    A.minimizes((lambda step: 1.0) * mean(B(A(x))))
    B.minimizes(en.mse(B(x), w))
    with pytest.raises(GameError) as caught:
        eject(nvn.plan(game, nvn.alternating(A, B)))
    assert len(caught.value.problems) == 3
    assert all("test_file.py:" in problem.where for problem in caught.value.problems)
    assert "def name(…)" in str(caught.value)


def test_a_wrong_game_is_refused_as_ever() -> None:
    small = gan()
    with pytest.raises(GameError, match="has no 'x'"):
        nvn.eject(small.plan, sgd, {"y": tensor(8, 3)})


def test_nothing_of_the_game_is_changed() -> None:
    small = gan(nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)))
    small.D.module.eval()
    before = {k: v.clone() for k, v in small.G.module.state_dict().items()}
    state = torch.get_rng_state()
    with pytest.raises(GameError):  # its energies are lambdas
        eject(small.plan)
    assert not small.D.module.training
    assert all(torch.equal(v, before[k]) for k, v in small.G.module.state_dict().items())
    assert torch.equal(state, torch.get_rng_state())


def test_lazy_regularizers_correct_the_optimizer() -> None:
    game, x, A, B = described()
    A.minimizes(en.mse(A(x), x))
    B.minimizes(en.mse(B(A(x)), x))
    lazy = nvn.move(A, toward=nvn.energy(own)(A(x)), every=4)
    plan = nvn.plan(game, nvn.alternating(A, B, lazy))
    source = play_both(plan, adam, lambda: iter([BATCH] * 9), steps=8)
    assert "if step % 4 == 0:" in source
    correction = 1 / (1 + 1 / 4)
    betas = (0.9**correction, 0.999**correction)
    assert f"lr={0.01 * correction!r}, betas={betas!r}" in " ".join(source.split())


def test_weights_that_are_zero_in_some_steps_make_loops() -> None:
    game, x, A, B = described()
    A.minimizes(en.mse(A(x), x) + ramp * nvn.energy(own)(A(x)))
    B.minimizes(en.mse(B(A(x)), x))
    plan = nvn.plan(game, nvn.simultaneous(A, B))
    source = play_both(plan, adam, lambda: iter([BATCH] * 9), steps=6)
    assert "if ramp(step) != 0.0:" in source
    assert source.count("\ndef _a_and_b") == 2
    seen = eject(plan, steps=3)  # the weight is never zero
    assert "if ramp" not in seen
    assert "0.0:" not in seen


def test_too_many_loops_are_refused() -> None:
    game, x, A, B = described()
    A.minimizes(en.mse(A(x), x))
    B.minimizes(en.mse(B(A(x)), x))
    moves = [nvn.move(B, every=n) for n in (2, 3, 5, 7, 11)]
    with pytest.raises(GameError, match="32 loops, of the conditions step % 2 == 0"):
        eject(nvn.plan(game, nvn.alternating(A, *moves)))


def test_optimizers_that_cannot_be_written_are_the_callers() -> None:
    game, x, A, B = described()
    A.minimizes(en.mse(B(A(x)), x))
    plan = nvn.plan(game, nvn.alternating(nvn.move(A, optimizer="slow")), partial=True)
    source = eject(plan, {"slow": lambda ps: torch.optim.SGD(ps, lr=0.1)})
    assert "def make_optimizers" not in source
    assert '"A:slow" over A\'s' in " ".join(source.split())


def test_players_and_values_may_be_called_anything() -> None:
    game = nvn.Game("names")
    x, y = game.batch("train_step", "energies")
    players = [game.player(n, linear()) for n in ("G-1", "F", "modules", "loss", "torch", "vjp")]
    for player in players:
        player.minimizes(en.mse(player(x), y).named(f"it's {player.name}\n of"))
    plan = nvn.plan(game, nvn.simultaneous(*players))
    batch = {"train_step": tensor(8, 3), "energies": tensor(8, 3, seed=1)}
    source = play_both(plan, partial(torch.optim.SGD, lr=0.1), lambda: iter([batch] * 4), steps=3)
    ast.parse(source)


def test_noise_has_the_dtype_that_the_engine_gives_it() -> None:
    game = nvn.Game("labels")
    label = game.batch("label")
    G = game.player("G", linear())
    G.minimizes(nvn.energy(own)(G(game.noise("z", 3, like=label))))
    plan = nvn.plan(game, nvn.alternating(G))
    source = play_both(plan, sgd, lambda: iter([{"label": torch.arange(4)}] * 4), steps=3)
    assert "dtype=torch.get_default_dtype()" in source


class Clipping(nn.Module):
    """Clips the gradient of what it is given: passes through it cannot be shared."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = linear(3, 3, seed=4)

    def forward(self, x: Tensor) -> Tensor:
        x = x * 1
        if x.requires_grad:
            x.register_hook(lambda gradient: gradient.clamp(-1e-3, 1e-3))
        made: Tensor = self.inner(x)
        return made


def test_where_gradients_are_clipped_the_loop_shares_no_passes() -> None:
    game, x, A, B = described()
    C = game.player("C", Clipping())
    apart = en.mse(C(B(A(x))), x)
    A.minimizes(3 * apart)
    B.minimizes(apart)
    C.minimizes(apart)
    plan = nvn.plan(game, nvn.simultaneous(A, B, C))
    play_both(plan, sgd, lambda: iter([BATCH] * 9), steps=4)


class Checkpointed(nn.Sequential):
    """Computes forward again in its backward pass."""

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = checkpoint(super().forward, x, use_reentrant=False)
        return made


def test_checkpointing_around_buffers_cannot_be_taken_along() -> None:
    game, x, A, B = described()
    D = game.player("D", Checkpointed(linear(), nn.BatchNorm1d(3)))
    A.minimizes(en.mse(D(B(A(x))), x))
    with pytest.raises(GameError, match="the module of `D`.*computes forward again"):
        eject(nvn.plan(game, nvn.alternating(A), partial=True))
