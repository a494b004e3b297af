"""Who steps with which optimizer: from what a recipe specifies to the optimizers of a plan."""

from __future__ import annotations

from collections.abc import Mapping

from nvn.engine.optimizers import Optimizer, Optimizers, Stepper, as_optimizer
from nvn.engine.state import TrainState
from nvn.errors import ConfigError, did_you_mean
from nvn.game.players import Player
from nvn.game.schedule import Move
from nvn.planner.planner import Plan


def add_steppers(plan: Plan, optimizers: Optimizers, state: TrainState) -> None:
    """Make the optimizers that a plan steps with and that its state does not have yet.

    Raises:
        ConfigError: A player that moves has no optimizer.
    """
    for move in plan.schedule.moves:
        for player in move.players:
            slot = slot_of(player.name, move)
            if slot not in state.steppers:
                spec = _specified(optimizers, move.optimizer or player.name, move)
                correction = 1.0 if move.optimizer else _lazy_share(plan, player)
                parameters = [*state.parameters[player.name].values()]
                state.steppers[slot] = Stepper(spec, parameters, correction)


def slot_of(player: str, move: Move) -> str:
    """Return the name under which a state keeps what a player steps with in a move."""
    return player if move.optimizer is None else f"{player}:{move.optimizer}"


def _specified(optimizers: Optimizers, name: str, move: Move) -> Optimizer:
    """Return how to step: by name where names are given; one for all serves every player."""
    if not isinstance(optimizers, Mapping):
        if move.optimizer is None:
            return as_optimizer(optimizers)
        found = f"{move.where}: optimizer={name!r}, but the optimizers have no names"
        raise ConfigError(f"{found}; expected a mapping with the key {name!r}")
    if name not in optimizers:
        known = ", ".join(optimizers) or "none"
        hint = did_you_mean(name, optimizers)
        raise ConfigError(f"no optimizer for {name!r}; there are: {known}.{hint}")
    return as_optimizer(optimizers[name])


def _lazy_share(plan: Plan, player: Player) -> float:
    """Return the share of a player's steps that its lazy regularisers do not take."""
    own = [m for m in plan.schedule.moves if player in m.players and m.optimizer is None]
    usual = sum(move.times / move.every for move in own if not move.lazy)
    lazy = sum(move.times / move.every for move in own if move.lazy)
    return usual / (usual + lazy) if usual else 1.0
