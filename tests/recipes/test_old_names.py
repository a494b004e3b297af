"""Settings of before, when they were flat: in commands, in files, and in the folders of runs."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
from nvn_recipes import (
    expression_1v2,
    expression_2v2,
    expression_cnn,
    expression_gan,
    expression_scn,
    expression_svm,
    sketch_repair,
)
from PIL import Image

import nvn
from nvn.recipe.config import read_settings, read_yaml
from nvn.recipe.groups import settings

RECIPES = [expression_cnn, expression_gan, expression_1v2, expression_2v2, expression_scn]

# What the folder of a run had of expression_2v2, before there were groups.
OLD = """\
folds: 5
fold: 0
data: rendered
root: null
crop: null
first_weak: 6
last_weak: 8
peaks_file: null
peaks_from: train
subjects: 10
levels: 1
size: 16
margin: 0
batch: 6
backbone: small
backbone_width: 1.0
backbone_norm: true
features: 8
width: 4
published_init: false
steps: 2
optimizer: adam
early_lr: 0.003
content: l1
adversarial: non_saturating
a: 0.003
classifier: cotrained
algorithm1: false
residual: true
peaks: 2
pretraining: 2
learns_weak: true
warmup: 2
autoencode: false
lr: 0.0004
b: 0.003
c: 0.003
weak_negatives: false
peakness: critic
ae: 0.003
be: 0.003
head: 0.3
"""
TODAY = {
    "data": {"subjects": 10, "levels": 1, "size": 16},
    "networks": {"features": 8, "width": 4},
    "training": {"batch": 6, "steps": 2, "peaks": 2, "pretraining": 2, "warmup": 2},
}
SKETCH = {"data": "openmoji", "root": None, "limit": 9, "game": "1v2", "ae": 2e-3, "lr": 0.1}


def test_a_complete_file_of_before_is_the_same_configuration(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(OLD)
    with pytest.warns(nvn.NvnWarning) as told:
        config = expression_2v2.Config.build(file=read_yaml(tmp_path / "config.yaml"))
    assert config == expression_2v2.Config.build(settings=TODAY)
    assert len(told) == 1
    assert "passed over: first_weak, last_weak, peaks_from" in str(told[0].message)


@pytest.mark.parametrize("module", RECIPES, ids=lambda m: m.__name__[12:])
def test_commands_of_before_are_understood(module: ModuleType) -> None:
    pairs = ["data=london", "root=/faces", "steps=7", "size=32", "width=8", "fold=1"]
    with pytest.warns(nvn.NvnWarning, match=r"data is data\.kind now, root is data\.root now"):
        found = module.Config.build(settings=read_settings(pairs))
    new = ["data.kind=london", "data.root=/faces", "training.steps=7", "data.size=32"]
    new += ["networks.width=8", "data.fold=1"]
    assert found == module.Config.build(settings=read_settings(new))


def test_a_preset_and_old_names_go_together() -> None:
    with pytest.warns(nvn.NvnWarning, match=r"data is data\.kind now"):
        mix = expression_1v2.Config.build("paper", None, {"data": "mix", "root": "/sets"})
    assert (mix.data.kind, mix.data.size, mix.training.batch) == ("mix", 128, 4)
    large = expression_1v2.Config.build("gpu", None, {"data": {"kind": "london", "root": "/l"}})
    assert (large.data.kind, large.data.size) == ("london", 64)  # and no subjects


def test_the_features_of_the_svm_were_a_setting() -> None:
    with pytest.warns(nvn.NvnWarning, match=r"features is features\.kind now, cells is"):
        found = expression_svm.Config.build(settings={"features": "eoh", "cells": 3, "batch": 24})
    assert (found.features.kind, found.features.cells, found.training.batch) == ("eoh", 3, 24)


def test_the_game_of_sketches_was_a_setting() -> None:
    with pytest.warns(nvn.NvnWarning, match="passed over: limit, ae"):
        found = sketch_repair.Config.build(settings=SKETCH)
    assert (found.game.kind, found.data.kind, found.training.lr) == ("1v2", "openmoji", 0.1)


def test_every_setting_but_the_kinds_has_an_old_name() -> None:
    for module in (*RECIPES, expression_svm, sketch_repair):
        today = {each.name for each in settings(module.Config)}
        assert {*module.Config.old_names().values()} == today


def test_the_folder_of_a_run_of_before_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NVN_CACHE", str(tmp_path / "cache"))
    config = expression_2v2.Config.build(settings=TODAY)
    folder = tmp_path / "run"
    trained = nvn.train(lambda: expression_2v2.recipe(config), out=folder, max_steps=1)
    (folder / "config.yaml").write_text(OLD)
    with pytest.warns(nvn.NvnWarning, match="settings have moved"):
        again = nvn.trained(folder, recipe=expression_2v2.__file__)
    assert again.config == config
    image = Image.new("RGB", (40, 30), "gray")
    with pytest.warns(nvn.NvnWarning, match="no face"):
        made = [run.recipe.application.fn(run.engine, image).tobytes() for run in (trained, again)]
    assert made[0] == made[1]
