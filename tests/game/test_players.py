"""Players and teams: calling them, and what they minimize."""

import copy

import pytest
import torch

import nvn
from nvn.errors import GameError
from nvn.game.values import (
    Value,
)
from tests.small import linear, mean, square

# --- players --------------------------------------------------------------------------------------


def test_a_player_is_of_no_team(game: nvn.Game) -> None:
    module = linear()
    G = game.player("G", module)
    assert (G.name, G.module, G.team, G.frozen) == ("G", module, None, False)
    assert game.players == {"G": G}
    assert G.where.file.endswith("test_players.py")


def test_a_frozen_player_always_runs_in_eval_mode(game: nvn.Game, v: Value) -> None:
    C = game.frozen("C", linear())
    assert C.frozen
    assert not C(v).op.training
    assert C(v) is C.method("forward", training=False)(v)


def test_a_frozen_player_refuses_training_mode(game: nvn.Game, v: Value) -> None:
    C, G = game.frozen("C", linear()), game.player("G", linear())
    with pytest.raises(GameError) as caught:
        C.method("forward", training=True)
    (problem,) = caught.value.problems
    assert problem.where.startswith("test_players.py:")
    assert problem.found == "the frozen player `C` is called with training=True"
    assert problem.expected == "eval mode: a frozen player runs in no other"
    assert "`game.player('C', …)`" in problem.edit
    assert C.method("encode")(v) is C.method("encode", training=False)(v)
    assert G(v) is G.method("forward", training=True)(v)


def test_a_refusal_tells_what_was_noted_before(game: nvn.Game, v: Value) -> None:
    C = game.frozen("C", linear())
    C.minimizes(v)
    with pytest.raises(GameError, match="2 problems with the game 'game'"):
        C.method("forward", training=True)


def test_players_of_one_name_make_values_apart(game: nvn.Game, v: Value) -> None:
    first, second = game.player("G", linear()), game.player("G", linear())
    assert first(v) is not second(v)
    assert [str(first(v)), str(second(v))] == ["G(v)", "G (2)(v)"]


def test_calling_a_player_with_a_tensor_is_refused(G: nvn.Player, v: Value) -> None:
    with pytest.raises(GameError, match="the player `G` is called with tensors") as caught:
        G(torch.ones(2, 3))
    assert "a penalty takes `nvn.gradient(G(x), x)`" in caught.value.problems[0].edit
    assert G(v, torch.ones(3)).inputs == (v,)  # a constant beside a value is in order


def test_a_player_may_take_nothing(G: nvn.Player) -> None:
    assert G() is G()
    assert G().inputs == ()


# --- teams ----------------------------------------------------------------------------------------


def test_a_team_gives_its_members(game: nvn.Game) -> None:
    team = game.team("critics", D=linear(), Dp=linear())
    D, Dp = team
    assert (team.D, team.Dp, len(team)) == (D, Dp, 2)
    assert (D.name, Dp.name, D.team) == ("D", "Dp", "critics")
    assert game.players == {"D": D, "Dp": Dp}


def test_a_team_of_one_is_iterable_too(game: nvn.Game) -> None:
    (D,) = game.team("critics", D=linear())
    assert D.name == "D"


def test_a_team_may_be_copied_and_says_what_it_lacks(game: nvn.Game) -> None:
    team = game.team("critics", D=linear())
    assert copy.copy(team).D is team.D
    with pytest.raises(AttributeError, match="'E'"):
        _ = team.E


# --- objectives ---------------------------------------------------------------------------------


def test_an_objective_can_be_read_and_added_to(G: nvn.Player, v: Value) -> None:
    assert not G.objective
    a, b = mean(G(v)), square(G(v))
    G.minimizes(a)
    G.minimizes(0.5 * b + a)
    assert G.objective == 2 * a + 0.5 * b
    assert str(G.objective) == "2 mean(G(v)) + 0.5 square(G(v))"


def test_maximizing_is_minimizing_the_negative(G: nvn.Player, v: Value) -> None:
    a = mean(G(v))
    G.maximizes(3 * a)
    assert G.objective == -3 * a


def test_what_is_no_energy_is_told_with_everything_else(
    game: nvn.Game, G: nvn.Player, v: Value
) -> None:
    G.minimizes(mean(G(v)))
    G.minimizes(v)
    G.maximizes(1.0)
    assert G.objective.energies == (mean(G(v)),)
    first, second = game.problems
    assert first.where.startswith("test_players.py:")
    assert first.found == "<Value v>, which is no energy"
    assert "`nvn.energy(fn)(v)` makes an energy" in first.edit
    assert second.found == "a float"


def test_an_error_that_ends_the_declaration_tells_what_was_noted_before(
    game: nvn.Game, G: nvn.Player, v: Value
) -> None:
    for wrong in (lambda: 2 * v, lambda: G(torch.ones(3))):
        game.problems.clear()
        G.minimizes(v)
        with pytest.raises(GameError, match="2 problems with the game 'game'") as caught:
            wrong()
        assert caught.value.problems[0].found == "<Value v>, which is no energy"


def test_a_teams_objective_is_added_to_every_members(game: nvn.Game, v: Value) -> None:
    team = game.team("synthesis", G=linear(), E=linear())
    a, b = mean(team.G(v)), mean(team.E(v))
    team.minimizes(a)
    team.E.minimizes(b)
    team.maximizes(2 * b)
    assert team.G.objective == a - 2 * b
    assert team.E.objective == a + b - 2 * b
