from collections.abc import Iterator
from functools import partial

import pytest
import torch

import nvn
from nvn.errors import ConfigError, DataError, GameError
from nvn.recipe.build import check_recipe, make_engines, make_graph, make_plans
from tests.small import linear, mean
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


# --- everything at once -------------------------------------------------------------------------


def found(recipe: nvn.Recipe) -> list[str]:
    with pytest.raises(GameError) as caught:
        check_recipe(recipe)
    assert caught.value.game == recipe.game.name
    return [problem.found for problem in caught.value.problems]


def broken(data: object = DATA) -> nvn.Recipe:
    """A GAN whose author forgot what G minimizes, and gave noise to the critic."""
    game = nvn.Game("broken")
    x = game.batch("x")
    z = game.noise("z", 5, like=x)
    G, D = game.player("G", linear(5, 3)), game.player("D", linear(3, 1))
    E = game.player("E", linear(3, 1))
    D.minimizes(mean(D(G(z))) + mean(D(z)))
    E.minimizes(mean(E(G(z))) - mean(E(z)))
    return nvn.Recipe(
        name="broken",
        game=game,
        schedule=nvn.alternating(D, G),
        optimizers=partial(torch.optim.SGD, lr=0.1),
        data=data,
        steps=1,
    )


def test_problems_of_the_structure_do_not_hide_those_of_a_batch() -> None:
    first, second, third, fourth = found(broken())
    assert first == "`G` has no objective"
    assert second == "`E` has an objective but never moves"
    assert third.startswith("`D(z)` fails: ")
    assert fourth.startswith("`E(z)` fails: ")
    with pytest.raises(GameError, match=r"`D\(z\)` fails"):
        make_engines(broken())


@pytest.mark.parametrize("data", [[], [{"x": None}], lambda: 1 / 0])
def test_data_that_fail_do_not_hide_the_structure(data: object) -> None:
    assert found(broken(data))[0] == "`G` has no objective"


def test_what_the_structure_tells_is_not_told_again() -> None:
    recipe = broken()
    game = recipe.game
    other, x, D = nvn.Game("other"), game.batch("x"), game.players["D"]
    C = game.frozen("C", linear())
    C.minimizes(mean(C(x)))  # not part of the graph
    D.minimizes(mean(D(other.batch("y"))) + mean(D.method("judge")(x)))
    told = found(recipe.replace(schedule=nvn.alternating(D, game.players["G"], C)))
    assert len(told) == len(set(told)) == 8
    assert sum("fails" in text for text in told) == 2


def test_problems_of_all_phases_are_told_at_once_and_once() -> None:
    recipe = tiny()
    game = recipe.game
    G, D = game.players["G"], game.players["D"]
    G.minimizes(nvn.energy(torch.square, name="many")(G(game.batch("x"))))
    D.minimizes(mean(D(game.batch("y"))))
    assert found(recipe) == [
        "the energy `many(G(x))` has shape (2, 3) of torch.float32",
        "the batch has no 'y'",
    ]


def test_data_do_not_replace_what_is_drawn() -> None:
    recipe = tiny(data=[{**batch, "z": batch["x"]} for batch in DATA])
    G = recipe.game.players["G"]
    check_recipe(recipe)
    G.minimizes(mean(G(recipe.game.noise("z", 3, like=recipe.game.batch("x")))))
    (told,) = found(recipe)
    assert told == "the data yield 'z', which is the name of what is drawn at random here"
