"""Sketch repair is the game of GroupGAN on drawings, and trains from end to end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from nvn_recipes import sketch_repair
from nvn_recipes.groupgan.data.drawings.repairing import Repair
from nvn_recipes.groupgan.data.drawings.vectors import FREEHAND, shipped
from nvn_recipes.groupgan.data.pairs import to_float
from nvn_recipes.groupgan.networks import Critic, Generator
from nvn_recipes.sketch_repair import Config
from PIL import Image

import nvn
from nvn.errors import ConfigError, DataError
from nvn.recipe.build import check_recipe, make_plans
from nvn.recipe.config import overlaid, read_settings
from nvn.recipe.groups import settings

TINY = {
    "data": {"size": 32},
    "networks": {"width": 4, "features": 8},
    "training": {"batch": 4, "pretraining": 2, "warmup": 2, "steps": 2},
}


def config(**changes: Any) -> Config:
    return Config.build(settings=overlaid(TINY, changes))


def weights(recipe: nvn.Recipe, player: str) -> dict[str, float]:
    terms = recipe.game.players[player].objective.terms
    return {str(term.energy): term.weight.factor for term in terms}


@pytest.fixture(scope="module")
def repair() -> Repair:
    drawings = shipped(FREEHAND, 32)
    return Repair(lambda: drawings, fold=0, folds=5)


@pytest.mark.parametrize(("game", "f"), [("1v2", ""), ("2v2", ", f")])
def test_the_game_is_that_of_the_expressions(game: str, f: str) -> None:
    recipe = sketch_repair.recipe(
        config(game={"kind": game, "a": 0.1, "b": 0.2, "c": 0.3, "content": "mse"})
    )
    f = f.replace("f", "E(damaged)")
    assert weights(recipe, "D") == {
        f"real(D(whole{f}))": 0.5,
        f"real(D(damaged{f}))": 0.5,
        f"fake(D(fake{f}))": 1,
    }
    assert weights(recipe, "Dp") == {
        f"real(Dp(whole{f}))": 1,
        f"fake(Dp(fake{f}))": 1,
        f"fake(Dp(damaged{f}))": 1,
    }
    assert weights(recipe, "G") == {
        "mse(fake, whole)": 1,
        f"fool(D(fake{f}))": 0.1,
        f"fool(Dp(fake{f}))": 0.2,
        "cross_entropy(C.eval(fake), label)": 0.3,
    }
    assert ("E" in recipe.game.players) == (game == "2v2")


@pytest.mark.parametrize("game", ["1v2", "2v2"])
def test_the_copy_begins_the_game_as_the_generator_and_has_the_content_alone(game: str) -> None:
    recipe = sketch_repair.recipe(config(game={"kind": game}))
    assert list(weights(recipe, "alone").values()) == [1]
    assert recipe.phases[-1].copies == {"alone": "G"}
    moving = {
        phase: [{p.name for p in move.move.players} for move in plan.moves]
        for phase, plan in make_plans(recipe).items()
    }
    assert moving["warmup"] == [{"G"}]
    for move in moving["main"]:  # it steps whenever G does
        assert ("G" in move) == ("alone" in move)


def test_without_the_game_the_copy_and_the_generator_stay_alike(tmp_path: Path) -> None:
    nobody = {"kind": "1v2", "a": 0, "b": 0, "c": 0}
    settings = config(game=nobody, training={"steps": 3})
    run = nvn.train(lambda: sketch_repair.recipe(settings), out=tmp_path / "run")
    G, alone = (run.engine.modules[name].state_dict() for name in ("G", "alone"))
    assert all(torch.allclose(x, alone[name], atol=1e-6) for name, x in G.items())


def test_nothing_tested_on_is_trained_on(repair: Repair) -> None:
    assert not set(repair.train.names) & set(repair.test.names)
    assert not set(repair.train.group.tolist()) & set(repair.test.group.tolist())


def test_each_batch_is_damaged_anew_and_the_test_drawings_always_alike(repair: Repair) -> None:
    one, again = (next(repair.batches(8, seed=1).batches_from(epoch, 0)) for epoch in (0, 0))
    assert torch.equal(one["damaged"], again["damaged"])
    batches = [next(repair.batches(800, seed=1).batches_from(epoch, 0)) for epoch in (0, 1)]
    shown = [dict(zip(_keys(b["whole"]), b["damaged"], strict=True)) for b in batches]
    both = shown[0].keys() & shown[1].keys()
    assert len(both) > 80  # mirrored now as then, and nothing lost at the edge
    assert not any(torch.equal(shown[0][key], shown[1][key]) for key in both)
    damaged, whole = repair.pairs
    assert torch.equal(damaged, Repair(repair.read, 0, 5).pairs[0])
    assert torch.equal(whole, to_float(repair.test.pictures))
    assert all((d != w).any() for d, w in zip(damaged, whole, strict=True))


def _keys(pictures: torch.Tensor) -> list[bytes]:
    """The ink of each drawing, wherever it stands."""
    boxes = []
    for picture in pictures[:, 0]:
        rows, columns = (picture < 1).nonzero(as_tuple=True)
        box = picture[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        boxes.append(box.contiguous().numpy().tobytes())
    return boxes


def test_drawings_move_within_the_picture(repair: Repair) -> None:
    whole = next(iter(repair.batches(400, seed=0)))["whole"]
    left = (whole < 0).any(dim=2)[:, 0].int().argmax(dim=1)
    originals = (to_float(repair.train.pictures) < 0).any(dim=2)[:, 0].int().argmax(dim=1)
    assert left.float().std() > originals.float().std()
    assert left.max() <= originals.max() + 2  # 32 pixels, and the 16th part of them


def test_half_of_the_drawings_are_mirrored_together_with_their_damage(repair: Repair) -> None:
    batch = next(iter(repair.batches(400, seed=0)))
    originals = set(_keys(to_float(repair.train.pictures)))
    kept, mirrored = (
        sum(key in originals for key in _keys(pictures))
        for pictures in (batch["whole"], batch["whole"].flip(3))
    )
    assert kept + mirrored > 160  # the others lose ink at the edge, or are like their mirror image
    assert 0.6 < kept / mirrored < 1.7
    ink = batch["whole"] < 0
    assert ((batch["damaged"] < 0) & ink).sum() > 0.7 * ink.sum()  # damaged is of the same drawing


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["data.fold=7"], "data.fold = 7: the folds are 0 to 4 (folds = 5)"),
        (
            ["data.kind=sketchy"],
            "data.root: Field required: --set data.root=… (the folder of the dr",
        ),
        (
            ["data.root=/x"],
            "no setting 'data.root' where data.kind = freehand; there is where data",
        ),
        (["data.size=40"], "data.size = 40"),
        (["data.kind=omniglot", "data.root=/x"], "no setting 'data.root' where data.kind = omni"),
        (["game.kind=1v2", "game.head=1"], "no setting 'game.head' where game.kind = 1v2"),
    ],
)
def test_settings_that_do_not_fit_are_said(settings: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        Config.build(settings=read_settings(settings))
    assert message in str(error.value)


@pytest.mark.parametrize(
    "kinds",
    [
        {"networks": {"generator": "edits", "critics": "whole"}},
        {"networks": {"generator": "published", "critics": "whole"}, "game": {"kind": "1v2"}},
    ],
)
def test_the_networks_of_the_expressions_do_too(kinds: dict[str, Any]) -> None:
    check_recipe(sketch_repair.recipe(config(**kinds)))


@pytest.mark.parametrize("preset", ["quick", "gpu", "paper"])
def test_presets_are_complete(preset: str) -> None:
    assert [*make_plans(sketch_repair.recipe(Config.build(preset)))] == [
        "pretraining",
        "warmup",
        "main",
    ]


def test_the_preset_paper_is_what_is_published() -> None:
    published = Config.build("paper", settings=overlaid(TINY, {}))
    players = sketch_repair.recipe(published).game.players
    assert type(players["G"].module) is Generator
    assert not players["G"].module.residual
    assert {type(players[name].module) for name in ("D", "Dp")} == {Critic}
    assert weights(sketch_repair.recipe(published), "E") == {
        "cross_entropy(C.eval(fake), label)": 1,
        "fake(D(fake, E(damaged)))": -2e-3,
        "fake(Dp(fake, E(damaged)))": -2e-3,
        "cross_entropy(E.recognize(E(damaged)), label)": 0,
    }


def test_every_setting_has_help() -> None:
    assert all(each.field.description for each in settings(Config))


def test_characters_are_repaired_too() -> None:
    settings = config(data={"kind": "omniglot"})
    assert (len(settings.data.classes), settings.data.repair.mirrored) == (242, False)
    check_recipe(sketch_repair.recipe(settings))


def test_the_other_set_and_folders_of_ones_own_do(tmp_path: Path) -> None:
    check_recipe(sketch_repair.recipe(config(data={"kind": "openmoji"}, game={"kind": "1v2"})))
    for number in range(12):
        place = tmp_path / "cat" / f"{number}.png"
        place.parent.mkdir(exist_ok=True)
        image = Image.new("L", (40, 30), 255)
        image.paste(0, (number * 2, 5, number * 2 + 5, 25))
        image.save(place)
    mine = {"kind": "folder", "root": str(tmp_path)}
    check_recipe(sketch_repair.recipe(config(data=mine | {"folds": 2})))
    with pytest.raises(DataError, match="nowhere"):
        sketch_repair.recipe(config(data=mine | {"root": str(tmp_path / "nowhere")}))


@pytest.mark.parametrize("game", ["1v2", "2v2"])
def test_it_trains_and_repairs(game: str, tmp_path: Path) -> None:
    run = nvn.train(lambda: sketch_repair.recipe(config(game={"kind": game})), out=tmp_path / "run")
    measured = run.metrics["restoration"]
    whats = ("PSNR (dB)", "SSIM", "ink IoU", "undecided (%)")
    shown = ("restored", "content alone", "damaged", "original")
    likeness = {f"{s}, {w}" for s in shown[:3] for w in whats}
    assert set(measured) == {f"{s}, recognized (%)" for s in shown} | likeness
    assert measured["damaged, PSNR (dB)"] > 10
    pictures = {}
    for path in (tmp_path / "run/images").glob("sketches-*"):
        with Image.open(path) as picture:
            pictures[path.stem] = picture.size
    before, after = pictures["sketches-000000"], pictures["sketches-000002"]
    assert pictures["sketches-warmup-000000"] == before
    assert before[1] == after[1]
    assert before[0] < after[0]  # then there is a column more: by content alone
    assert run.recipe.application is not None
    given = Image.new("RGB", (90, 50), "white")
    assert run.recipe.application.result(run.engine, given).size == (90, 50)
