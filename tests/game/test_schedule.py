"""Schedules: who moves when."""

import pytest

import nvn
from nvn.errors import GameError
from nvn.game.schedule import Move, move
from nvn.records import Record
from tests.small import gan, linear, mean


@pytest.fixture
def critics(game: nvn.Game) -> nvn.Team:
    return game.team("critics", D=linear(), Dp=linear())


def test_alternating_moves_follow_one_another(critics: nvn.Team, G: nvn.Player) -> None:
    D, Dp = critics
    schedule = nvn.alternating(D, Dp, G)
    assert [m.players for m in schedule.moves] == [(D,), (Dp,), (G,)]
    assert schedule.players == (D, Dp, G)


def test_tuples_lists_and_teams_move_together(critics: nvn.Team, G: nvn.Player) -> None:
    D, Dp = critics
    assert nvn.alternating((D, G), [Dp, G], critics, (critics, G)).moves == (
        Move((D, G)),
        Move((Dp, G)),
        Move((D, Dp)),
        Move((D, Dp, G)),
    )


def test_simultaneous_is_one_move(critics: nvn.Team, G: nvn.Player) -> None:
    assert nvn.simultaneous(critics, G).moves == (Move((*critics, G)),)


def test_fresh_goes_for_every_move(critics: nvn.Team, G: nvn.Player) -> None:
    schedule = nvn.alternating(critics, nvn.move(G, fresh="noise"), fresh=True)
    assert [m.fresh for m in schedule.moves] == [True, "noise"]
    assert [m.fresh for m in nvn.alternating(critics, G).moves] == [False, False]


def test_a_move_has_all_it_was_given(game: nvn.Game, critics: nvn.Team, G: nvn.Player) -> None:
    def sometimes(record: Record) -> bool:
        return True

    energy = mean(G(game.batch("x")))
    made = nvn.move(
        critics, G, toward=energy, times=5, every=2, fresh=True, optimizer="slow", when=sometimes
    )
    assert made == Move((*critics, G), 1 * energy, 5, 2, True, "slow", sometimes)
    assert made.objective(G) == 1 * energy
    assert made.where.file.endswith("test_schedule.py")


def test_what_a_move_descends_is_the_players_own_unless_said(game: nvn.Game, G: nvn.Player) -> None:
    energy = mean(G(game.batch("x")))
    G.minimizes(2 * energy)
    assert nvn.move(G).objective(G) == 2 * energy
    assert nvn.move(G, toward=3 * energy).objective(G) == 3 * energy


def test_a_schedule_has_the_objectives_of_all_its_moves(
    game: nvn.Game, critics: nvn.Team, G: nvn.Player
) -> None:
    energy = mean(G(game.batch("x")))
    critics.minimizes(energy)
    schedule = nvn.alternating(critics, nvn.move(G, toward=2 * energy))
    assert schedule.objectives == (1 * energy, 1 * energy, 2 * energy)


def test_only_a_goal_of_its_own_now_and_then_is_lazy(game: nvn.Game, G: nvn.Player) -> None:
    energy = mean(G(game.batch("x")))
    assert move(G, toward=energy, every=16).lazy
    assert move(G, toward=energy, every=16).gain == 16
    for other in (move(G), move(G, every=16), move(G, toward=energy)):
        assert not other.lazy
        assert other.gain == 1


def test_every_counts_iterations_from_the_first(G: nvn.Player) -> None:
    made = move(G, every=3)
    assert [made.happens(step, None) for step in range(7)] == [step % 3 == 0 for step in range(7)]


def test_when_looks_at_the_iteration_before(G: nvn.Player) -> None:
    made = move(G, when=lambda record: record.step < 2, every=2)
    assert made.happens(0, None)  # the first always
    assert not made.happens(1, Record(1, {}, {}, {}))
    assert made.happens(2, Record(1, {}, {}, {}))
    assert not made.happens(2, Record(2, {}, {}, {}))


@pytest.mark.parametrize("wrong", ["D", None, 3, linear()])
def test_only_players_move(wrong: object) -> None:
    with pytest.raises(GameError, match=f"a {type(wrong).__name__} in a schedule") as caught:
        nvn.alternating(wrong)
    assert caught.value.problems[0].where.startswith("test_schedule.py:")


def test_moves_do_not_nest(G: nvn.Player) -> None:
    made = nvn.move(G)
    for wrong in (
        lambda: nvn.move(made),
        lambda: nvn.simultaneous(made),
        lambda: nvn.alternating((made, G)),
    ):
        with pytest.raises(GameError, match="a move of G among players who move together") as found:
            wrong()
        (problem,) = found.value.problems
        assert problem.expected == "a player, a team, or a tuple of players"
        assert "stands by itself in nvn.alternating(…)" in problem.edit


def test_a_value_does_not_move() -> None:
    small = gan()
    with pytest.raises(GameError, match="a Value in a schedule"):
        nvn.alternating(small.fake)


def test_a_schedule_reads_as_a_line(critics: nvn.Team, G: nvn.Player) -> None:
    assert str(nvn.alternating(critics, G)) == "(D, Dp) → G"
