"""What watching costs a run: `python -m tests.benchmarks.watching`, two minutes.

Recipes are trained for a minute each, shown on a terminal 100 characters wide that goes nowhere. Of
the steps, of the board and of the looks at who pulls, the time is added up.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import dataclasses
import io
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import rich
from nvn_recipes import expression_2v2, gaussians
from rich.console import Console

import nvn
from nvn.engine.engine import Engine
from nvn.training.live import Live
from nvn.training.looks import Looks
from tests.benchmarks.saving import timed


def main(seconds: float) -> None:
    """Train, and print what watching took."""
    os.environ["TERM"] = "xterm"
    rich._console = Console(file=io.StringIO(), width=100, height=50, force_terminal=True)
    steps: list[float] = []
    boards: list[float] = []
    looks: list[float] = []
    Engine.step = timed(Engine.step, steps)  # type: ignore[method-assign]
    Live.step = timed(Live.step, boards)  # type: ignore[method-assign]
    Looks.look = timed(Looks.look, looks)  # type: ignore[method-assign]
    print("| recipe | ms a step | the board | who pulls |")
    print("|---|---|---|---|")
    for module, every in ((gaussians, "auto"), (expression_2v2, 20)):
        for spent in (steps, boards, looks):
            spent.clear()
        with TemporaryDirectory() as folder:
            recipe = module.recipe(module.Config())
            short = tuple(dataclasses.replace(phase, steps=1) for phase in recipe.phases)
            recipe = recipe.replace(phases=short, steps=10**6, evaluations=(), previews=())
            run = nvn.train(recipe, out=Path(folder, "run"), max_time=seconds, pulls_every=every)  # type: ignore[arg-type]
        mean = sum(steps) / len(steps)
        board = sum(boards) / sum(steps)
        # A minute has few looks of a slow game: more than usual are taken, and as many counted.
        usual = Looks("auto")
        interval = next(n for n in range(1, 10**6) if usual.due(run.engine, n))
        look = sum(looks) / max(1, len(looks)) / (interval * mean)
        name = f"{recipe.name}, a look every {interval} steps"
        print(f"| {name} | {1000 * mean:.1f} | {100 * board:.2f} % | {100 * look:.2f} % |")


if __name__ == "__main__":
    main(float(sys.argv[1]) if sys.argv[1:] else 60.0)
