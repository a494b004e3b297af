"""A DCGAN step in the ways that well-known loops take it, and as nvn plans it.

- as PyTorch's DCGAN example, and Fabric's, with its wrappers: the fake is made once;
  D, not frozen, is gone back through for G's loss, and its gradients are thrown away
- as Lightning's GAN tutorial: each player's step makes a fake of its own; the other one is frozen
- as an expert: the fake is made once, D is frozen while G learns; frugally, D goes back from the
  real before the fake is made
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import nvn
from nvn.training.fabric import make_fabric

SAMPLES, CODE, WIDTH = 16, 64, 24
optimizer = partial(torch.optim.Adam, lr=2e-4, betas=(0.5, 0.999), fused=True)
Batch = dict[str, Tensor]


def generator() -> nn.Module:
    widths = [CODE, 8 * WIDTH, 4 * WIDTH, 2 * WIDTH, WIDTH]
    layers: list[nn.Module] = [nn.Unflatten(1, (CODE, 1, 1))]
    for i, (a, b) in enumerate(pairwise(widths)):
        stride, padding = (1, 0) if i == 0 else (2, 1)
        layers += [nn.ConvTranspose2d(a, b, 4, stride, padding, bias=False)]
        layers += [nn.BatchNorm2d(b), nn.ReLU()]
    return nn.Sequential(*layers, nn.ConvTranspose2d(WIDTH, 3, 4, 2, 1, bias=False), nn.Tanh())


def critic() -> nn.Module:
    layers: list[nn.Module] = [nn.Conv2d(3, WIDTH, 4, 2, 1), nn.LeakyReLU(0.2)]
    for k in (1, 2, 4):
        layers += [nn.Conv2d(k * WIDTH, 2 * k * WIDTH, 4, 2, 1, bias=False)]
        layers += [nn.BatchNorm2d(2 * k * WIDTH), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Conv2d(8 * WIDTH, 1, 4), nn.Flatten())


def batch() -> Batch:
    torch.manual_seed(0)
    return {"real": torch.rand(SAMPLES, 3, 64, 64) * 2 - 1}


def declared(device: str = "cpu", *, plain: bool = False) -> nvn.Engine:
    torch.manual_seed(0)
    game = nvn.Game("dcgan")
    real = game.batch("real")
    G, D = game.player("G", generator().to(device)), game.player("D", critic().to(device))
    fake = G(game.noise("z", CODE, like=real))
    real_energy, fake_energy = nvn.energy(real_loss), nvn.energy(fake_loss)
    D.minimizes(real_energy(D(real)) + fake_energy(D(fake)))
    G.minimizes(real_energy(D(fake)))
    return nvn.Engine(nvn.plan(game, nvn.alternating(D, G)), optimizer, plain=plain)


def real_loss(logits: Tensor) -> Tensor:
    return F.softplus(-logits).mean()


def fake_loss(logits: Tensor) -> Tensor:
    return F.softplus(logits).mean()


class Loop:
    def __init__(self, device: str = "cpu") -> None:
        torch.manual_seed(0)
        self.device = device
        self.G, self.D = generator().to(device), critic().to(device)
        self.on_g, self.on_d = (optimizer([*net.parameters()]) for net in (self.G, self.D))

    def code(self) -> Tensor:
        return torch.randn(SAMPLES, CODE, device=self.device)

    def freeze(self, net: nn.Module, frozen: bool) -> None:
        for parameter in net.parameters():
            parameter.requires_grad = not frozen


class Example(Loop):
    def backward(self, loss: Tensor) -> None:
        loss.backward()

    def step(self, data: Batch) -> None:
        self.on_d.zero_grad()
        self.backward(real_loss(self.D(data["real"])))
        fake = self.G(self.code())
        self.backward(fake_loss(self.D(fake.detach())))
        self.on_d.step()
        self.on_g.zero_grad()
        self.backward(real_loss(self.D(fake)))
        self.on_g.step()


class OnFabric(Example):
    def __init__(self) -> None:
        super().__init__()
        self.fabric = make_fabric("cpu")
        self.G, self.on_g = self.fabric.setup(self.G, self.on_g)
        self.D, self.on_d = self.fabric.setup(self.D, self.on_d)

    def backward(self, loss: Tensor) -> None:
        self.fabric.backward(loss)


class Tutorial(Loop):
    def step(self, data: Batch) -> None:
        z = self.code()
        self.freeze(self.D, True)
        self.on_g.zero_grad()
        real_loss(self.D(self.G(z))).backward()
        self.on_g.step()
        self.freeze(self.D, False)
        self.freeze(self.G, True)
        self.on_d.zero_grad()
        loss = real_loss(self.D(data["real"])) + fake_loss(self.D(self.G(z).detach()))
        (loss / 2).backward()
        self.on_d.step()
        self.freeze(self.G, False)


class Expert(Loop):
    def step(self, data: Batch) -> None:
        fake = self.G(self.code())
        self.on_d.zero_grad()
        (real_loss(self.D(data["real"])) + fake_loss(self.D(fake.detach()))).backward()
        self.on_d.step()
        self.freeze(self.D, True)
        self.on_g.zero_grad()
        real_loss(self.D(fake)).backward()
        self.on_g.step()
        self.freeze(self.D, False)


class Frugal(Loop):
    """The expert's loop that holds least: D goes back from the real before the fake is made."""

    def step(self, data: Batch) -> None:
        self.on_d.zero_grad()
        real_loss(self.D(data["real"])).backward()
        fake = self.G(self.code())
        fake_loss(self.D(fake.detach())).backward()
        self.on_d.step()
        self.freeze(self.D, True)
        self.on_g.zero_grad()
        real_loss(self.D(fake)).backward()
        self.on_g.step()
        self.freeze(self.D, False)
