"""The same comparisons on a GPU: `python -m tests.benchmarks.gpu` (needs CUDA).

What is planned is first held to the plain interpreter there, in float64: BatchNorm, dropout, noise
and penalties included.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import nn

import nvn
from nvn import energies as en
from tests.benchmarks import dcgan, tiny
from tests.benchmarks.comparing import compare, table


def net(ins: int, outs: int) -> nn.Module:
    return nn.Sequential(
        nn.Linear(ins, 32), nn.BatchNorm1d(32), nn.Tanh(), nn.Dropout(0.2), nn.Linear(32, outs)
    )


def played(*, plain: bool) -> nvn.Engine:
    """Play a game with everything in it for some iterations."""
    torch.manual_seed(0)
    game = nvn.Game("check")
    x = game.batch("x")
    G, D = (game.player(n, net(8, 8).to("cuda", torch.float64)) for n in "GD")
    C = game.player("C", net(8, 4).to("cuda", torch.float64))
    fake, adv = G(game.noise("z", 8, like=x)), en.NonSaturating()
    D.minimizes(adv.real(D(x)) + adv.fake(D(fake)) + 10 * en.r1(D(x), x))
    G.minimizes(adv.fool(D(fake)) + 0.1 * en.l2(C(fake), C(x)))
    C.minimizes(en.l2(C(fake), C(x)))
    schedule = nvn.alternating(nvn.move(D, times=2), (G, C))
    engine = nvn.Engine(nvn.plan(game, schedule), partial(torch.optim.Adam, lr=1e-3), plain=plain)
    batch = {"x": torch.randn(16, 8, device="cuda", dtype=torch.float64)}
    for _ in range(10):
        engine.step(batch)
    return engine


def largest_difference() -> float:
    """Return how far planned and plain weights and buffers are apart."""
    ours, theirs = played(plain=False).modules, played(plain=True).modules
    return max(
        (a - theirs[name].state_dict()[key]).abs().max().item()
        for name, module in ours.items()
        for key, a in module.state_dict().items()
    )


def main() -> None:
    """Check, then compare."""
    print(f"torch {torch.__version__}, {torch.cuda.get_device_name()}\n")
    difference = largest_difference()
    assert difference < 1e-10, difference
    print(f"planned and plain differ by {difference:.1e} after 10 iterations\n")
    data = tiny.batch("cuda")
    ways = {
        "expert": partial(tiny.Expert("cuda").step, data),
        "**nvn**": partial(tiny.declared("cuda").step, data),
        "**nvn, norms=False**": partial(tiny.declared("cuda", norms=False).step, data),
    }
    print(table("Tiny MLPs, batch 64", compare(ways, 40, repeats=50)), end="\n\n")
    images = {"real": dcgan.batch()["real"].cuda()}
    ways = {
        "expert": partial(dcgan.Expert("cuda").step, images),
        "expert, D back from the real before the fake is made": partial(
            dcgan.Frugal("cuda").step, images
        ),
        "**nvn**": partial(dcgan.declared("cuda").step, images),
    }
    print(table("DCGAN", compare(ways, 20, repeats=20)))


if __name__ == "__main__":
    main()
