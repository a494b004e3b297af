"""A game with a player with whom all is well, to which each test adds what is wrong."""

import pytest

import nvn
from tests.small import linear, mean


@pytest.fixture
def game() -> nvn.Game:
    return nvn.Game("game")


@pytest.fixture
def x(game: nvn.Game) -> nvn.Value:
    return game.batch("x")


@pytest.fixture(name="G")
def maker(game: nvn.Game, x: nvn.Value) -> nvn.Player:
    """A player with whom all is well."""
    G = game.player("G", linear())
    G.minimizes(mean(G(x)).named("all is well"))
    return G
