"""The games on expressions are the paper's, each derived from the one before, and train."""

from __future__ import annotations

import json
import math
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from nvn_recipes import expression_1v2, expression_2v2, expression_cnn, expression_gan
from nvn_recipes.groupgan import magnifying
from nvn_recipes.groupgan.data.pairs import Pairs
from nvn_recipes.groupgan.data.rendered import faces
from nvn_recipes.groupgan.data.rendered.faces import FacesSpec, render_faces
from nvn_recipes.groupgan.evaluation.recognition import BY_PEAKS
from nvn_recipes.groupgan.play import doubt, mean_doubt
from nvn_recipes.groupgan.settings import one_cycle
from PIL import Image
from safetensors.torch import load_file

import nvn
from nvn.errors import ConfigError, DataError
from nvn.recipe.build import check_recipe, make_engines, make_plans
from nvn.recipe.config import overlaid, read_settings
from nvn.recipe.groups import settings
from tests.golden.curves import Pictures
from tests.recipes.groupgan.data.photographs.trees import london_set, with_landmarks

RECIPES = [expression_cnn, expression_gan, expression_1v2, expression_2v2]
GAMES = RECIPES[1:]
each_recipe = pytest.mark.parametrize("module", RECIPES, ids=lambda m: m.__name__[12:])
each_game = pytest.mark.parametrize("module", GAMES, ids=lambda m: m.__name__[12:])

TINY = {
    "data": {"subjects": 10, "levels": 1, "size": 16, "fold": 1},
    "networks": {"width": 4, "features": 8},
    "training": {"batch": 6},
}
FOOL, FOOL_P = "fool(D(fake))", "fool(Dp(fake))"
SEEN = "cross_entropy(C.eval(fake), label)"


def config(module: ModuleType, **changes: Any) -> Any:
    return module.Config.build(settings=overlaid(TINY, changes))


def short(module: ModuleType, **changes: Any) -> Any:
    phases = {"peaks", "pretraining", "warmup", "steps"} & names(module, "training")
    return config(module, **overlaid({"training": dict.fromkeys(phases, 2)}, changes))


def names(module: ModuleType, group: str) -> set[str]:
    """The settings of a group."""
    return set(type(getattr(module.Config(), group, nvn.Config())).model_fields)


def weights(recipe: nvn.Recipe) -> dict[str, dict[str, float]]:
    """Each player's weights on the energies, by name."""
    return {
        name: {str(t.energy): t.weight.factor for t in player.objective.terms}
        for name, player in recipe.game.players.items()
    }


# --- what is played ---


def test_the_cnn_is_equation_11() -> None:
    found = weights(expression_cnn.recipe(config(expression_cnn)))
    assert found == {"C": {"cross_entropy(C(weak), label)": 1}}
    both = weights(expression_cnn.recipe(config(expression_cnn, training={"learns_peaks": True})))
    assert both["C"] == {"cross_entropy(C(weak), label)": 1, "cross_entropy(C(peak), label)": 1}


def test_the_conventional_gan_is_equations_1_to_3() -> None:
    found = weights(
        expression_gan.recipe(config(expression_gan, game={"a": 0.1, "content": "mse"}))
    )
    assert found["D"] == {"real(D(peak))": 0.5, "real(D(weak))": 0.5, "fake(D(fake))": 1}
    assert found["G"] == {"mse(fake, peak)": 1, FOOL: 0.1}


def test_1v2_is_equations_4_to_6() -> None:
    weighed = config(expression_1v2, game={"a": 0.1, "b": 0.2, "c": 0.3, "content": "mse"})
    found = weights(expression_1v2.recipe(weighed))
    assert found["D"] == {"real(D(peak))": 0.5, "real(D(weak))": 0.5, "fake(D(fake))": 1}
    assert found["Dp"] == {"real(Dp(peak))": 1, "fake(Dp(fake))": 1}
    assert found["G"] == {"mse(fake, peak)": 1, FOOL: 0.1, FOOL_P: 0.2, SEEN: 0.3}


def test_2v2_is_equations_13_to_17() -> None:
    weights_ = {"a": 0.1, "b": 0.2, "c": 0.3, "ae": 0.4, "be": 0.5, "head": 0.0}
    weighed = config(expression_2v2, game={**weights_, "content": "mse"})
    found = weights(expression_2v2.recipe(weighed))
    assert found["D"] == {"real(D(peak, f))": 0.5, "real(D(weak, f))": 0.5, "fake(D(fake, f))": 1}
    assert found["Dp"] == {"real(Dp(peak, f))": 1, "fake(Dp(fake, f))": 1}
    fool = ("fool(D(fake, f))", "fool(Dp(fake, f))")
    assert found["G"] == {"mse(fake, peak)": 1, fool[0]: 0.1, fool[1]: 0.2, SEEN: 0.3}
    own = "cross_entropy(E.recognize(f), label)"
    assert found["E"] == {SEEN: 1, fool[0]: 0.4, fool[1]: 0.5, own: 0}


@each_game
def test_minimax_is_algorithm_1s_sign(module: ModuleType) -> None:
    found = weights(module.recipe(config(module, game={"adversarial": "minimax", "a": 0.1})))
    (fake,) = (name for name in found["G"] if name.startswith("fake(D("))
    assert found["G"][fake] == -0.1  # α · log(1 − D(fake)), minimized


@each_game
def test_a_frozen_classifier_does_not_move(module: ModuleType) -> None:
    plan = make_plans(module.recipe(config(module, game={"classifier": "frozen"})))["main"]
    assert "C" not in {player.name for move in plan.moves for player in move.move.players}


@each_game
def test_a_cotrained_classifier_learns_real_and_made_faces_beside_the_game(
    module: ModuleType,
) -> None:
    recipe = module.recipe(config(module, game={"classifier": "cotrained"}))
    learned = {f"cross_entropy(C({seen}), label)": 1 / 3 for seen in ("peak", "weak", "fake")}
    assert weights(recipe)["C"] == pytest.approx(learned)
    critics, synthesis = make_plans(recipe)["main"].moves
    assert "C" in {player.name for player in critics.move.players}
    assert "C" not in {player.name for player in synthesis.move.players}
    others = {name: terms for name, terms in weights(recipe).items() if name != "C"}
    assert not any(set(terms) & set(learned) for terms in others.values())  # C is nobody's ally


@pytest.mark.parametrize("module", [expression_1v2, expression_2v2])
def test_weak_faces_may_be_negatives(module: ModuleType) -> None:
    found = weights(module.recipe(config(module, game={"weak_negatives": True})))
    assert sum(name.startswith("fake(Dp(weak") for name in found["Dp"]) == 1


@pytest.mark.parametrize("module", [expression_1v2, expression_2v2])
def test_a_likelihood_may_stand_for_the_second_critic(module: ModuleType) -> None:
    recipe = module.recipe(config(module, game={"peakness": "likelihood", "b": 0.2}))
    assert "Dp" not in recipe.game.players
    assert weights(recipe)["G"]["doubt(C.eval(fake))"] == 0.2


def test_doubt_is_minus_the_log_of_the_largest_likelihood() -> None:
    likelihoods = torch.tensor([[0.7, 0.2, 0.1], [0.25, 0.25, 0.5]])
    expected = -(math.log(0.7) + math.log(0.5)) / 2
    assert mean_doubt(likelihoods.log() + 3).item() == pytest.approx(expected)
    assert str(doubt(nvn.Game("g").batch("x"))) == "doubt(x)"


@each_game
def test_perceptual_content_compares_what_is_extracted(module: ModuleType) -> None:
    found = weights(module.recipe(config(module, game={"content": "perceptual"})))
    psi = "E" if module is expression_2v2 else "C"
    seen = f"perceptual({psi}.extract.eval(fake), {psi}.extract.eval(peak))"
    assert found["G"][seen] == 1


def test_algorithm_1_takes_a_batch_for_each_player() -> None:
    recipe = expression_2v2.recipe(
        config(expression_2v2, game={"algorithm1": True, "classifier": "frozen"})
    )
    plan = make_plans(recipe)["main"]
    assert [str(move.move) for move in plan.moves] == ["D", "Dp", "G", "E"]
    assert plan.batches_per_step == 4


OPTIONS = [
    {"game": {"algorithm1": True}},
    {"training": {"autoencode": True}, "networks": {"residual": False}},
    {"game": {"content": "perceptual"}},
    {"game": {"content": "mse", "adversarial": "hinge"}},
    {"game": {"adversarial": "least_squares", "classifier": "frozen"}},
    {"training": {"optimizer": "sgd"}, "networks": {"published_init": True, "residual": False}},
]
MORE = [{"game": {"weak_negatives": True}}, {"game": {"peakness": "likelihood"}}]


@pytest.mark.parametrize("changes", [*OPTIONS, *MORE], ids=str)
@each_game
def test_every_option_trains(module: ModuleType, changes: dict[str, Any]) -> None:
    if any(not set(inner) <= names(module, group) for group, inner in changes.items()):
        changes = {}  # what that game does not have
    recipe = module.recipe(short(module, **changes)).replace(data=Pictures(16))
    engines = make_engines(recipe)
    for name, engine in engines.items():
        before = {p: [*map(torch.clone, m.parameters())] for p, m in engine.modules.items()}
        stream = iter(_single(Pictures(16)))
        records = [engine.step(stream) for _ in range(2)]
        movers = {p.name for move in engine.plan.moves for p in move.move.players}
        for record in records:
            assert all(map(math.isfinite, record.objectives.values())), name
        for player, module_ in engine.modules.items():
            same = all(map(torch.equal, before[player], module_.parameters()))
            assert same == (player not in movers), (name, player)


def _single(pictures: Pictures) -> Any:
    """Batches in single precision."""
    for batch in pictures:
        yield {k: v.float() if v.is_floating_point() else v for k, v in batch.items()}


# --- rendered smiles before photographs ---


@each_game
def test_what_is_learned_on_photographs_may_be_learned_on_rendered_smiles_first(
    module: ModuleType,
) -> None:
    data = {"kind": "london", "root": "/somewhere"}
    given: dict[str, Any] = {"data": data, "training": {"rendered_warmup": 7}}
    first = ["peaks", "rendered_warmup", "pretraining", "warmup", "main"]
    assert [*make_plans(module.recipe(module.Config.build(settings=given)))] == first
    given["training"]["rendered_pretraining"] = 8
    both = module.recipe(module.Config.build(settings=given))
    first.insert(1, "rendered_pretraining")
    plans = make_plans(both)
    assert [*plans] == first
    for name in ("pretraining", "warmup"):
        rendered, own = plans[f"rendered_{name}"], plans[name]
        assert [str(move.move) for move in rendered.moves] == [str(m.move) for m in own.moves]


@pytest.mark.skipif(find_spec("skimage") is None, reason="scikit-image finds faces and motion")
def test_the_london_preset_trains_and_twice_to_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NVN_CACHE", str(tmp_path / "cache"))
    root = with_landmarks(london_set(tmp_path / "faces", people=3))
    phases = ("peaks", "rendered_pretraining", "rendered_warmup", "pretraining", "warmup", "steps")
    monkeypatch.setattr(magnifying, "RENDERED_PEOPLE", 10)
    given = {
        "data": {"size": 16, "folds": 3, "root": str(root), "crop": "center", "levels": 2},
        "networks": {"width": 4, "features": 8},
        "training": {"batch": 6, **dict.fromkeys(phases, 2)},
    }
    settings = expression_2v2.Config.build("london", settings=given)
    made = [
        nvn.train(lambda: expression_2v2.recipe(settings), out=tmp_path / name, seed=1)
        for name in ("one", "two")
    ]
    assert made[0].steps == {"main": 2, **dict.fromkeys({*phases} - {"steps"}, 2)}
    first, second = (run.metrics["recognition"] for run in made)
    assert first == pytest.approx(second)
    assert f"magnified, happiness, {BY_PEAKS}" in first


# --- settings ---


@each_recipe
@pytest.mark.parametrize("preset", ["quick", "gpu", "paper"])
def test_presets_are_complete(module: ModuleType, preset: str) -> None:
    # Narrow, because VGG's hundreds of channels take seconds to draw; all else is the preset's.
    chosen = module.Config.build(
        preset, settings={"networks": {"width": 4, "backbone_width": 1 / 16}}
    )
    plans = make_plans(module.recipe(chosen))
    assert [*plans][-1] == "main"
    assert set(plans) - {"main"} <= names(module, "training")


def test_the_quick_preset_is_the_default() -> None:
    for module in RECIPES:
        assert module.Config.build("quick") == module.Config()


def test_the_paper_preset_is_section_4_2() -> None:
    paper = expression_2v2.Config.build("paper")
    data, networks, training, game = paper.data, paper.networks, paper.training, paper.game
    assert (data.size, data.margin, training.batch) == (128, 16, 4)
    assert (training.lr, training.optimizer, networks.published_init) == (1e-4, "sgd", True)
    assert {game.a, game.b, game.ae, game.be} == {2e-3}
    assert (game.adversarial, game.content, game.algorithm1) == ("minimax", "mse", True)
    assert (training.autoencode, training.learns_weak, game.head) == (True, False, 0)


@each_recipe
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["data.fold=7"], "data.fold = 7: the folds are 0 to 4 (folds = 5)"),
        (
            ["data.subjects=10", "data.folds=20", "data.fold=15"],
            "data.folds = 20: 10 people (subjects)",
        ),
        (
            ["data.subjects=10", "data.levels=1", "training.batch=49"],
            "training.batch = 49: there are only 48 pairs",
        ),
        (
            ["data.size=256", "data.margin=16"],
            "data.size + margin = 272: faces are rendered at 256 pixels",
        ),
        (
            ["data.size=16", "networks.backbone=vgg13"],
            "data.size = 16: the backbone vgg13 needs pictures of 32",
        ),
        (
            ["training.early_lr=1e40"],
            "training.early_lr = '1e40': Input should be less than or equal to 10",
        ),
        (["training.steps=1000000000000"], "training.steps = 1000000000000"),
        (
            ["data.kind=london"],
            "data.root: Field required: --set data.root=… (the folder of the ph",
        ),
        (
            ["data.root=/somewhere"],
            "no setting 'data.root' where data.kind = rendered; there is wh",
        ),
        (
            ["data.kind=folder", "data.root=/x", "data.first_weak=9"],
            "data.first_weak = 9 comes after last_weak = 8",
        ),
        (["data.kind=ckplus", "data.root=/x", "data.levels=2"], "where data.kind = ckplus"),
        (["data.kind=lodnon"], "Did you mean 'london'?"),
    ],
)
def test_settings_that_do_not_fit_are_found_before_anything_is_read(
    module: ModuleType, settings: list[str], message: str
) -> None:
    with pytest.raises(ConfigError) as error:
        module.Config.build(settings=read_settings(settings))
    assert message in str(error.value)
    assert "Value error" not in str(error.value)


@each_game
def test_rendered_smiles_are_for_smiles(module: ModuleType) -> None:
    with pytest.raises(ConfigError, match=r"rendered_warmup = 3: rendered smiles are for data.kin"):
        module.Config.build(settings={"training": {"rendered_warmup": 3}})


def test_folders_are_remembered_in_full(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for given, meant in (("faces", tmp_path / "faces"), ("~/faces", tmp_path / "home" / "faces")):
        made = expression_cnn.Config.build(settings={"data": {"kind": "folder", "root": given}})
        assert made.data.root == meant


@each_recipe
def test_one_expression_is_nothing_to_tell_apart(module: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "anna" / "happy").mkdir(parents=True)
    Image.new("L", (8, 8)).save(tmp_path / "anna" / "happy" / "peak.png")
    chosen = module.Config.build(settings={"data": {"kind": "folder", "root": str(tmp_path)}})
    with pytest.raises(DataError, match=r"one expression, happy: there is nothing to tell apart"):
        module.recipe(chosen)


@each_recipe
def test_every_setting_stands_alone(module: ModuleType) -> None:
    for each in settings(module.Config):
        assert each.field.description, each.name
        assert not each.field.description.startswith("of "), each.name


@pytest.mark.parametrize("steps", [*range(1, 9), 100])
def test_a_rate_rises_and_falls_in_any_number_of_steps(steps: int) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(()))], lr=1.0)
    schedule, rates = one_cycle(0.5, steps)(optimizer), []
    for _ in range(steps):
        optimizer.step()
        rates.append(schedule.get_last_lr()[0])
        schedule.step()
    assert 0 < min(rates) <= max(rates) <= 0.5
    assert max(rates) == pytest.approx(0.5, rel=0.1) or steps < 8


# --- from end to end ---


def test_a_check_renders_a_few_people_only(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = []

    def render(spec: FacesSpec, *_: object) -> Pairs:
        shown.append(spec.subjects)
        return render_faces(spec)

    monkeypatch.setattr(faces, "render_faces", render)
    check_recipe(
        expression_2v2.recipe(
            config(expression_2v2, data={"subjects": 5000}, training={"batch": 14})
        )
    )
    assert shown == [3]  # six pairs a person


@each_recipe
def test_it_trains(module: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NVN_CACHE", str(tmp_path / "cache"))
    run = nvn.train(lambda: module.recipe(short(module)), out=tmp_path / "run")
    measured = run.metrics["recognition"]
    assert next(iter(measured)) == "accuracy (%)"
    assert all(0 <= measured[name] <= 100 for name in measured if "(%)" in name)
    steps = [json.loads(x) for x in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    phases = [phase.name for phase in run.recipe.all_phases]
    assert [*dict.fromkeys(step["phase"] for step in steps if "phase" in step)] == phases
    for preview in run.recipe.previews:
        assert list((tmp_path / "run/images").glob(f"{preview.name}-*.png"))
    for name, trained in run.engine.modules.items():
        loaded = load_file(tmp_path / f"run/checkpoints/final/{name}.safetensors")
        assert all(torch.equal(v, loaded[k]) for k, v in trained.state_dict().items())


def test_runs_with_one_seed_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NVN_CACHE", str(tmp_path / "cache"))
    made = [
        nvn.train(lambda: expression_1v2.recipe(short(expression_1v2)), out=tmp_path / name, seed=3)
        for name in ("one", "two")
    ]
    a, b = (run.metrics["recognition"] for run in made)
    assert a == pytest.approx(b)  # pictures read from the cache lie elsewhere in memory
    lines = [(run.folder / "metrics.jsonl").read_text().splitlines() for run in made]
    assert [*islice(lines[0], 6)] == [*islice(lines[1], 6)]
