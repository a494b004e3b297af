"""Values that cannot be computed: each problem alone."""

import pytest
import torch
from torch import Tensor, nn

import nvn
from nvn import energies as en
from tests.small import gan, linear, mean, problem, problems

HERE = "test_values.py:"


def test_a_value_of_another_game(game: nvn.Game, x: nvn.Value, G: nvn.Player) -> None:
    other = gan()
    G.minimizes(mean(G(other.fake)))
    found = problem(game, G)
    assert found.where.startswith(HERE)
    assert found.found == "`G(G(z))` takes `G(z)`, a value of the game 'gan'"
    assert found.expected == "values of 'game' alone"
    assert found.edit == "declare `G(z)` in this game: a value belongs to one game"


def test_an_energy_of_another_game(game: nvn.Game, G: nvn.Player) -> None:
    other = gan()
    G.minimizes(other.fool)
    found = problem(game, G)
    assert found.where == "`G.minimizes(…)`"
    assert found.found == "`G` descends `fool`, a value of the game 'gan'"


def test_a_weight_of_another_game(game: nvn.Game, x: nvn.Value, G: nvn.Player) -> None:
    other = nvn.Game("other")
    G.minimizes(other.batch("w") * mean(G(x)))
    assert problem(game, G).found == "`G` descends `w`, a value of the game 'other'"


def test_a_player_instead_of_its_call(game: nvn.Game, x: nvn.Value, G: nvn.Player) -> None:
    def penalty(critic: object, samples: Tensor) -> Tensor:
        raise AssertionError("never computed")

    G.minimizes(nvn.energy(penalty)(G, x))
    found, *_ = problems(game, G)
    assert found.where.startswith(HERE)
    assert found.found == "`penalty(Player, x)` is given the player `G` itself"
    assert found.edit == "pass a call, `G(…)`; a penalty takes `nvn.gradient(y, x)`"


@pytest.mark.parametrize("hidden", [linear(), nn.Parameter(torch.ones(3))])
def test_a_module_or_a_parameter_as_an_argument(
    game: nvn.Game, x: nvn.Value, G: nvn.Player, hidden: object
) -> None:
    G.minimizes(nvn.energy(torch.mean, name="loss")(G(x), hidden))
    found = problem(game, G)
    kind = type(hidden).__name__
    assert found.found == f"`loss(G(x), {kind})` is given a {kind} with parameters as a constant"
    assert found.edit == "make it a player (its own or frozen), and pass that player's call"


def test_modules_without_parameters_and_tensors_are_constants(
    game: nvn.Game, x: nvn.Value, G: nvn.Player
) -> None:
    loss = nvn.energy(lambda y, fn, target: fn(y, target))
    G.minimizes(loss(G(x), nn.L1Loss(), torch.zeros(3)))
    nvn.plan(game, nvn.alternating(G))


def test_a_method_that_the_module_lacks(game: nvn.Game, x: nvn.Value, G: nvn.Player) -> None:
    class Coder(nn.Linear):
        def encode(self, x: Tensor) -> Tensor:
            return self(x)

    E = game.player("E", Coder(3, 3))
    E.minimizes(mean(E.method("encoed")(x)))
    found = problem(game, G, E)
    assert found.found == "`E.encoed(x)` calls the method 'encoed', which Coder lacks"
    assert found.edit == "correct the name. Did you mean 'encode'?"
    assert found.known == ("encode",)


def test_a_gradient_of_what_does_not_depend(game: nvn.Game, x: nvn.Value, G: nvn.Player) -> None:
    y = game.batch("y")
    G.minimizes(mean(nvn.gradient(G(x), y)))
    found = problem(game, G)
    assert found.found == "`gradient(G(x), y)`: `G(x)` does not depend on `y`"
    assert found.edit == "compute `G(x)` from `y` itself, with no stop_gradient between"


def test_a_gradient_through_stop_gradient(game: nvn.Game, x: nvn.Value, G: nvn.Player) -> None:
    G.minimizes(en.r1(G(x.stop_gradient()), x))
    assert "does not depend on `x`" in problem(game, G).found
