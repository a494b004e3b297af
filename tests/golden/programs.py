"""Golden programs: what plans are lowered to and written out as, whole, to be read.

A change of the planner that means to move them writes them anew, `python -m tests.golden.programs`,
and the difference is reviewed like code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import nvn
from nvn import energies as en
from nvn.planner.emit import Emitter
from nvn.planner.liveness import verify
from nvn.recipe.build import make_plans
from tests.golden.curves import groupgan
from tests.small import gan, mlp

FOLDER = Path(__file__).parent / "programs"


def one_by_one() -> nvn.Plan:
    small = gan()
    return nvn.plan(small.game, nvn.alternating(small.D, small.G))


def at_once() -> nvn.Plan:
    """One pass through D(G(z)) serves both: gradient reversal, found."""
    small = gan()
    return nvn.plan(small.game, nvn.simultaneous(small.D, small.G))


def large() -> nvn.Plan:
    """D goes back from the real before the fake is made."""
    return replace(one_by_one(), large=0)


def penalized() -> nvn.Plan:
    """Five steps of a Wasserstein critic with its penalty, each on a batch of its own; then G."""
    game = nvn.Game("wgan-gp")
    real = game.batch("real")
    G, D = game.player("G", mlp(seed=1)), game.player("D", mlp(3, 1, seed=2))
    fake = G(game.noise("z", 3, like=real)).named("fake")
    between = en.interpolate(real, fake, game.sample("weights", en.uniform_weights))
    between.named("between")
    adv = en.Wasserstein()
    D.minimizes(adv.real(D(real)) + adv.fake(D(fake)))
    D.minimizes(10 * en.gradient_penalty(D(between), between))
    G.minimizes(adv.fool(D(fake)))
    return nvn.plan(game, nvn.alternating(nvn.move(D, times=2), G, fresh=True))


def two_against_two() -> nvn.Plan:
    return make_plans(groupgan())["main"]


PLANS: Mapping[str, Callable[[], nvn.Plan]] = {
    "gan_one_by_one": one_by_one,
    "gan_at_once": at_once,
    "gan_large": large,
    "wgan_gp": penalized,
    "expression_2v2": two_against_two,
}


def written(name: str) -> str:
    """Return a plan's program, and the loop that it is written out as."""
    plan: Any = PLANS[name]()
    program = plan.program(plan.whole)
    verify(program)
    return f"{program}\n\n{Emitter(program).emit().text}"


def path(name: str) -> Path:
    """Where a golden program is kept."""
    return FOLDER / f"{name}.txt"


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for plan_name in PLANS:
        path(plan_name).write_text(written(plan_name))
