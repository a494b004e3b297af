"""What comes late in a run is tried before it."""

import time
from typing import Any

import pytest
import torch
from PIL import Image

import nvn
from nvn.errors import ConfigError, DataError
from nvn.recipe.build import make_engines
from nvn.training import trying
from nvn.training.trying import try_late
from tests.tiny import tiny


def tried(recipe: nvn.Recipe) -> list[str]:
    return try_late(recipe, make_engines(recipe)["main"])


def fails(*_: Any) -> Any:
    raise ZeroDivisionError("mine")


def test_what_is_in_order_changes_nothing() -> None:
    recipe = tiny(application=nvn.Application("same", lambda engine, image: image))
    engine = make_engines(recipe)["main"]
    before, stream = engine.modules["G"].state_dict()["by"].clone(), torch.get_rng_state()
    assert try_late(recipe, engine) == []
    assert torch.equal(engine.modules["G"].state_dict()["by"], before)
    assert torch.equal(torch.get_rng_state(), stream)
    assert engine.modules["G"].training


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"evaluations": [nvn.Evaluation("e", fails)]}, "evaluation 'e': Zero.*: mine .*line"),
        ({"evaluations": [nvn.Evaluation("e", lambda _: 3)]}, "'e': .*expected a dict of numbers"),
        ({"previews": [nvn.Preview("p", fails)]}, "preview 'p': ZeroDivisionError: mine"),
        ({"previews": [nvn.Preview("p", lambda _: 3)]}, "preview 'p' returned int"),
        ({"application": nvn.Application("a", fails)}, "application 'a': ZeroDivisionError"),
        ({"application": nvn.Application("a", lambda *_: 3)}, "application 'a' returned int"),
        (
            {
                "evaluations": [nvn.Evaluation("e", lambda _: {"b": 1}, every=1)],
                "early_stopping": nvn.EarlyStopping("e/a", 3),
            },
            "evaluation 'e' has no metric 'a'; it has: b",
        ),
    ],
)
def test_a_bug_in_what_comes_late_is_told(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        tried(tiny(**changes))


def test_all_of_them_are_told_at_once() -> None:
    looks = [nvn.Evaluation("a", fails), nvn.Evaluation("b", fails)]
    with pytest.raises(ConfigError, match="3 problems") as error:
        tried(tiny(evaluations=looks, previews=[nvn.Preview("c", fails)]))
    assert str(error.value).count("ZeroDivisionError") == 3


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (lambda step: 1 / (step - 5), "weight .* at iteration 5: ZeroDivisionError"),
        (lambda step: float("nan"), "at iteration 0 it is nan"),
        (lambda step: "much", "at iteration 0: ValueError"),
    ],
)
def test_a_weight_that_fails_in_the_last_step_is_told(weight: Any, message: str) -> None:
    game = nvn.Game("line")
    x = game.batch("x")
    G = game.player("G", torch.nn.Linear(3, 3))
    G.minimizes(weight * nvn.energies.mse(G(x), x))
    with pytest.raises(ConfigError, match=message):
        tried(tiny(game=game, schedule=nvn.alternating(G), phases=[], evaluations=[]))


def test_an_application_may_refuse_the_picture_that_it_is_tried_on() -> None:
    def strict(engine: nvn.Engine, image: Image.Image) -> Image.Image:
        raise DataError("there is no face")

    assert tried(tiny(application=nvn.Application("faces", strict))) == []


def test_what_an_evaluation_changes_is_undone() -> None:
    def train_on(engine: nvn.Engine) -> dict[str, float]:
        engine.modules["G"].by.data.add_(1)  # type: ignore[operator, union-attr]
        return {}

    recipe = tiny(evaluations=[nvn.Evaluation("trains", train_on)])
    before = recipe.game.players["G"].module.state_dict()["by"].clone()  # type: ignore[union-attr]
    tried(recipe)
    after = recipe.game.players["G"].module.state_dict()["by"]  # type: ignore[union-attr]
    assert torch.equal(before, after)


def test_what_takes_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(engine: nvn.Engine) -> dict[str, float]:
        while True:
            try:
                time.sleep(0.01)
            except Exception:  # noqa: BLE001  (a recipe may handle everything)
                continue

    monkeypatch.setattr(trying, "_SECONDS", 0.05)
    looks = [nvn.Evaluation("slow", slow), nvn.Evaluation("quick", lambda _: {})]
    assert tried(tiny(evaluations=looks)) == ["evaluation 'slow'"]
