import pytest

import nvn
from tests.small import linear


@pytest.fixture
def game() -> nvn.Game:
    return nvn.Game("game")


@pytest.fixture
def v(game: nvn.Game) -> nvn.Value:
    return game.batch("v")


@pytest.fixture(name="G")
def maker(game: nvn.Game) -> nvn.Player:
    return game.player("G", linear())
