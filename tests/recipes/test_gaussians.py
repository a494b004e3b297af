"""The ring of Gaussians: what it draws, counts and learns."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from nvn_recipes import gaussians
from nvn_recipes.gaussians import MODES, SPREAD, Config, Ring, centers, coverage, picture
from torch import Tensor, nn

import nvn


class Sampler:
    """An engine whose generator returns given points."""

    def __init__(self, points: Tensor) -> None:
        self.points = points
        self.modules = {"G": nn.Linear(2, 2)}

    def values(self, batch: object, wanted: object) -> list[Tensor]:
        return [self.points]


def real(count: int = 4096) -> Tensor:
    return next(iter(Ring(count)))["real"]


def test_the_ring_is_the_mixture_that_it_says() -> None:
    points = real()
    distances, modes = torch.cdist(points, centers()).min(dim=1)
    assert modes.bincount(minlength=MODES).min() > len(points) / MODES * 0.8
    # In the plane, the mean squared distance to the center is 2σ².
    assert distances.square().mean().item() == pytest.approx(2 * SPREAD**2, rel=0.05)


def test_the_ring_is_the_same_each_time() -> None:
    ring = Ring(8, seed=3)
    assert torch.equal(next(iter(ring))["real"], next(iter(ring))["real"])


# In the plane, 1 − exp(−3²/2) of a Gaussian lies within three standard deviations.
@pytest.mark.parametrize(
    ("points", "covered", "on_a_mode"),
    [
        (real(), MODES, 0.989),
        (centers()[:3].repeat(100, 1), 3, 1.0),
        (torch.zeros(100, 2), 0, 0.0),
    ],
    ids=["the mixture", "three modes", "the middle"],
)
def test_coverage(points: Tensor, covered: int, on_a_mode: float) -> None:
    found = coverage(Sampler(points), fake=None)  # type: ignore[arg-type]
    assert found["modes_covered"] == covered
    assert found["on_a_mode"] == pytest.approx(on_a_mode, abs=0.01)


def test_the_picture_shows_samples_where_they_are() -> None:
    image = picture(Sampler(torch.tensor([[0.0, 1.2]])), fake=None)  # type: ignore[arg-type]
    red, green, _ = image.getpixel((240, 48))  # type: ignore[misc]
    assert red > 200
    assert green < 100  # the samples' color, near the top


def test_it_learns_toward_the_ring(tmp_path: Path) -> None:
    config = Config(steps=300, batch=64, hidden=32, lr=3e-3)
    run = nvn.train(lambda: gaussians.recipe(config), out=tmp_path / "run")
    points = gaussians.samples(run.engine, run.engine.plan.graph.nodes[2], count=256)
    before = gaussians.recipe(config)
    untrained = nvn.Engine(nvn.plan(before.game, before.schedule), before.optimizers)
    start = gaussians.samples(untrained, untrained.plan.graph.nodes[2], count=256)
    assert (points.norm(dim=1) - 1).abs().mean() < (start.norm(dim=1) - 1).abs().mean() / 2
    assert (tmp_path / "run" / "images").is_dir()
