"""What the checks look at: a game together with its schedules."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from nvn.game.game import Game
from nvn.game.graph import LossGraph
from nvn.game.players import Player
from nvn.game.schedule import Move, Schedule
from nvn.game.traversal import called_players
from nvn.game.values import Value, WeightedSum


@dataclass(frozen=True)
class CheckContext:
    """A game with its schedules.

    Attributes:
        game: The game.
        graph: Its frozen graph.
        schedules: How it is played.
        partial: Whether further schedules exist, which are not checked here.
    """

    game: Game
    graph: LossGraph
    schedules: tuple[Schedule, ...]
    partial: bool

    @property
    def moves(self) -> tuple[Move, ...]:
        """Every move of every schedule."""
        return tuple(move for schedule in self.schedules for move in schedule.moves)

    @property
    def reached(self) -> frozenset[str]:
        """The names of the players with a call upstream of an objective."""
        return frozenset(called_players(n for n in self.graph.nodes if not self.is_foreign(n)))

    def is_foreign(self, value: Value) -> bool:
        """Tell whether a value is of another game."""
        return value.table is not self.graph.table

    @property
    def scheduled(self) -> frozenset[Player]:
        """The players who move."""
        return frozenset(player for move in self.moves for player in move.players)

    @property
    def active(self) -> tuple[Player, ...]:
        """The players who are not frozen."""
        return tuple(p for p in self.graph.players if not p.frozen)

    def objectives(self) -> Iterator[tuple[Player, str, WeightedSum]]:
        """Yield every player with an objective of its, and the place that declares it."""
        for player in self.active:
            if player.objective:
                yield player, f"`{player.name}.minimizes(…)`", player.objective
        for move in self.moves:
            for player in move.players:
                if move.toward is not None:
                    yield player, f"{move.where}, a move of `{player.name}`", move.toward
