"""Moves that cannot be made: each problem alone."""

import pytest

import nvn
from tests.small import problem, problems

HERE = "test_schedules.py:"


def test_a_schedule_without_moves(game: nvn.Game, G: nvn.Player) -> None:
    found = problems(game)
    assert [str(p.found) for p in found] == [
        "`G` has an objective but never moves",
        "a schedule without moves",
    ]


@pytest.mark.parametrize(
    ("options", "found", "expected"),
    [
        ({"times": 0}, "times=0", "a whole number of at least 1"),
        ({"times": 1.5}, "times=1.5", "a whole number of at least 1"),
        ({"every": True}, "every=True", "a whole number of at least 1"),
        ({"every": -1}, "every=-1", "a whole number of at least 1"),
        ({"fresh": "batch"}, "fresh='batch'", 'True, False or "noise"'),
    ],
)
def test_a_move_with_a_wrong_option(
    game: nvn.Game, G: nvn.Player, options: dict[str, object], found: str, expected: str
) -> None:
    told = problem(game, nvn.move(G, **options))
    assert (told.found, told.expected) == (found, expected)
    assert told.where.startswith(HERE)
    assert told.where.endswith("the move of G")


def test_a_move_of_nobody_and_a_player_twice(game: nvn.Game, G: nvn.Player) -> None:
    assert problem(game, G, ()).found == "a move of nobody"
    found = problem(game, (G, G))
    assert (found.found, found.edit) == ("a player twice in one move", "use `times=`")
