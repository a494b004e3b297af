"""Players that are what another one was: opponents out of a pool of earlier selves."""

from __future__ import annotations

from dataclasses import dataclass

from nvn.game.players import Player

__all__ = ["Past"]


@dataclass(frozen=True)
class Past:
    """How a player is what another was.

    Each time that the other has taken `every` steps more, it is put into a pool, of which the
    latest `keep` stay. In each iteration the player is one out of the pool, drawn anew.

    Attributes:
        player: The player that it is: frozen, so it never steps itself.
        of: The player whose earlier selves it is.
        every: The steps of `of` between two that are kept.
        keep: How many are kept: each takes the memory of one more `of`.
    """

    player: Player
    of: Player
    every: int
    keep: int

    def __str__(self) -> str:
        return f"one of {self.of.name}'s last {self.keep} selves, kept every {self.every:,} steps"
