"""A GAN of tiny MLPs on a ring of Gaussians: what an engine costs where computing costs nothing."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.graph import increment_version

import nvn

SAMPLES, CODE, HIDDEN = 64, 16, 128
optimizer = partial(torch.optim.Adam, lr=1e-3, betas=(0.5, 0.9), fused=True)


def mlp(ins: int, outs: int) -> nn.Module:
    return nn.Sequential(
        nn.Linear(ins, HIDDEN),
        nn.ReLU(),
        nn.Linear(HIDDEN, HIDDEN),
        nn.ReLU(),
        nn.Linear(HIDDEN, outs),
    )


def nets(device: str = "cpu") -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    return mlp(CODE, 2).to(device), mlp(2, 1).to(device)


def batch(device: str = "cpu") -> dict[str, Tensor]:
    return {"real": torch.randn(SAMPLES, 2, device=device)}


# The energies of the expert's loop, operation by operation: what is compared is the engine.
taken_for_made = nvn.energy(lambda logits: F.softplus(-logits).mean(), name="taken_for_made")
taken_for_real = nvn.energy(lambda logits: F.softplus(logits).mean(), name="taken_for_real")


def declared(device: str = "cpu", *, plain: bool = False, norms: bool = True) -> nvn.Engine:
    generator, critic = nets(device)
    game = nvn.Game("ring")
    real = game.batch("real")
    z = game.noise("z", CODE, like=real)
    G, D = game.player("G", generator), game.player("D", critic)
    D.minimizes(taken_for_made(D(real)) + taken_for_real(D(G(z))))
    G.minimizes(taken_for_made(D(G(z))))
    return nvn.Engine(nvn.plan(game, nvn.alternating(D, G)), optimizer, plain=plain, norms=norms)


class Expert:
    """The loop an expert writes: the fake is made once, D rests while G learns."""

    def __init__(self, device: str = "cpu") -> None:
        self.G, self.D = nets(device)
        self.on_g, self.on_d = (optimizer([*m.parameters()]) for m in (self.G, self.D))
        self.critics = [*self.D.parameters()]

    def step(self, data: dict[str, Tensor]) -> None:
        G, D, real = self.G, self.D, data["real"]
        z = torch.randn(len(real), CODE, device=real.device)
        fake = G(z)
        loss = F.softplus(-D(real)).mean() + F.softplus(D(fake.detach())).mean()
        self.on_d.zero_grad()
        loss.backward()
        self.on_d.step()
        for parameter in self.critics:
            parameter.requires_grad = False
        loss = F.softplus(-D(fake)).mean()
        self.on_g.zero_grad()
        loss.backward()
        self.on_g.step()
        for parameter in self.critics:
            parameter.requires_grad = True


class Recording(Expert):
    """The expert's loop with an engine's duties, as lean as we can write it: a bound for engines.

    Losses are kept for a record; noise has a stream of its own, started anew each step; autograd is
    told that a fused optimizer has changed weights; and, if wanted, gradients are measured.
    """

    def __init__(self, *, norms: bool) -> None:
        super().__init__()
        self.makers = [*self.G.parameters()]
        self.norms = norms
        self.stream = torch.Generator()
        self.steps = 0

    def step(self, data: dict[str, Tensor]) -> list[Tensor]:
        G, D, real = self.G, self.D, data["real"]
        self.steps += 1
        z = torch.randn(len(real), CODE, generator=self.stream.manual_seed(self.steps))
        fake = G(z)
        made, taken = F.softplus(-D(real)).mean(), F.softplus(D(fake.detach())).mean()
        torch.autograd.backward((made, taken), inputs=self.critics)
        record = [made.detach(), taken.detach()]
        record += self._stepped(self.on_d, self.critics)
        for parameter in self.critics:
            parameter.requires_grad = False
        fooled = F.softplus(-D(fake)).mean()
        fooled.backward()
        record.append(fooled.detach())
        record += self._stepped(self.on_g, self.makers)
        for parameter in self.critics:
            parameter.requires_grad = True
        return record

    def _stepped(self, on: torch.optim.Optimizer, parameters: list[nn.Parameter]) -> list[Tensor]:
        norms = torch._foreach_norm([p.grad for p in parameters]) if self.norms else []
        on.step()
        increment_version(parameters)
        for parameter in parameters:
            parameter.grad = None
        return [*norms]
