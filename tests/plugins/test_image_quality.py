"""FID, KID, precision and recall: against their formulas, and in a run."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from nvn_plugins.export import export_player
from nvn_plugins.image_quality import precision_and_recall, quality
from torch import Tensor

import nvn
from tests.plugins.games import picture_game


def normal(count: int, mean: float, spread: float = 1.0, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return mean + spread * torch.randn(count, 3, generator=generator)


def test_fid_is_that_of_the_gaussians() -> None:
    """|μ − ν|² + tr(Σ + T − 2 (Σ T)^½), of 3 features: 3·2² + 3·(1 + 4 − 2·2)."""
    found = quality(normal(2000, 0.0), normal(2000, 2.0, spread=2.0, seed=1))
    assert math.isclose(found["fid"], 15.0, rel_tol=0.05)


def test_the_same_pictures_are_perfect() -> None:
    found = quality(normal(500, 0.0), normal(500, 0.0))
    assert abs(found["fid"]) < 1e-3
    assert abs(found["kid"]) < 100  # of parts of 250, which differ; far ones have thousands
    assert (found["precision"], found["recall"]) == (1.0, 1.0)


def test_kid_grows_with_the_distance() -> None:
    near, far = (quality(normal(500, 0.0), normal(500, m, seed=1))["kid"] for m in (0.5, 2.0))
    assert 0 < near < far


def test_precision_and_recall_are_counted() -> None:
    """Two clusters; the fakes are in one of them, and a fourth of them is nowhere."""
    left, right = normal(300, -50.0), normal(300, 50.0, seed=1)
    nowhere = normal(100, 1000.0, seed=2)
    fake = torch.cat([normal(300, -50.0, spread=0.5, seed=3), nowhere])
    precision, recall = precision_and_recall(torch.cat([left, right]), fake)
    assert 0.7 < precision <= 0.75
    assert 0.1 < recall < 0.5
    only, _ = precision_and_recall(torch.cat([left, right]), nowhere)
    assert only == 0.0


def test_a_table_is_made_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    real, fake = normal(101, 0.0), normal(90, 0.5, seed=1)
    whole = precision_and_recall(real, fake)
    monkeypatch.setattr("nvn_plugins.image_quality._BLOCK", 7)
    assert precision_and_recall(real, fake) == whole


def test_a_run_measures_on_features_of_a_player(tmp_path: Path) -> None:
    plugin = "nvn_plugins.image_quality:fake=fake,real=real,features=D,count=20,every=3"
    run = nvn.train(picture_game(), out=tmp_path / "run", plugins=[plugin])
    assert set(run.metrics["quality"]) == {"fid", "kid", "precision", "recall"}
    assert all(map(math.isfinite, run.metrics["quality"].values()))


def test_or_of_a_file(tmp_path: Path) -> None:
    recipe = picture_game()
    first = nvn.train(recipe, out=tmp_path / "first", max_steps=1)
    network = tmp_path / "D.pt2"
    export_player(nvn.trained(first.folder, recipe=recipe), "D", "torch", network)
    plugin = f"nvn_plugins.image_quality:fake=fake,real=real,features={network},count=16"
    run = nvn.train(recipe, out=tmp_path / "run", plugins=[plugin])
    assert run.metrics["quality"]["fid"] > 0


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("fake=fake,real=real,features=E", "no such player (G, D)"),
        ("fake=fake,real=reel,features=D", "no entry 'reel'. Entries: real"),
        ("real=real,features=D", "fake"),
    ],
)
@pytest.mark.filterwarnings("ignore::nvn.NvnWarning")  # an evaluation that fails is told at once
def test_what_is_wrong_is_said(tmp_path: Path, settings: str, said: str) -> None:
    plugin = f"nvn_plugins.image_quality:{settings}"
    with pytest.raises(nvn.NvnError) as error:
        nvn.train(picture_game(), out=tmp_path / "run", plugins=[plugin])
    assert said in str(error.value)
