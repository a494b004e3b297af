from typing import Any

import pytest
import torch

import nvn
from nvn.errors import ConfigError, RunError
from tests.tiny import tiny


def test_a_recipe_keeps_tuples() -> None:
    recipe = tiny()
    assert isinstance(recipe.phases, tuple)
    assert [phase.name for phase in recipe.all_phases] == ["warmup", "main"]


def test_a_recipe_is_replaced_with_checks() -> None:
    assert tiny().replace(steps=9).steps == 9
    with pytest.raises(ConfigError, match="no field 'step'. Did you mean 'steps'"):
        tiny().replace(step=9)


def phase(name: str = "p", steps: int = 1, **more: Any) -> nvn.Phase:
    return nvn.Phase(name, tiny().schedule, steps, **more)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "a/b"}, "no valid folder name"),
        ({"game": None}, "game: found None, expected nvn.Game"),
        ({"schedule": 3}, "schedule: found int, expected nvn.Schedule"),
        ({"steps": 0}, "steps: found 0, expected an integer of at least 1"),
        ({"steps": True}, "steps: found True"),
        ({"phases": [3]}, "phases: found int, expected nvn.Phase"),
        ({"phases": 3}, "phases: found int, expected a list"),
        ({"phases": [phase(steps=-1)]}, "phase 'p': steps: found -1"),
        ({"phases": [phase(), phase()]}, "phases: the name 'p' is used twice"),
        ({"phases": [phase(copies=3)]}, "phase 'p': copies: found int, expected {"),
        ({"phases": [phase(copies={"GG": "D"})]}, "copies: there is no player 'GG'. Did you mean"),
        ({"phases": [phase(copies={"G": "E"})]}, "there is no player 'E'"),
        ({"phases": [phase("main")]}, "'main' is the game itself"),
        ({"evaluations": [nvn.Evaluation("e", dict, 0)]}, "evaluations: 'e': every: found 0"),
        ({"previews": [nvn.Preview("p", dict, early={"warmpu": 2})]}, "Did you mean 'warmup'"),
        ({"previews": [nvn.Preview("p", dict, early={"warmup": 0})]}, "'warmup': found 0"),
        ({"previews": [nvn.Preview("p", dict, early={"main": 2})]}, "no phase 'main' before"),
        ({"previews": [nvn.Preview("p", dict, early=3)]}, "found int, expected"),
        ({"previews": [nvn.Preview("../p", dict)]}, "'../p' is no valid file name"),
        ({"evaluations": [nvn.Preview("p", dict)]}, "expected nvn.Evaluation"),
        ({"application": 3}, "application: found int, expected nvn.Application"),
        ({"application": nvn.Application("a/b", max)}, "application: 'a/b' is no valid file"),
        ({"application": nvn.Application("a", 3)}, "application: fn: found int"),  # type: ignore
    ],
)
def test_what_is_wrong_with_a_recipe_is_said(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        tiny(**changes)
    assert message in str(error.value)


def test_a_player_cannot_be_a_copy_of_one_of_another_form() -> None:
    recipe = tiny()
    recipe.game.player("wide", torch.nn.Linear(3, 5))
    with pytest.raises(ConfigError, match="'wide' cannot be a copy of 'G'"):
        recipe.replace(phases=[phase(copies={"wide": "G"})])


def test_every_problem_with_a_recipe_is_said_at_once() -> None:
    with pytest.raises(ConfigError) as error:
        tiny(steps=0, game=None, schedule=None)
    assert len(str(error.value).splitlines()) == 4


@pytest.mark.parametrize("found", [None, 3, {"accuracy": "high"}, {"accuracy": [1, 2]}])
def test_an_evaluation_gives_numbers(found: object) -> None:
    with pytest.raises(RunError, match="evaluation 'e' returned"):
        nvn.Evaluation("e", lambda engine: found).numbers(None)  # type: ignore


def test_a_preview_gives_a_picture() -> None:
    with pytest.raises(RunError, match="preview 'p' returned list"):
        nvn.Preview("p", lambda engine: []).picture(None)  # type: ignore


def test_an_application_gives_a_picture() -> None:
    with pytest.raises(RunError, match="application 'a' returned None"):
        nvn.Application("a", lambda engine, image: None).result(None, None)  # type: ignore
