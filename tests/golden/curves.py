"""Golden loss curves: a few steps of each recipe, small, in float64 on the CPU.

A refactor must not move them. A change that means to: `python -m tests.golden.curves` writes them
anew, and the commit says why.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path

import torch
from nvn_recipes import expression_2v2, gaussians
from torch import Tensor

import nvn
from nvn.recipe.build import make_engines
from nvn.training.fabric import make_fabric

FOLDER = Path(__file__).parent
STEPS = 4  # of each phase

Curve = dict[str, list[dict[str, dict[str, float]]]]  # phase → step → group → name → number


def ring() -> nvn.Recipe:
    return gaussians.recipe(gaussians.Config(batch=32, hidden=16))


def groupgan() -> nvn.Recipe:
    return expression_2v2.recipe(small()).replace(data=Pictures(small().data.size))


def small() -> expression_2v2.Config:
    return expression_2v2.Config.build(
        settings={
            "data": {"size": 16},
            "networks": {"width": 4, "features": 8},
            "training": {"batch": 6},
        }
    )


class Pictures:
    """Batches of pictures that need no renderer: smooth random fields, the same everywhere."""

    def __init__(self, size: int, samples: int = 6) -> None:
        self.size = size
        self.samples = samples

    def __iter__(self) -> Iterator[Mapping[str, Tensor]]:
        generator = torch.Generator().manual_seed(0)
        while True:
            coarse = torch.rand(2, self.samples, 3, 4, 4, generator=generator, dtype=torch.float64)
            weak, peak = (self._enlarged(part) for part in coarse)
            label = torch.arange(self.samples) % 6
            yield {"weak": weak, "peak": (weak + peak) / 2, "label": label}

    def _enlarged(self, coarse: Tensor) -> Tensor:
        times = self.size // coarse.shape[-1]
        return 2 * coarse.repeat_interleave(times, 2).repeat_interleave(times, 3) - 1


RECIPES: Mapping[str, Callable[[], nvn.Recipe]] = {"gaussians": ring, "expression_2v2": groupgan}


def curve(name: str) -> Curve:
    """Train a recipe for a few steps; return all that its records say."""
    torch.manual_seed(0)
    recipe = RECIPES[name]()
    engines = make_engines(recipe, make_fabric("cpu", precision="64-true"))
    assert not callable(recipe.data)
    stream = iter(recipe.data)
    return {
        phase: [_numbers(engine.step(batch)) for batch in islice(stream, STEPS)]
        for phase, engine in engines.items()
    }


def _numbers(record: nvn.Record) -> dict[str, dict[str, float]]:
    return {
        "energies": record.energies,
        "objectives": record.objectives,
        "gradient_norms": record.gradient_norms,
    }


def path(name: str) -> Path:
    """Where a recipe's golden curve is kept."""
    return FOLDER / f"{name}.json"


if __name__ == "__main__":
    for recipe_name in RECIPES:
        path(recipe_name).write_text(json.dumps(curve(recipe_name), indent=1) + "\n")
