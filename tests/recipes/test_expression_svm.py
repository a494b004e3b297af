"""The SVM recipe: what is declared is what is solved, and it needs no pictures to be declared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from nvn_recipes import expression_svm
from nvn_recipes.groupgan.comparators import svm
from nvn_recipes.groupgan.comparators.eoh import eoh
from nvn_recipes.groupgan.comparators.svm import FEW, Described, Reference
from nvn_recipes.groupgan.data.pairs import Pairs, Split
from nvn_recipes.groupgan.data.rendered import faces
from nvn_recipes.groupgan.data.rendered.faces import FacesSpec, render_faces

import nvn
from nvn.recipe.build import check_recipe, make_plans
from nvn.recipe.config import overlaid
from nvn.recipe.groups import settings
from tests.recipes.groupgan.some import Given, some_pairs

TINY = {
    "data": {"subjects": 10, "levels": 1, "size": 32},
    "features": {"cells": 2},
    "training": {"batch": 24, "steps": 300},
}


def config(**changes: Any) -> expression_svm.Config:
    return expression_svm.Config.build(settings=overlaid(TINY, changes))


@pytest.mark.parametrize(("features", "bins"), [("lbp", 59), ("lpq", 256), ("eoh", 8)])
def test_one_player_minimizes_the_hinge_and_its_norm(features: str, bins: int) -> None:
    recipe = expression_svm.recipe(config(features={"kind": features}))
    W = recipe.game.players["W"]
    assert W.module.weight.shape == (6, 2 * 2 * bins)
    assert {str(t.energy): str(t.weight) for t in W.objective.terms} == {
        "squared_hinge(W(features), label)": "1",
        "norm(W.half_squared_norm())": "[mean(hold)]",
    }


@pytest.mark.parametrize("preset", ["quick", "gpu", "paper"])
def test_presets_are_complete(preset: str) -> None:
    chosen = expression_svm.Config.build(preset, settings={"features": {"kind": "eoh"}})
    assert [*make_plans(expression_svm.recipe(chosen))] == ["main"]
    assert all(each.field.description for each in settings(expression_svm.Config))


def test_a_check_renders_a_few_people_only(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = []

    def render(spec: FacesSpec, *_: object) -> Pairs:
        shown.append(spec.subjects)
        return render_faces(spec)

    monkeypatch.setattr(faces, "render_faces", render)
    check_recipe(expression_svm.recipe(config(data={"subjects": 5000}, training={"batch": 240})))
    assert shown == [FEW // 6]


def features_of(split: Split) -> Described:
    return Described(split, lambda pictures: eoh(pictures, 1))


def test_batches_hold_the_norm_by_the_chosen_c(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = features_of(Split(Given(some_pairs(24)), 16, fold=0, folds=3))
    monkeypatch.setattr(svm, "TRIED", (0.01,))
    batch = next(iter(Reference(seen).batches(5, seed=0)))
    assert batch["features"].shape == (5, 8)
    assert batch["hold"].tolist() == [pytest.approx(1 / (0.01 * len(seen.train)))] * 5


def test_both_machines_are_measured_and_agree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NVN_CACHE", str(tmp_path / "cache"))
    recipe = expression_svm.recipe(config(features={"kind": "eoh"}, training={"lr": 0.05}))
    run = nvn.train(lambda: recipe, out=tmp_path / "run")
    measured = run.metrics["recognition"]
    assert [*measured] == ["accuracy (%)", "accuracy of the declared machine (%)", "C"]
    assert all(0 <= measured[name] <= 100 for name in measured if "(%)" in name)

    evaluation = recipe.evaluations[0].fn
    assert isinstance(evaluation, expression_svm.Machines)
    test = evaluation.described.test
    seen = evaluation.reference.scaled(test)
    (scores,) = run.engine.values({"features": seen}, [evaluation.scores])
    agreed = (scores.argmax(dim=1) == evaluation.reference.recognized()).double().mean()
    assert agreed > 0.8
    assert torch.isfinite(scores).all()
