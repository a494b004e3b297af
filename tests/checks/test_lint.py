"""Warnings: what is legal but probably not meant."""

import pytest
import torch
from torch import Tensor

import nvn
from nvn import energies as en
from nvn.errors import GameWarning
from tests.small import gan, linear, mean, problems


def test_an_unused_name_of_the_batch(game: nvn.Game, G: nvn.Player) -> None:
    game.batch("label")
    with pytest.warns(GameWarning, match="'label' of the batch is never used") as warned:
        nvn.plan(game, nvn.alternating(G))
    assert len(warned) == 1
    assert warned[0].filename == __file__
    assert "remove it from game.batch(…)" in str(warned[0].message)


def test_a_sample_may_use_any_name_of_the_batch(game: nvn.Game, G: nvn.Player) -> None:
    game.batch("label")
    w = game.sample("w", lambda generator, batch: batch["label"])
    G.minimizes(mean(G(w)))
    nvn.plan(game, nvn.alternating(G))


def test_a_frozen_player_who_is_never_called(game: nvn.Game, G: nvn.Player) -> None:
    game.frozen("C", linear())
    with pytest.warns(GameWarning, match="the frozen `C` is called by nothing"):
        nvn.plan(game, nvn.alternating(G))


@pytest.mark.parametrize("family", [en.Minimax(), en.NonSaturating(), en.Hinge()])
def test_maximizing_an_energy_that_saturates(family: en.Family) -> None:
    small = gan()
    small.G.maximizes(family.fake(small.D(small.fake)))
    with pytest.warns(GameWarning, match=r"`G` maximises `fake\(D\(G\(z\)\)\)`, whose gradient"):
        nvn.plan(small.game, small.schedule)


def test_an_energy_may_be_declared_saturating() -> None:
    def flat(x: Tensor) -> Tensor:
        return x.sigmoid().mean()

    small = gan()
    small.G.maximizes(0.5 * nvn.energy(flat, saturating=True)(small.fake))
    with pytest.warns(GameWarning, match=r"`G` maximises `flat\(G\(z\)\)`"):
        nvn.plan(small.game, small.schedule)


def test_maximizing_is_fine_otherwise() -> None:
    small = gan()
    small.G.maximizes(en.Wasserstein().fake(small.D(small.fake)))
    small.D.maximizes(-en.Minimax().fake(small.D(small.fake)))  # that is to minimise it
    small.D.maximizes(en.Minimax().fool(small.D(small.fake)))  # so is this
    nvn.plan(small.game, small.schedule)


def test_warnings_are_about_games_without_problems(game: nvn.Game, G: nvn.Player) -> None:
    game.batch("label")
    game.player("D", linear())
    assert problems(game, G)  # a warning would be an error here


def test_an_objective_that_cancels(game: nvn.Game, x: nvn.Value, G: nvn.Player) -> None:
    E = game.player("E", linear())
    E.minimizes(mean(E(x)))
    E.maximizes(mean(E(x)))
    with pytest.warns(GameWarning, match=r"`E` minimises `0 mean\(E\(x\)\)`, every weight of"):
        nvn.plan(game, nvn.alternating(G, E))


def test_a_goal_of_no_weight(game: nvn.Game, x: nvn.Value, G: nvn.Player) -> None:
    with pytest.warns(GameWarning, match="every weight of which is always zero") as warned:
        nvn.plan(game, nvn.alternating(G, nvn.move(G, toward=0 * mean(G(x)))))
    assert "a move of `G`" in str(warned[0].message)


def test_a_weight_of_zero_beside_others_is_fine(
    game: nvn.Game, x: nvn.Value, G: nvn.Player
) -> None:
    G.minimizes(0.0 * nvn.energy(torch.sum)(G(x)))
    nvn.plan(game, nvn.alternating(G))
