"""Players who follow another: what is wrong with how they are declared, and the module's copy."""

from __future__ import annotations

import copy
import math
import numbers
from collections.abc import Iterator
from typing import TYPE_CHECKING

from nvn.callsite import call_site
from nvn.errors import GameError, Problem
from nvn.game.averages import Average
from nvn.game.past import Past
from nvn.game.players import Player
from nvn.game.values import ValueTable

if TYPE_CHECKING:
    from torch import nn

__all__ = ["check_player", "copied_module", "problems_of"]


def check_player(of: object, what: str, table: ValueTable) -> None:
    """Hold what is followed to being a player.

    Raises:
        GameError: It is something else.
    """
    if isinstance(of, Player):
        return
    members = getattr(of, "members", None)
    edit = f"name one of the team: {', '.join(m.name for m in members)}" if members else ""
    found = f"{what} of {f'the team {of.name!r}' if members else f'a {type(of).__name__}'}"  # type: ignore[attr-defined]
    edit = edit or "declare it with `game.player(…)`, and name that"
    raise table.error(Problem(str(call_site()), found, "one player of the game", edit))


def copied_module(of: Player, game: str) -> nn.Module:
    """Return a copy of a player's module that does not learn.

    Raises:
        GameError: It cannot be copied.
    """
    try:
        return copy.deepcopy(of.module).requires_grad_(False)
    except Exception as error:
        found = f"the module of `{of.name}` cannot be copied: {error}"
        problem = Problem(str(call_site()), found, "a module that copy.deepcopy copies", "")
        raise GameError([problem], game) from error


def problems_of(follower: Average | Past, table: ValueTable) -> Iterator[Problem]:
    """Yield what is wrong with a follower, at the place that declares it."""
    where, of = str(call_site()), follower.of
    what = "an average" if isinstance(follower, Average) else "earlier selves"
    if of.table is not table:
        found = f"{what} of `{of.name}`, a player of the game {of.table.game!r}"
        yield Problem(where, found, f"a player of {table.game!r}", "name one of this game")
    if of.frozen:
        found = f"{what} of `{of.name}`, which is frozen"
        yield Problem(where, found, "a player that moves", "name another one")
    if isinstance(follower, Past):
        for name, count in (("every", follower.every), ("keep", follower.keep)):
            if type(count) is not int or count < 1:
                found = f"{name}={count!r}"
                yield Problem(where, found, "a whole number of 1 or more", f"correct `{name}`")
        return
    half_life = follower.half_life
    number = isinstance(half_life, numbers.Real) and not isinstance(half_life, bool)
    if not number or not 0 < half_life < math.inf:
        found = f"a half-life of {half_life!r}"
        yield Problem(where, found, "a finite number, more than zero", "choose another half_life")
    for name, said, known in (
        ("unit", follower.unit, ("samples", "steps")),
        ("buffers", follower.buffers, ("copy", "average")),
    ):
        if said not in known:
            expected = " or ".join(f'"{each}"' for each in known)
            yield Problem(where, f"{name}={said!r}", expected, f"correct `{name}`")
