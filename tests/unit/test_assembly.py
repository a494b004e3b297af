from collections.abc import Iterator

import pytest

import nvn
from nvn.assembly import check_recipe, make_engines, make_graph, make_plans
from nvn.errors import ConfigError, DataError, GameError
from tests.tiny import DATA, tiny


def test_every_phase_has_a_plan_and_an_engine_of_one_state() -> None:
    recipe = tiny()
    engines = make_engines(recipe)
    assert list(make_plans(recipe)) == list(engines) == ["warmup", "main"]
    assert engines["warmup"].state is engines["main"].state


def test_players_are_scheduled_in_any_phase() -> None:
    """A player that moves in a phase only is in order."""
    recipe = tiny()
    G, D = recipe.game.players["G"], recipe.game.players["D"]
    parted = recipe.replace(
        schedule=nvn.alternating(D), phases=[nvn.Phase("warmup", nvn.alternating(G), 1)]
    )
    assert make_graph(parted).name == "tiny"


def test_a_player_that_never_moves_is_a_problem() -> None:
    recipe = tiny()
    with pytest.raises(GameError, match="`D` has an objective but never moves"):
        make_graph(recipe.replace(schedule=nvn.alternating(recipe.game.players["G"])))


def test_a_recipe_without_problems() -> None:
    check_recipe(tiny())


def test_a_check_trains_nothing() -> None:
    recipe = tiny()
    before = [m.module.by.clone() for m in recipe.game.players.values()]
    check_recipe(recipe)
    now = [m.module.by for m in recipe.game.players.values()]
    assert all((a == b).all() for a, b in zip(before, now, strict=True))


def test_a_check_reads_the_data() -> None:
    with pytest.raises(GameError, match="the batch has no 'x'"):
        check_recipe(tiny(data=[{"y": DATA[0]["x"]}]))
    with pytest.raises(DataError, match="no batch at all"):
        check_recipe(tiny(data=[]))


def test_a_check_does_not_make_slow_data() -> None:
    class Slow:
        def __iter__(self) -> Iterator[object]:
            raise AssertionError("all of it was made")

        def sample(self) -> object:
            return DATA[0]

    check_recipe(tiny(data=Slow()))


def test_a_check_looks_for_optimizers() -> None:
    with pytest.raises(ConfigError, match="no optimizer for 'D'"):
        check_recipe(tiny(optimizers={"G": lambda parameters: None}))
