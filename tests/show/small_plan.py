"""A game small enough for its explained plan to be read."""

import nvn
from nvn import energies as en
from nvn.show.plan import ExplainedPlan, explain
from tests.small import BATCH, linear, mean, sgd


def team() -> ExplainedPlan:
    """Two makers judged by one critic, with proportional weights; the critic has a penalty."""
    game = nvn.Game("team")
    x = game.batch("x")
    G, E = game.team("makers", G=linear(), E=linear())
    D = game.player("D", linear(3, 1))
    fake = G(E(x)).named("fake")
    fool = mean(D(fake)).named("fool")
    D.minimizes(-fool + en.r1(D(x), x))
    G.minimizes(2 * fool + mean(fake).named("size"))
    E.minimizes(0.5 * fool)
    engine = nvn.Engine(nvn.plan(game, nvn.alternating(D, (G, E))), sgd)
    engine.check(BATCH)
    return explain(engine.plan, engine.costs(BATCH))
