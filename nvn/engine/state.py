"""Everything of a training run that evolves, in one place."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from nvn.engine.counters import Counters
from nvn.engine.flags import Flags
from nvn.engine.optimizers import Optimizer, Optimizers, PlayerOptimizer, as_optimizer
from nvn.engine.past_selves import Pool
from nvn.engine.state_check import state_problems
from nvn.errors import ConfigError, RunError, did_you_mean
from nvn.game.players import Player
from nvn.game.schedule import Move
from nvn.planner.planner import Plan
from nvn.planner.turns import optimizer_key
from nvn.records import Record


@dataclass
class TrainState:
    """What a run's engines share and change.

    Attributes:
        modules: Each player's module.
        parameters: Each player's parameters that can learn, by their names in the module: those
            that require gradients at the start. (A frozen player's never do.)
        flags: Which of them learn at present.
        counters: The seed, and how far the run has come.
        optimizers: The optimizers at work: a player's own by its name, others by "player:name".
        iterations: How many iterations each phase has done.
        records: The last record of each phase: what conditions of moves look at.
        pasts: The earlier selves that are kept of players, by the name of who is one of them.
    """

    modules: dict[str, nn.Module]
    parameters: dict[str, dict[str, nn.Parameter]]
    flags: Flags
    counters: Counters
    optimizers: dict[str, PlayerOptimizer] = field(default_factory=dict)
    iterations: dict[str, int] = field(default_factory=dict)
    records: dict[str, Record] = field(default_factory=dict)
    pasts: dict[str, Pool] = field(default_factory=dict)

    @staticmethod
    def of(players: Iterable[Player], seed: int) -> TrainState:
        """Return the state before the first step."""
        modules = {player.name: player.module for player in players}
        parameters = {name: _learning(module) for name, module in modules.items()}
        return TrainState(modules, parameters, Flags(modules, parameters), Counters(seed))

    def next_counters(self) -> Counters:
        """Return the counters that the next iteration's first batch will have."""
        counters = self.counters.copy()
        counters.next_batch()
        return counters

    def state_dict(self) -> dict[str, Any]:
        """Return everything that evolves, under flat keys of plain tensors, numbers and dicts.

        As in PyTorch, the tensors are the live ones: save or copy them before the next step.
        """
        now = self.counters
        state: dict[str, Any] = {"seed": now.seed, "batches": now.batches, "draws": now.draws}
        state |= {f"iterations/{phase}": n for phase, n in self.iterations.items()}
        state |= {f"steps/{player}": n for player, n in now.steps.items()}
        state |= {f"record/{phase}": record.state_dict() for phase, record in self.records.items()}
        state |= {f"past/{name}": [*pool] for name, pool in self.pasts.items()}
        state |= {f"player/{name}": m.state_dict() for name, m in self.modules.items()}
        state |= {f"optimizer/{name}": o.state_dict() for name, o in self.optimizers.items()}
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state_dict` returned, with the same players and optimizers.

        Raises:
            RunError: It does not fit, in any part: all that is wrong is named, nothing is changed.
        """
        problems = [*state_problems(state, self)]
        if problems:
            raise RunError(
                "this state does not fit the game, and nothing was changed:\n  "
                + "\n  ".join(problems)
            )
        steps = _group(state, "steps/")
        self.counters = Counters(state["seed"], state["batches"], state["draws"], steps)
        self.iterations = _group(state, "iterations/")
        records = _group(state, "record/")
        self.records = {phase: Record.of_state(record) for phase, record in records.items()}
        for name, pool in self.pasts.items():
            pool[:] = [_copied_to(self.modules[name], own) for own in state[f"past/{name}"]]
        for name, module in self.modules.items():
            module.load_state_dict(state[f"player/{name}"])
        for name, optimizer in _group(state, "optimizer/").items():
            self.optimizers[name].load_state_dict(optimizer)


def add_optimizers(plan: Plan, optimizers: Optimizers, state: TrainState) -> None:
    """Make the optimizers that a plan steps with and that its state does not have yet.

    Raises:
        ConfigError: A player that moves has no optimizer, or one that cannot be made.
    """
    for move in plan.schedule.moves:
        for player in move.players:
            key = optimizer_key(player.name, move)
            if key not in state.optimizers:
                spec, correction = stepping(plan, optimizers, player, move)
                parameters = state.parameters[player.name]
                learning = state.flags.present[player.name]
                try:
                    made = PlayerOptimizer(spec, parameters, correction, learning)
                except ConfigError as error:
                    raise ConfigError(f"`{key}`: {error}") from error
                except Exception as error:
                    error.add_note(f"while making the optimizer of `{key}`")
                    raise
                state.optimizers[key] = made


def stepping(
    plan: Plan, optimizers: Optimizers, player: Player, move: Move
) -> tuple[Optimizer, float]:
    """Return how a player steps in a move, and what its learning rate is corrected by.

    Raises:
        ConfigError: The player has no optimizer.
    """
    spec = _specified(optimizers, move.optimizer or player.name, move)
    return spec, 1.0 if move.optimizer else _lazy_share(plan, player)


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
    """Return the share of a player's steps that its lazy regularizers do not take."""
    own = [m for m in plan.schedule.moves if player in m.players and m.optimizer is None]
    usual = sum(move.times / move.every for move in own if not move.lazy)
    lazy = sum(move.times / move.every for move in own if move.lazy)
    return usual / (usual + lazy) if usual else 1.0


def _copied_to(module: nn.Module, state: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of a state of a module, on the module's device."""
    own = module.state_dict()
    return {
        n: x.detach().clone().to(own[n].device) if isinstance(x, Tensor) else copy.deepcopy(x)
        for n, x in state.items()
    }


def _learning(module: nn.Module) -> dict[str, nn.Parameter]:
    return {name: p for name, p in module.named_parameters() if p.requires_grad}


def _group(state: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {key.removeprefix(prefix): v for key, v in state.items() if key.startswith(prefix)}
