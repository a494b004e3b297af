"""Everything of a training run that evolves, in one place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from nvn.game import Player
from nvn.interpreter import Point
from nvn.optimizers import Stepper


@dataclass
class TrainState:
    """What a run's engines share and change.

    Attributes:
        seed: The run's seed.
        modules: Each player's module.
        parameters: Each player's parameters that learn, by their names in the module. A parameter
            that does not require gradients at the start stays as it is.
        steppers: The optimizers at work: a player's own by its name, others by "player:name".
        iterations: How many iterations each phase has done.
        batches: How many batches have been taken.
        draws: How often samples have been drawn.
        steps: How many steps each player has taken.
    """

    seed: int
    modules: dict[str, nn.Module]
    parameters: dict[str, dict[str, nn.Parameter]]
    steppers: dict[str, Stepper] = field(default_factory=dict)
    iterations: dict[str, int] = field(default_factory=dict)
    batches: int = 0
    draws: int = 0
    steps: dict[str, int] = field(default_factory=dict)

    @staticmethod
    def of(players: Iterable[Player], seed: int) -> TrainState:
        """Return the state before the first step. Frozen players have no parameters that learn."""
        players = tuple(players)
        return TrainState(
            seed,
            {player.name: player.module for player in players},
            {player.name: {} if player.frozen else _learning(player.module) for player in players},
        )

    def point(self, phase: str) -> Point:
        """Return the versions of everything now."""
        iteration = self.iterations.get(phase, 0)
        return Point(self.seed, iteration, self.batches, self.draws, self.steps)

    def next_point(self, phase: str) -> Point:
        """Return the versions that the next iteration will start with."""
        now = self.point(phase)
        return Point(now.seed, now.step, now.batches + 1, now.draws + 1, now.steps)

    def state_dict(self) -> dict[str, Any]:
        """Return everything that evolves, under flat keys of plain tensors, numbers and dicts."""
        state: dict[str, Any] = {"seed": self.seed, "batches": self.batches, "draws": self.draws}
        state |= {f"iterations/{phase}": n for phase, n in self.iterations.items()}
        state |= {f"steps/{player}": n for player, n in self.steps.items()}
        state |= {f"player/{name}": m.state_dict() for name, m in self.modules.items()}
        state |= {f"optimizer/{name}": s.state_dict() for name, s in self.steppers.items()}
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state_dict` returned, with the same players and optimizers."""
        self.seed, self.batches, self.draws = state["seed"], state["batches"], state["draws"]
        self.iterations = _group(state, "iterations/")
        self.steps = _group(state, "steps/")
        for name, weights in _group(state, "player/").items():
            self.modules[name].load_state_dict(weights)
        for name, stepper in _group(state, "optimizer/").items():
            self.steppers[name].load_state_dict(stepper)


def _learning(module: nn.Module) -> dict[str, nn.Parameter]:
    return {name: p for name, p in module.named_parameters() if p.requires_grad}


def _group(state: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {key.removeprefix(prefix): v for key, v in state.items() if key.startswith(prefix)}
