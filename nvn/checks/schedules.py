"""Problems of schedules and their moves."""

from __future__ import annotations

from collections.abc import Iterator

from nvn.checks.context import CheckContext
from nvn.errors import Problem
from nvn.game.schedule import Move


def bad_moves(context: CheckContext) -> Iterator[Problem]:
    """Yield the invalid moves, and the schedules without moves."""
    for schedule in context.schedules:
        if not schedule.moves:
            edit = "write nvn.alternating(D, G)"
            yield Problem(
                str(schedule.where), "a schedule without moves", "at least one move", edit
            )
    for move in context.moves:
        yield from _bad_move(move)


def _bad_move(move: Move) -> Iterator[Problem]:
    where = f"{move.where}, the move of {move}"
    if not move.players:
        yield Problem(
            str(move.where), "a move without players", "at least one player", "name a player"
        )
    if len(set(move.players)) < len(move.players):
        yield Problem(
            where,
            "a player twice in one move",
            "each player once",
            "to repeat a move, use `times=`",
        )
    for name, number in (("times", move.times), ("every", move.every)):
        if isinstance(number, bool) or not isinstance(number, int) or number < 1:
            found = f"{name}={number!r}"
            yield Problem(where, found, "an integer of at least 1", f"correct `{name}`")
    if move.fresh not in (True, False, "noise"):
        yield Problem(where, f"fresh={move.fresh!r}", 'True, False or "noise"', "correct `fresh`")
