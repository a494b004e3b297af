"""What a run does when something is not finite: it finds out what, and stops or goes back."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

from torch import nn

from nvn.checkpoint.encoding import decode
from nvn.checkpoint.folder import Parts, encode_parts
from nvn.engine.diagnosis import Finding
from nvn.engine.engine import Engine
from nvn.errors import ConfigError, DataError, NvnWarning, RunError
from nvn.recipe.build import report_metrics, step_metrics
from nvn.recipe.recipe import MAIN, Phase
from nvn.records import Record
from nvn.streams import preserved
from nvn.training.checkpoints import Checkpoints, Place
from nvn.training.evaluating import Evaluations
from nvn.training.finite_guard import FiniteGuard, NotFiniteError, copied
from nvn.training.run_folder import RunFolder
from nvn.training.run_state import RunState
from nvn.training.weights import State

__all__ = ["Divergence", "OnDivergence", "Replay", "check_policy"]

OnDivergence: TypeAlias = Literal["stop", "skip", "rollback"]

MOST_ROLLBACKS = 3
SLOWER = 0.5  # what learning rates are multiplied by at each


def check_policy(policy: str) -> None:
    """Refuse what is no policy.

    Raises:
        ConfigError: It is none.
    """
    if policy not in ("stop", "skip", "rollback"):
        raise ConfigError(f"on_divergence = {policy!r}: expected stop, skip or rollback")


@dataclass
class Divergence:
    """What a run does when something is not finite.

    Attributes:
        policy: Whether it stops, or goes back. (Steps are skipped by the engines.)
        state: The run's state.
        engines: The engines of its phases.
        evaluations: Its evaluations.
        guard: Knows what was finite last.
        folder: The run's folder.
        checkpoints: The run's checkpoints.
        first: The state at the start, or after going back, until there is a checkpoint of later.
    """

    policy: OnDivergence
    state: RunState
    engines: Mapping[str, Engine]
    evaluations: Evaluations
    guard: FiniteGuard
    folder: RunFolder
    checkpoints: Checkpoints
    first: Parts | None = None

    def behind(self, error: Exception) -> bool:
        """Whether this error says that something is not finite, or may come of it."""
        return isinstance(error, NotFiniteError) or bool(self.guard.infinite(self._modules))

    def explained(self, phase: Phase, error: Exception) -> NotFiniteError:
        """Return an error that says what was not finite first, and where, as far as can be found.

        The players have the last finite weights after it; `guard.good` has them, too.
        """
        found = f"{self.guard.infinite(self._modules)} is not finite."
        if isinstance(error, NotFiniteError):
            found = str(error)
        done = dict(self.state.train.iterations)
        name, step = self.guard.checked
        replay = Replay(self.state, self.engines, self.evaluations)
        # (Several processes would have to play it again, all of them.)
        good = self.good if self.evaluations.lead.alone else None
        finding = None
        if good is not None:
            checked = step if name == phase.name else 0
            last = done.get(phase.name, 0) + 1
            finding = replay.first(good, phase.name, checked, last, self.guard.last)
        if finding is not None:
            self.guard.good = replay.weights
            more = f"step {replay.step} of phase {phase.name!r}, {finding}"
            found = f"{found} The last of them: {more}" if self.policy == "skip" else more
        for player, weights in self.guard.good.items():
            self._modules[player].load_state_dict(weights)
        self.state.train.iterations = done
        return NotFiniteError(f"{found} The weights saved are the last finite ones")

    def go_back(self, error: NotFiniteError) -> Place | None:
        """Go back to the last good state with smaller learning rates, and tell of it.

        The data are not gone back: the batches to come are others.

        Returns:
            The point of the run; None for the start.

        Raises:
            NotFiniteError: `error`, where the run is to stop, or has gone back often enough.
        """
        back = self.state.progress.rollbacks
        good = self.good
        if self.policy != "rollback" or back >= MOST_ROLLBACKS or good is None:
            raise error
        self.state.load_training(good)
        self.state.progress.rollbacks = back + 1
        for optimizer in self.state.train.optimizers.values():
            optimizer.scale(SLOWER)
        self.guard.forget()
        self.folder.metrics.cut(self.state.progress.written)
        # From here on this is the last good state: with the smaller rates, and the data to come.
        self.first = encode_parts(self.state.parts())
        place = self.state.place
        warnings.warn(
            f"{error}. The run has gone back to step {place.step} of phase {place.phase!r}, with "
            f"learning rates × {SLOWER} ({back + 1} of {MOST_ROLLBACKS} times)",
            NvnWarning,
            stacklevel=2,
        )
        return place

    @property
    def _modules(self) -> Mapping[str, nn.Module]:
        return self.state.train.modules

    @property
    def good(self) -> Mapping[str, Any] | None:
        """The last good state, by the parts of a checkpoint; None if there is none."""
        if self.first is not None:
            return {name: decode(*part) for name, part in self.first.items()}
        return self.checkpoints.newest()


@dataclass
class Replay:
    """Plays the end of a run once more, from its last good state, to find what went wrong first.

    The run's own engines do it: whoever lets it has to load another state after it.

    Attributes:
        state: The run's state.
        engines: The engines of its phases.
        evaluations: Its evaluations; what a schedule waits for is told again.
        weights: The players' weights before the step that goes wrong, once `first` has found it.
        step: That step, from 1.
    """

    state: RunState
    engines: Mapping[str, Engine]
    evaluations: Evaluations
    weights: Mapping[str, State] = field(default_factory=dict)
    step: int = 0

    def first(
        self,
        good: Mapping[str, Any],
        phase: str,
        checked: int,
        last: int,
        known: Record | None = None,
    ) -> Finding | None:
        """Return the first thing that is not finite; None if all is, or it cannot be found again.

        Args:
            good: The state to begin from, by the parts of a checkpoint.
            phase: The phase that went wrong.
            checked: The last step of it after which all was known to be finite.
            last: The last step that may have gone wrong.
            known: The record of `checked`, which is the same again, or the data are others.
        """
        progress, data = self.state.progress, self.state.data.state_dict()
        try:
            with preserved(), warnings.catch_warnings():
                warnings.simplefilter("ignore", NvnWarning)  # of data that are read again
                try:
                    self._begin(good)
                    return self._play_to(phase, checked, last, known)
                finally:
                    self.state.data.load_state_dict(data)
        except (DataError, RunError):  # data that serve only once, say
            return None
        finally:
            self.state.progress = progress

    def _begin(self, good: Mapping[str, Any]) -> None:
        self.state.load_training(good)
        self.state.load_data(good)
        self.state.load_streams(good)
        self.evaluations = replace(self.evaluations, hook=_Silent(), progress=self.state.progress)

    def _play_to(self, phase: str, checked: int, last: int, known: Record | None) -> Finding | None:
        done = self.state.train.iterations
        for each in self.state.recipe.all_phases:
            engine, batches = self.engines[each.name], self.state.data.of(each)
            watched = step_metrics(self.state.recipe, engine.plan)
            end = checked if each.name == phase else each.steps
            while done.get(each.name, 0) < end:
                record = engine.step(batches)
                report_metrics(engine, record, watched)
                if each.name == phase and self._differs(record, known):
                    return None
                if each.name == MAIN and done[MAIN] < each.steps:
                    self.evaluations.run_due(done[MAIN])
            if each.name == phase:
                return self._search(engine, batches, last)
        return None

    @staticmethod
    def _differs(record: Record, known: Record | None) -> bool:
        if known is None or record.step != known.step:
            return False
        return record.objectives != known.objectives

    def _search(self, engine: Engine, batches: Any, last: int) -> Finding | None:
        done = self.state.train.iterations
        while done.get(engine.phase, 0) < last:
            self.weights = copied(engine.modules)
            self.step = done.get(engine.phase, 0) + 1
            finding = engine.diagnose(batches)
            if finding is not None:
                return finding
        return None


class _Silent:
    """Hooks that nobody hears."""

    def evaluated(self, **_: object) -> None: ...

    def previewed(self, **_: object) -> None: ...
