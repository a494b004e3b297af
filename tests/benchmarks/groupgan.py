"""GroupGAN's 2 v 2 at the size of research code: four players and a frozen classifier.

Networks with BatchNorm, pictures of 64×64, batches of 4: VGG13 at half its width for E and C, an
encoder and decoder for G, strided convolutions for D and D′.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import nvn
from nvn import energies as en

SIZE, BATCH, FEATURES, CLASSES = 64, 4, 256, 6
A, B, C, AE, BE = 2e-3, 2e-3, 0.1, 2e-3, 2e-3
MOVERS = ("D", "Dp", "G", "E")
Batch = dict[str, Tensor]
Nets = dict[str, nn.Module]


def convolution(ins: int, outs: int, kernel: int = 3, stride: int = 1) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(ins, outs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outs),
        nn.ReLU(),
    )


def backbone(outputs: int, size: int) -> nn.Module:
    layers, channels = [], 3
    for width in (32, 64, 128, 256, 256):
        layers += [convolution(channels, width), convolution(width, width), nn.MaxPool2d(2)]
        channels = width
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(256 * (size // 32) ** 2, outputs))


class Generator(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            convolution(3, 32, 7),
            convolution(32, 48, 5, 2),
            convolution(48, 96, 3, 2),
            convolution(96, 128),
        )
        self.decoder = nn.Sequential(
            convolution(128 + FEATURES, 64),
            nn.ConvTranspose2d(64, 48, 4, 2, 1),
            nn.ReLU(),
            nn.ConvTranspose2d(48, 24, 4, 2, 1),
            nn.ReLU(),
            nn.Conv2d(24, 3, 3, padding=1),
        )

    def forward(self, weak: Tensor, f: Tensor) -> Tensor:
        h = self.encoder(weak)
        f = f[:, :, None, None].expand(-1, -1, *h.shape[2:])
        return torch.tanh(self.decoder(torch.cat([h, f], dim=1)))


class Critic(nn.Module):
    def __init__(self, size: int) -> None:
        super().__init__()
        self.look = nn.Sequential(
            convolution(3, 24, 7),
            convolution(24, 64, 3, 2),
            convolution(64, 96, 3, 2),
            convolution(96, 144, 3, 2),
            nn.Flatten(),
        )
        self.judge = nn.Sequential(
            nn.Linear(144 * (size // 8) ** 2 + FEATURES, 128), nn.LeakyReLU(0.2), nn.Linear(128, 1)
        )

    def forward(self, x: Tensor, f: Tensor) -> Tensor:
        return self.judge(torch.cat([self.look(x), f], dim=1))


def nets(device: str = "cpu", size: int = SIZE) -> Nets:
    torch.manual_seed(0)
    found = {
        "G": Generator(),
        "E": backbone(FEATURES, size),
        "D": Critic(size),
        "Dp": Critic(size),
        "C": backbone(CLASSES, size).eval().requires_grad_(False),
    }
    return {name: module.to(device) for name, module in found.items()}


def batch(device: str = "cpu", size: int = SIZE, samples: int = BATCH) -> Batch:
    generator = torch.Generator().manual_seed(0)
    pictures = torch.rand(2, samples, 3, size, size, generator=generator) * 2 - 1
    made = {"weak": pictures[0], "peak": pictures[1], "label": torch.arange(samples) % CLASSES}
    return {name: tensor.to(device) for name, tensor in made.items()}


def optimizer(parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    return torch.optim.Adam(parameters, lr=1e-4, betas=(0.5, 0.999), fused=True)


# --- declared -----------------------------------------------------------------------------------


def declared(
    modules: Nets, schedule: Callable[..., nvn.Schedule], *, plain: bool = False
) -> nvn.Engine:
    game = nvn.Game("groupgan-2v2")
    weak, peak, label = game.batch("weak", "peak", "label")
    G, E = game.team("synthesis", G=modules["G"], E=modules["E"])
    D, Dp = game.team("critics", D=modules["D"], Dp=modules["Dp"])
    judge = game.frozen("C", modules["C"])
    f = E(weak)
    fake = G(weak, f)
    adv = en.NonSaturating()
    ce = en.cross_entropy(judge(fake), label)
    D.minimizes(0.5 * adv.real(D(peak, f)) + 0.5 * adv.real(D(weak, f)) + adv.fake(D(fake, f)))
    Dp.minimizes(adv.real(Dp(peak, f)) + adv.fake(Dp(fake, f)))
    G.minimizes(en.mse(fake, peak) + A * adv.fool(D(fake, f)) + B * adv.fool(Dp(fake, f)) + C * ce)
    E.minimizes(ce + AE * adv.fool(D(fake, f)) + BE * adv.fool(Dp(fake, f)))
    return nvn.Engine(nvn.plan(game, schedule(D, Dp, G, E)), optimizer, plain=plain)


def one_by_one(*players: nvn.Player) -> nvn.Schedule:
    return nvn.alternating(*players)


def fresh(*players: nvn.Player) -> nvn.Schedule:
    return nvn.alternating(*players, fresh=True)


def as_teams(D: nvn.Player, Dp: nvn.Player, G: nvn.Player, E: nvn.Player) -> nvn.Schedule:
    return nvn.alternating(D, Dp, (G, E))


def at_once(*players: nvn.Player) -> nvn.Schedule:
    return nvn.simultaneous(*players)


# --- by hand ------------------------------------------------------------------------------------


def real(logits: Tensor) -> Tensor:
    return F.softplus(-logits).mean()


def made(logits: Tensor) -> Tensor:
    return F.softplus(logits).mean()


class Loop:
    """What the loops written by hand share."""

    def __init__(self, modules: Nets) -> None:
        self.nets = modules
        self.steps = {name: optimizer([*modules[name].parameters()]) for name in MOVERS}
        self.flags = dict.fromkeys(MOVERS, True)

    def only(self, *learners: str) -> None:
        """Freeze everybody else, as careful loops do; nothing is done twice."""
        for name in MOVERS:
            if self.flags[name] != (name in learners):
                self.flags[name] = name in learners
                for parameter in self.nets[name].parameters():
                    parameter.requires_grad = self.flags[name]

    def descend(self, name: str, loss: Tensor) -> None:
        self.steps[name].zero_grad()
        loss.backward()
        self.steps[name].step()

    def v_d(self, fake: Tensor, f: Tensor, data: Batch) -> Tensor:
        D = self.nets["D"]
        return 0.5 * real(D(data["peak"], f)) + 0.5 * real(D(data["weak"], f)) + made(D(fake, f))

    def v_dp(self, fake: Tensor, f: Tensor, data: Batch) -> Tensor:
        Dp = self.nets["Dp"]
        return real(Dp(data["peak"], f)) + made(Dp(fake, f))

    def v_g(self, fake: Tensor, f: Tensor, data: Batch) -> Tensor:
        ce = F.cross_entropy(self.nets["C"](fake), data["label"])
        on_d, on_dp = real(self.nets["D"](fake, f)), real(self.nets["Dp"](fake, f))
        return F.mse_loss(fake, data["peak"]) + A * on_d + B * on_dp + C * ce

    def v_e(self, fake: Tensor, f: Tensor, data: Batch) -> Tensor:
        ce = F.cross_entropy(self.nets["C"](fake), data["label"])
        return ce + AE * real(self.nets["D"](fake, f)) + BE * real(self.nets["Dp"](fake, f))


class Expert(Loop):
    """Reuses features and fakes as long as they are valid, freezes opponents, detaches."""

    def step(self, data: Batch) -> None:
        self.only("G", "E", "D", "Dp")
        f = self.nets["E"](data["weak"])  # with a graph, for E's own move at the end
        self.only("G", "D", "Dp")
        constant = f.detach()
        fake = self.nets["G"](data["weak"], constant)
        self.descend("D", self.v_d(fake.detach(), constant, data))
        self.descend("Dp", self.v_dp(fake.detach(), constant, data))
        self.only("G")
        self.descend("G", self.v_g(fake, constant, data))
        self.only()
        new = self.nets["G"](data["weak"], f)
        loss = self.v_e(new, f, data)
        self.only("E")
        self.descend("E", loss)


class ByTheBook(Loop):
    """Algorithm 1 as it stands: every move synthesizes anew and goes back through everything."""

    def step(self, data: Batch) -> None:
        for name, objective in zip(MOVERS, (self.v_d, self.v_dp, self.v_g, self.v_e), strict=True):
            f = self.nets["E"](data["weak"])
            fake = self.nets["G"](data["weak"], f)
            for step in self.steps.values():
                step.zero_grad()
            objective(fake, f, data).backward()
            self.steps[name].step()
