"""What a person declares: values, players, energies, who moves when; and the frozen loss graph.

Lowest first: ops → values → players → game, functions, schedule → traversal → graph. No torch.
"""

from nvn.game.functions import energy, gradient, value
from nvn.game.game import Game
from nvn.game.players import Player, Team
from nvn.game.schedule import Move, Schedule, alternating, move, simultaneous
from nvn.game.values import Energy, Value, WeightedSum

__all__ = [
    "Energy",
    "Game",
    "Move",
    "Player",
    "Schedule",
    "Team",
    "Value",
    "WeightedSum",
    "alternating",
    "energy",
    "gradient",
    "move",
    "simultaneous",
    "value",
]
