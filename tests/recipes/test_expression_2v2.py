"""The 2 v 2 game is the paper's, and trains from end to end."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from nvn_recipes import expression_2v2
from nvn_recipes.expression_2v2 import Config
from nvn_recipes.groupgan.rendered import source
from nvn_recipes.groupgan.rendered.faces import Faces, FacesSpec, render_faces
from safetensors.torch import load_file

import nvn
from nvn.assembly import check_recipe, make_plans
from nvn.errors import ConfigError
from tests.golden.curves import small

TINY = {"subjects": 10, "levels": 1, "size": 16, "width": 4, "features": 8, "batch": 6, "fold": 1}
SHORT = {"peaks": 2, "pretraining": 2, "warmup": 2, "steps": 2}


def weights(recipe: nvn.Recipe) -> dict[str, dict[str, float]]:
    """Each player's weights on the energies, by name."""
    return {
        name: {str(t.energy): t.weight.factor for t in player.objective.terms}
        for name, player in recipe.game.players.items()
    }


def test_objectives_are_equations_13_to_17() -> None:
    config = small().replace(a=0.1, b=0.2, c=0.3, ae=0.4, be=0.5, head=0.0, content="mse")
    found = weights(expression_2v2.recipe(config))
    seen = "cross_entropy(C.eval(fake), label)"
    assert found["D"] == {"real(D(peak, f))": 0.5, "real(D(weak, f))": 0.5, "fake(D(fake, f))": 1}
    assert found["Dp"] == {"real(Dp(peak, f))": 1, "fake(Dp(fake, f))": 1}
    fool = ("fool(D(fake, f))", "fool(Dp(fake, f))")
    assert found["G"] == {"mse(fake, peak)": 1, fool[0]: 0.1, fool[1]: 0.2, seen: 0.3}
    own = "cross_entropy(E.recognise(f), label)"
    assert found["E"] == {seen: 1, fool[0]: 0.4, fool[1]: 0.5, own: 0}


def test_minimax_is_algorithm_1s_sign() -> None:
    found = weights(expression_2v2.recipe(small().replace(adversarial="minimax", a=0.1)))
    assert found["G"]["fake(D(fake, f))"] == -0.1  # α · log(1 − D(fake)), minimised


def test_weak_negatives() -> None:
    found = weights(expression_2v2.recipe(small().replace(weak_negatives=True)))
    assert found["Dp"]["fake(Dp(weak, f))"] == 1


def test_algorithm_1_takes_a_batch_for_each_player() -> None:
    plan = make_plans(expression_2v2.recipe(small().replace(algorithm1=True)))["main"]
    assert [str(move.move) for move in plan.moves] == ["D", "Dp", "G", "E"]
    assert plan.batches_per_step == 4


@pytest.mark.parametrize("preset", [None, *Config.presets])
def test_presets_are_complete(preset: str | None) -> None:
    plans = make_plans(expression_2v2.recipe(Config.build(preset)))
    assert [*plans] == ["peaks", "pretraining", "warmup", "main"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"fold": 7}, "fold = 7: the folds are 0 to 4 (folds = 5)"),
        ({"subjects": 10, "folds": 20, "fold": 15}, "folds = 20: 10 people (subjects)"),
        ({"subjects": 10, "levels": 1, "batch": 49}, "batch = 49: there are only 48 pairs"),
        ({"size": 256, "margin": 16}, "size + margin = 272: faces are rendered at 256 pixels"),
        ({"size": 16, "backbone": "vgg13"}, "size = 16: the backbone vgg13 needs pictures of 32"),
        ({"lr": 1e40}, "lr = 1e+40: Input should be less than or equal to 10"),
        ({"c": math.inf}, "c = inf"),
        ({"steps": 10**12}, "steps = 1000000000000"),
    ],
)
def test_settings_that_do_not_fit_are_found_before_anything_is_rendered(
    settings: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError) as error:
        Config.build(settings=settings)
    assert message in str(error.value)
    assert "Value error" not in str(error.value)


def test_every_setting_stands_alone() -> None:
    for name, field in Config.model_fields.items():
        assert field.description, name
        assert not field.description.startswith("of "), name


def test_phases_are_called_as_the_settings_of_their_steps() -> None:
    recipe = expression_2v2.recipe(small())
    assert {phase.name for phase in recipe.phases} <= set(Config.model_fields)


def test_a_check_renders_a_few_people_only(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = []

    def render(spec: FacesSpec, *_: object) -> Faces:
        shown.append(spec.subjects)
        return render_faces(spec)

    monkeypatch.setattr(source, "render_faces", render)
    config = Config.build(settings={**TINY, "subjects": 5000, "batch": 14})
    check_recipe(expression_2v2.recipe(config))
    assert shown == [3]  # six pairs a person


def test_it_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NVN_CACHE", str(tmp_path / "cache"))
    config = Config.build(settings={**TINY, **SHORT})
    run = nvn.train(lambda: expression_2v2.recipe(config), out=tmp_path / "run")
    measured = run.metrics["recognition"]
    assert measured["weak, likeness to real peaks (PSNR, dB)"] > 15
    assert all(0 <= measured[name] <= 100 for name in measured if "(%)" in name)
    steps = [json.loads(x) for x in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert {"peaks", "pretraining", "warmup", "main"} <= {step.get("phase") for step in steps}
    assert list((tmp_path / "run/images").glob("faces*.png"))
    loaded = load_file(tmp_path / "run/checkpoints/final/G.safetensors")
    assert all(torch.equal(v, loaded[k]) for k, v in run.engine.modules["G"].state_dict().items())
