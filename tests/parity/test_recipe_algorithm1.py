"""The recipe expression_2v2 with `algorithm1=true` is Algorithm 1 of Niu et al. 2022.

The hand-written side follows the page line by line: pre-train E on peaks; pre-train G's encoder and
decoder on faces; then update D, D′, G and E, each with a batch and fakes of its own, by minimax.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import partial
from itertools import islice

import torch
import torch.nn.functional as F
from nvn_recipes import expression_2v2
from torch import Tensor, nn

import nvn
from nvn.recipe.build import make_engines
from tests.golden.curves import Pictures, small
from tests.parity import comparing
from tests.parity.comparing import Networks

STEPS = 3  # of each phase
MOVERS = ("D", "Dp", "G", "E")
ALPHA, BETA, GAMMA, ALPHA_E, BETA_E = 0.2, 0.3, 0.5, 0.1, 0.05
SGD = partial(torch.optim.SGD, lr=1e-2, momentum=0.9, weight_decay=0.005)


def declared() -> nvn.Recipe:
    config = small().replace(
        training={"autoencode": True, "learns_weak": False},
        networks={"residual": False},
        game={
            "algorithm1": True, "classifier": "frozen", "content": "mse", "adversarial": "minimax",
            "a": ALPHA, "b": BETA, "c": GAMMA, "ae": ALPHA_E, "be": BETA_E, "head": 0.0,
        },
    )  # fmt: skip
    recipe = expression_2v2.recipe(config).replace(data=Pictures(config.data.size))
    names = (*MOVERS, *(phase.name for phase in recipe.phases))
    return recipe.replace(optimizers=dict.fromkeys(names, SGD))


def without_dropout(networks: Networks) -> None:
    """A mask drawn here is not one drawn there."""
    for network in networks.values():
        for module in network.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0


def log(logits: Tensor) -> Tensor:
    """Log D(x), of D's logits."""
    return F.logsigmoid(logits).mean()


def log_not(logits: Tensor) -> Tensor:
    """Log(1 − D(x))."""
    return F.logsigmoid(-logits).mean()


class ByHand:
    """Algorithm 1."""

    def __init__(self, networks: Networks, batches: Iterator[dict[str, Tensor]]) -> None:
        self.G, self.E, self.D, self.Dp, self.C = (networks[n] for n in ("G", "E", "D", "Dp", "C"))
        self.networks = networks
        self.batches = batches
        self.optimizers = comparing.optimizers_of({n: networks[n] for n in MOVERS}, SGD)

    def train(self) -> None:
        pre_e, pre_c, pre_g = (SGD([*m.parameters()]) for m in (self.E, self.C, self.G))
        for batch in islice(self.batches, STEPS):  # pre-train E (and C) on peak expressions
            logits = self.E.recognize(self.E(batch["peak"]))
            self.minimize(F.cross_entropy(logits, batch["label"]), self.E, pre_e)
            logits = self.C(batch["peak"])
            self.minimize(F.cross_entropy(logits, batch["label"]), self.C, pre_c)
        self.C.eval()
        for batch in islice(self.batches, STEPS):  # pre-train the encoder and decoder on faces
            with comparing.resting(self.E):
                copied = self.G(batch["peak"], self.E(batch["peak"]))
                self.minimize(F.mse_loss(copied, batch["peak"]), self.G, pre_g)
        for _ in range(STEPS):
            for name in MOVERS:
                others = [self.networks[other] for other in MOVERS if other != name]
                with comparing.resting(*others):
                    loss = self.loss(name, next(self.batches))
                    self.minimize(loss, self.networks[name], self.optimizers[name])

    def loss(self, name: str, batch: dict[str, Tensor]) -> Tensor:
        weak, peak = batch["weak"], batch["peak"]
        f = self.E(weak)
        fake = self.G(weak, f)
        if name == "D":  # ascend on log D(real) + log(1 − D(fake)); real are peaks and weak faces
            on_fake = log_not(self.D(fake, f))
            return -(0.5 * log(self.D(peak, f)) + 0.5 * log(self.D(weak, f)) + on_fake)
        if name == "Dp":
            on_fake = log_not(self.Dp(fake, f))
            return -(log(self.Dp(peak, f)) + on_fake)
        on_d, on_dp = log_not(self.D(fake, f)), log_not(self.Dp(fake, f))
        wrong = F.cross_entropy(self.C(fake), batch["label"])
        if name == "G":
            content = (peak - fake).square().mean()
            return content + ALPHA * on_d + BETA * on_dp + GAMMA * wrong
        return wrong + ALPHA_E * on_d + BETA_E * on_dp

    def minimize(self, loss: Tensor, module: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        gradients = torch.autograd.grad(loss, [*module.parameters()], allow_unused=True)
        for parameter, gradient in zip(module.parameters(), gradients, strict=True):
            parameter.grad = gradient
        optimizer.step()


def test_algorithm_1_of_the_recipe_is_that_of_the_paper() -> None:
    torch.manual_seed(0)
    recipe = declared()
    ours = {name: player.module.double() for name, player in recipe.game.players.items()}
    without_dropout(ours)
    theirs = copy.deepcopy(ours)
    before = copy.deepcopy(ours)

    engines = make_engines(recipe)
    stream = iter(Pictures(recipe.data.size))
    for phase in ("pretraining", "warmup", "main"):
        for _ in range(STEPS):
            engines[phase].step(stream)
    ByHand(theirs, iter(Pictures(recipe.data.size))).train()

    for name in MOVERS:
        moved = zip(ours[name].parameters(), before[name].parameters(), strict=True)
        assert max((a - b).abs().max().item() for a, b in moved) > 1e-4, name
    players = {name: ours[name] for name in (*MOVERS, "C")}
    comparing.assert_close(players, theirs, buffers=True)
