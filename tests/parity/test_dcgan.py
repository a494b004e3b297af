"""Parity with DCGAN's training step as PyTorch's example writes it (examples/dcgan/main.py).

The critic sees real, then detached fake samples, and steps; then the generator backpropagates
through the same fakes. Sizes are small, all else is as there: batch normalization in both networks,
binary cross-entropy, one batch of noise for both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import nvn
from nvn import energies as en
from tests.parity import comparing
from tests.parity.comparing import (
    ITERATIONS,
    Networks,
    each_dtype_and_habit,
    each_habit,
    each_optimizer,
)

pytestmark = pytest.mark.filterwarnings("error")

NOISE, CHANNELS, SAMPLES = 5, 4, 4


def networks() -> Networks:
    """The example's layers for images of 8×8; the critic gives logits."""
    generator = nn.Sequential(
        nn.ConvTranspose2d(NOISE, CHANNELS * 2, 4, 1, 0, bias=False),
        nn.BatchNorm2d(CHANNELS * 2),
        nn.ReLU(inplace=True),
        nn.ConvTranspose2d(CHANNELS * 2, 1, 4, 2, 1, bias=False),
        nn.Tanh(),
    )
    critic = nn.Sequential(
        nn.Conv2d(1, CHANNELS, 4, 2, 1, bias=False),
        nn.LeakyReLU(0.2, inplace=True),
        nn.Conv2d(CHANNELS, CHANNELS * 2, 3, 1, 1, bias=False),
        nn.BatchNorm2d(CHANNELS * 2),
        nn.LeakyReLU(0.2, inplace=True),
        nn.Conv2d(CHANNELS * 2, 1, 4, 1, 0, bias=False),
    )
    return {"G": generator, "D": critic}


def batches(dtype: torch.dtype) -> Iterator[dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    for _ in range(ITERATIONS):
        real = comparing.random(generator, dtype, SAMPLES, 1, 8, 8)
        # A sample's name in the batch: this noise is used, none is drawn.
        yield {"real": real, "z": comparing.random(generator, dtype, SAMPLES, NOISE, 1, 1)}


def declared(nets: Networks) -> nvn.Plan:
    """The game, declared."""
    game = nvn.Game("dcgan")
    real = game.batch("real")
    z = game.noise("z", (NOISE, 1, 1), like=real)
    G, D = game.player("G", nets["G"]), game.player("D", nets["D"])
    adv = en.NonSaturating()
    fake = G(z)
    D.minimizes(adv.real(D(real)) + adv.fake(D(fake)))
    G.minimizes(adv.fool(D(fake)))
    return nvn.plan(game, nvn.alternating(D, G))


def play(nets: Networks, optimizer: Any, dtype: torch.dtype) -> None:
    """Play the game as declared."""
    engine = nvn.Engine(declared(nets), optimizer)
    for batch in batches(dtype):
        engine.step(batch)


Criterion = Callable[[Tensor, float], Tensor]


def by_hand(
    nets: Networks, optimizer: Any, dtype: torch.dtype, criterion: Criterion, habit: Any
) -> None:
    """The game, as the example's loop; `habit` says what becomes of others' statistics."""
    net_g, net_d = nets["G"], nets["D"]
    steps = comparing.optimizers_of(nets, optimizer)
    for batch in batches(dtype):
        # (1) Update D network: maximize log(D(x)) + log(1 - D(G(z)))
        net_d.zero_grad()
        criterion(net_d(batch["real"]), 1.0).backward()
        fake = net_g(batch["z"])
        criterion(net_d(fake.detach()), 0.0).backward()
        steps["D"].step()
        # (2) Update G network: maximize log(D(G(z)))
        with habit(net_d):
            net_g.zero_grad()
            criterion(net_d(fake), 1.0).backward()
            steps["G"].step()


def log_sigmoid(logits: Tensor, label: float) -> Tensor:
    """The cross-entropy with the operations of `en.NonSaturating`."""
    return -F.logsigmoid(logits if label == 1.0 else -logits).mean()


def bce_of_sigmoid(logits: Tensor, label: float) -> Tensor:
    """The example's own: nn.Sigmoid at the end of the critic, then nn.BCELoss."""
    return nn.BCELoss()(torch.sigmoid(logits), torch.full_like(logits, label))


@each_optimizer
@each_dtype_and_habit
def test_equal_to_the_same_operations(optimizer: Any, dtype: torch.dtype, habit: Any) -> None:
    """To the bit; statistics too, where the loop leaves D's alone in G's step."""
    ours, theirs = comparing.twice(networks, dtype)
    play(ours, optimizer, dtype)
    by_hand(theirs, optimizer, dtype, log_sigmoid, habit)
    comparing.assert_moved(ours, networks, "G", "D")
    rested = habit is comparing.resting
    comparing.assert_equal(ours, theirs, buffers=rested)
    # The generator runs once in the loop, in its own move in nvn: its statistics agree anyway.
    comparing.assert_equal({"G": ours["G"]}, theirs, buffers=True)
    assert comparing.statistics_differ(ours, theirs, "D") is not rested


@each_optimizer
@each_habit
def test_close_to_the_example(optimizer: Any, habit: Any) -> None:
    """To 1e-10 in float64, with BCELoss on a sigmoid."""
    ours, theirs = comparing.twice(networks, torch.float64)
    play(ours, optimizer, torch.float64)
    by_hand(theirs, optimizer, torch.float64, bce_of_sigmoid, habit)
    comparing.assert_moved(ours, networks, "G", "D")
    comparing.assert_close(ours, theirs, buffers=habit is comparing.resting)
