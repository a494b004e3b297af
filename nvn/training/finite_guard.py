"""A guard against NaN: it ends a run whose objective is no longer finite.

By the time a loss is seen to be NaN, its gradient has moved the players, and saving them would save
NaN. So copies of finite weights are kept on the way, in at most 2 % of a run's time.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import nn

from nvn.errors import RunError
from nvn.training.buffer import RecordBuffer
from nvn.training.hooks import hook
from nvn.training.weights import State

if TYPE_CHECKING:
    from nvn.engine.engine import Engine
    from nvn.recipe.recipe import Phase
    from nvn.records import Record

__all__ = ["FiniteGuard", "NotFiniteError", "copied"]

_SHARE = 0.02  # of a run's time, at most, for copies


class NotFiniteError(RunError):
    """An objective became infinite or NaN."""


class FiniteGuard:
    """The plugin that raises when an objective is not finite.

    Attributes:
        good: A copy of each player's weights, the latest in which everything was finite.
    """

    def __init__(self) -> None:
        self.good: Mapping[str, State] = {}
        self._unread: RecordBuffer[Record] = RecordBuffer()
        self._cost = 0.0
        self._copied_at = -math.inf

    @hook
    def run_started(self, engines: Mapping[str, Engine]) -> None:
        """Copy the initial weights."""
        for engine in engines.values():
            self._copy(engine.modules)

    @hook
    def step_done(self, phase: Phase, record: Record, engine: Engine) -> None:
        """Check the objectives, several records at a time."""
        if self._unread.add(record):
            self.check(phase, engine)

    @hook
    def phase_finished(self, phase: Phase, engine: Engine) -> None:
        """Check the remaining records."""
        self.check(phase, engine)

    def check(self, phase: Phase, engine: Engine) -> None:
        """Check the steps since the last time, all of this phase.

        Raises:
            NotFiniteError: An objective was not finite.
        """
        for record in self._unread.take():
            bad = [n for n, value in record.objectives.items() if not math.isfinite(value)]
            if bad:
                raise NotFiniteError(_report(phase, record, bad))
        if time.monotonic() - self._copied_at > self._cost / _SHARE:
            self._copy(engine.modules)

    def _copy(self, modules: Mapping[str, nn.Module]) -> None:
        begun = time.monotonic()
        if all(_is_finite(module) for module in modules.values()):
            self.good = copied(modules)
        self._copied_at = time.monotonic()
        self._cost = self._copied_at - begun


def copied(modules: Mapping[str, nn.Module]) -> dict[str, State]:
    """Return copies of the modules' states, on their devices."""
    return {
        name: {
            key: value.detach().clone() if isinstance(value, torch.Tensor) else value
            for key, value in module.state_dict().items()
        }
        for name, module in modules.items()
    }


def _is_finite(module: nn.Module) -> bool:
    # Parameters only: a buffer may hold infinities on purpose, such as an attention mask.
    return all(bool(torch.isfinite(parameter).all()) for parameter in module.parameters())


def _report(phase: Phase, record: Record, bad: list[str]) -> str:
    name = bad[0]
    others = f" (and of {', '.join(bad[1:])})" if len(bad) > 1 else ""
    energies = [n for n, value in record.energies.items() if not math.isfinite(value)]
    cause = f" Not finite at that step: {', '.join(energies)}." if energies else ""
    return (
        f"the objective of {name}{others} is {record.objectives[name]} at step {record.step} of "
        f"phase {phase.name!r}.{cause} The weights saved are the last finite ones. A lower "
        "learning rate, clipping (nvn.Optimizer(…, clip_norm=…)) or a bounded loss may help"
    )
