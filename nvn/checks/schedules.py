"""Problems of schedules and their moves."""

from __future__ import annotations

from collections.abc import Iterator

from nvn.checks.context import Played
from nvn.errors import Problem
from nvn.game.schedule import Move


def bad_moves(played: Played) -> Iterator[Problem]:
    """Yield the moves that cannot be made, and the schedules without any."""
    for schedule in played.schedules:
        if not schedule.moves:
            edit = "write nvn.alternating(D, G)"
            yield Problem(str(schedule.where), "a schedule without moves", "at least one", edit)
    for move in played.moves:
        yield from _bad_move(move)


def _bad_move(move: Move) -> Iterator[Problem]:
    where = f"{move.where}, the move of {move}"
    if not move.players:
        yield Problem(str(move.where), "a move of nobody", "at least one player", "name a player")
    if len(set(move.players)) < len(move.players):
        yield Problem(where, "a player twice in one move", "each player once", "use `times=`")
    for name, number in (("times", move.times), ("every", move.every)):
        if isinstance(number, bool) or not isinstance(number, int) or number < 1:
            found = f"{name}={number!r}"
            yield Problem(where, found, "a whole number of at least 1", f"correct `{name}`")
    if move.fresh not in (True, False, "noise"):
        yield Problem(where, f"fresh={move.fresh!r}", 'True, False or "noise"', "correct `fresh`")
