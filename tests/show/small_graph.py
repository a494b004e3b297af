"""A game small enough to be read in every notation."""

from torch import nn

import nvn
from nvn import energies as en
from nvn.game.graph import LossGraph


def small_graph() -> LossGraph:
    game = nvn.Game("small")
    x = game.batch("x")
    z = game.noise("z", 2, like=x)
    (G,) = game.team("makers", G=nn.Linear(2, 3))
    D = game.player("D", nn.Linear(3, 1))
    C = game.frozen("C", nn.Linear(3, 1))
    fake = G(z).named("fake")
    adv = en.Wasserstein()
    D.minimizes(adv.real(D(x)) + adv.fake(D(fake)))
    G.minimizes(0.5 * adv.fool(D(fake)) + en.mse(C(fake), C(x)))
    return nvn.plan(game, nvn.alternating(D, G)).graph
