"""Everything of a training run that evolves, in one place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from nvn.engine.frame import Point
from nvn.engine.optimizers import Stepper
from nvn.errors import RunError, did_you_mean
from nvn.game.players import Player
from nvn.records import Record


@dataclass
class TrainState:
    """What a run's engines share and change.

    Attributes:
        seed: The run's seed.
        modules: Each player's module.
        parameters: Each player's parameters that can learn, by their names in the module: those
            that require gradients at the start. (A frozen player's never do.)
        steppers: The optimizers at work: a player's own by its name, others by "player:name".
        iterations: How many iterations each phase has done.
        batches: How many batches have been taken.
        draws: How often samples have been drawn.
        steps: How many steps each player has taken.
        records: The last record of each phase: what conditions of moves look at.
    """

    seed: int
    modules: dict[str, nn.Module]
    parameters: dict[str, dict[str, nn.Parameter]]
    steppers: dict[str, Stepper] = field(default_factory=dict)
    iterations: dict[str, int] = field(default_factory=dict)
    batches: int = 0
    draws: int = 0
    steps: dict[str, int] = field(default_factory=dict)
    records: dict[str, Record] = field(default_factory=dict)

    @staticmethod
    def of(players: Iterable[Player], seed: int) -> TrainState:
        """Return the state before the first step."""
        modules = {player.name: player.module for player in players}
        return TrainState(seed, modules, {name: _learning(m) for name, m in modules.items()})

    def point(self, phase: str) -> Point:
        """Return the versions of everything now."""
        iteration = self.iterations.get(phase, 0)
        return Point(self.seed % 2**64, iteration, self.batches, self.draws, self.steps)

    def next_point(self, phase: str) -> Point:
        """Return the versions that the next iteration will start with."""
        now = self.point(phase)
        return Point(now.seed, now.step, now.batches + 1, now.draws + 1, now.steps)

    def state_dict(self) -> dict[str, Any]:
        """Return everything that evolves, under flat keys of plain tensors, numbers and dicts.

        As in PyTorch, the tensors are the live ones: save or copy them before the next step.
        """
        state: dict[str, Any] = {"seed": self.seed, "batches": self.batches, "draws": self.draws}
        state |= {f"iterations/{phase}": n for phase, n in self.iterations.items()}
        state |= {f"steps/{player}": n for player, n in self.steps.items()}
        state |= {f"record/{phase}": record.state_dict() for phase, record in self.records.items()}
        state |= {f"player/{name}": m.state_dict() for name, m in self.modules.items()}
        state |= {f"optimizer/{name}": s.state_dict() for name, s in self.steppers.items()}
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state_dict` returned, with the same players and optimizers.

        Raises:
            RunError: The state is of other players, or of optimizers that are not here.
        """
        weights, steppers = _group(state, "player/"), _group(state, "optimizer/")
        _refuse_unknown("player", weights, self.modules)
        _refuse_unknown("player", self.modules, weights)
        _refuse_unknown("optimizer", steppers, self.steppers)
        self.seed, self.batches, self.draws = state["seed"], state["batches"], state["draws"]
        self.iterations = _group(state, "iterations/")
        self.steps = _group(state, "steps/")
        records = _group(state, "record/")
        self.records = {phase: Record.of_state(record) for phase, record in records.items()}
        for name, module in self.modules.items():
            module.load_state_dict(weights[name])
        for name, stepper in steppers.items():
            self.steppers[name].load_state_dict(stepper)


def _learning(module: nn.Module) -> dict[str, nn.Parameter]:
    return {name: p for name, p in module.named_parameters() if p.requires_grad}


def _refuse_unknown(kind: str, names: Iterable[str], known: Iterable[str]) -> None:
    for name in names:
        if name not in known:
            listed = ", ".join(known) or "none"
            hint = did_you_mean(name, known)
            raise RunError(
                f"this state and this game differ: one has the {kind} {name!r}, the other only "
                f"{listed}.{hint}"
            )


def _group(state: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {key.removeprefix(prefix): v for key, v in state.items() if key.startswith(prefix)}
