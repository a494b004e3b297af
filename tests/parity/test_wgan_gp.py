"""Parity with WGAN-GP (Gulrajani et al. 2017, algorithm 1): five critic steps on fresh batches.

The loop is that of caogang/wgan-gp (`gan_mnist.py`): real, fake and the penalty go backward one by
one; then the generator steps, with noise of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import nvn
from nvn import energies as en
from tests.parity import comparing
from tests.parity.comparing import ITERATIONS, Networks, each_dtype, each_habit, each_optimizer

pytestmark = pytest.mark.filterwarnings("error")

NOISE, SAMPLES, CRITIC_STEPS, LAMBDA = 3, 4, 5, 10.0


def networks() -> Networks:
    """A generator with batch normalization, a critic without, for images of 6×6."""
    generator = nn.Sequential(
        nn.Linear(NOISE, 16),
        nn.BatchNorm1d(16),
        nn.Tanh(),
        nn.Linear(16, 36),
        nn.Unflatten(1, (1, 6, 6)),
    )
    critic = nn.Sequential(
        nn.Conv2d(1, 4, 3, 2, 1),
        nn.Softplus(),
        nn.Conv2d(4, 4, 3, 1, 1),
        nn.LayerNorm([4, 3, 3]),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(36, 1),
    )
    return {"G": generator, "D": critic}


def batches(dtype: torch.dtype) -> Iterator[dict[str, Tensor]]:
    """Batches without end, each with noise and interpolation weights of its own."""
    generator = torch.Generator().manual_seed(2)
    while True:
        yield {
            "real": comparing.random(generator, dtype, SAMPLES, 1, 6, 6),
            "z": comparing.random(generator, dtype, SAMPLES, NOISE),
            "weights": torch.rand(SAMPLES, generator=generator, dtype=dtype),
        }


def declared(nets: Networks) -> nvn.Plan:
    """The game, declared."""
    game = nvn.Game("wgan-gp")
    real = game.batch("real")
    z = game.noise("z", NOISE, like=real)
    weights = game.sample("weights", en.uniform_weights)
    G, D = game.player("G", nets["G"]), game.player("D", nets["D"])
    adv = en.Wasserstein()
    on_real = adv.real(D(real))
    fake = G(z)
    on_fake = adv.fake(D(fake))
    between = en.interpolate(real, fake, weights)
    D.minimizes(on_real + on_fake + LAMBDA * en.gradient_penalty(D(between), between))
    G.minimizes(adv.fool(D(fake)))
    schedule = nvn.alternating(nvn.move(D, times=CRITIC_STEPS), G, fresh=True)
    return nvn.plan(game, schedule)


def play(nets: Networks, optimizer: Any, dtype: torch.dtype) -> None:
    """Play the game as declared."""
    engine = nvn.Engine(declared(nets), optimizer)
    supply = batches(dtype)
    for _ in range(ITERATIONS):
        engine.step(supply)


def penalty(critic: nn.Module, real: Tensor, fake: Tensor, alpha: Tensor) -> Tensor:
    """calc_gradient_penalty of the loop, for images."""
    alpha = alpha.view(-1, 1, 1, 1).expand_as(real)
    interpolates = (alpha * real + (1 - alpha) * fake).requires_grad_()
    scores = critic(interpolates)
    gradients = torch.autograd.grad(
        outputs=scores,
        inputs=interpolates,
        grad_outputs=torch.ones_like(scores),
        create_graph=True,
        retain_graph=True,
        only_inputs=True,
    )[0]
    return ((gradients.view(SAMPLES, -1).norm(2, dim=1) - 1) ** 2).mean() * LAMBDA


def by_hand(
    nets: Networks, optimizer: Any, dtype: torch.dtype, habit: Any, *, one_backward: bool
) -> None:
    """The loop; `one_backward`: the critic's three losses are added up before they go back."""
    net_g, net_d = nets["G"], nets["D"]
    steps = comparing.optimizers_of(nets, optimizer)
    supply = batches(dtype)
    for _ in range(ITERATIONS):
        for _ in range(CRITIC_STEPS):
            batch = next(supply)
            with habit(net_g):
                net_d.zero_grad()
                if one_backward:
                    _critic_loss(net_g, net_d, batch).backward()
                else:
                    _critic_backward(net_g, net_d, batch)
                steps["D"].step()
        net_g.zero_grad()
        (-net_d(net_g(next(supply)["z"])).mean()).backward()
        steps["G"].step()


def _critic_backward(net_g: nn.Module, net_d: nn.Module, batch: dict[str, Tensor]) -> None:
    (-net_d(batch["real"]).mean()).backward()
    fake = net_g(batch["z"]).detach()
    net_d(fake).mean().backward()
    penalty(net_d, batch["real"], fake, batch["weights"]).backward()


def _critic_loss(net_g: nn.Module, net_d: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    """The same with the operations of nvn.energies, and one backward pass."""
    on_real = (-net_d(batch["real"])).mean()
    fake = net_g(batch["z"]).detach()
    on_fake = net_d(fake).mean()
    weights = batch["weights"].reshape(-1, 1, 1, 1)
    between = (weights * batch["real"] + (1.0 - weights) * fake).requires_grad_()
    slopes = torch.autograd.grad(net_d(between).sum(), between, create_graph=True)[0]
    norms = torch.linalg.vector_norm(slopes.reshape(SAMPLES, -1), dim=1)
    return on_real + on_fake + LAMBDA * (norms - 1.0).square().mean()


@each_optimizer
@each_habit
def test_close_to_the_loop(optimizer: Any, habit: Any) -> None:
    """To 1e-10 in float64; statistics too, where the loop leaves G's alone in D's steps."""
    ours, theirs = comparing.twice(networks, torch.float64)
    play(ours, optimizer, torch.float64)
    by_hand(theirs, optimizer, torch.float64, habit, one_backward=False)
    rested = habit is comparing.resting
    comparing.assert_moved(ours, networks, "G", "D")
    comparing.assert_close(ours, theirs, buffers=rested)
    assert comparing.statistics_differ(ours, theirs, "G") is not rested


@each_optimizer
@each_dtype
def test_equal_to_the_same_operations(optimizer: Any, dtype: torch.dtype) -> None:
    """To the bit, with one backward pass for the critic."""
    ours, theirs = comparing.twice(networks, dtype)
    play(ours, optimizer, dtype)
    by_hand(theirs, optimizer, dtype, comparing.resting, one_backward=True)
    comparing.assert_moved(ours, networks, "G", "D")
    comparing.assert_equal(ours, theirs, buffers=True)
