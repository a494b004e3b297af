"""What a game does that is legal, and that nobody wants: each is told once, with its figures.

All of it is read from records that are read anyway. The thresholds are such that a game that has
simply arrived at its end is not warned of: an exact number has to stand still for long, or a
gradient has to vanish that is no nearer to its goal than at the start.
"""

from __future__ import annotations

import math
import warnings
from collections import deque
from collections.abc import Iterator, Mapping
from statistics import median
from typing import TYPE_CHECKING

from nvn.engine.optimizers import PlayerOptimizer
from nvn.errors import NvnWarning
from nvn.training.hooks import hook

if TYPE_CHECKING:
    from nvn.engine.engine import Engine
    from nvn.recipe.recipe import Phase
    from nvn.records import Record

__all__ = ["Symptoms"]

EARLY = 50  # steps of a phase that say what a player's gradient was like at first
STILL = 300  # steps in a row in which a number that does not change is told
VANISHED = 1e-5  # of what it was at first, a gradient that is told


class Symptoms:
    """The plugin that warns (`NvnWarning`) of games that have stopped to be ones.

    - A player has won: a gradient of another's is less than 1e-5 of what it was in the first 50
      steps, for 300 steps, and that one's objective is no lower than it was then.
    - A player's objective, or an energy, is the same to the bit in 300 steps.
    - A player's steps change nothing, three times that it was looked at, and its gradient is not
      small.
    - A learning rate is zero, without a schedule that might raise it.
    """

    def __init__(self) -> None:
        self._told: set[str] = set()
        self._early: dict[str, list[tuple[float, float]]] = {}
        self._late: dict[str, deque[tuple[float, float]]] = {}
        self._still: dict[str, tuple[float, int]] = {}
        self._unread: list[Record] = []
        self._sums: dict[str, tuple[int, tuple[float, ...]]] = {}
        self._unchanged: dict[str, int] = {}

    @hook
    def phase_started(self, phase: Phase, engine: Engine) -> None:
        """Begin anew: another phase, another game."""
        self._early, self._late, self._still = {}, {}, {}
        self._unread, self._sums, self._unchanged = [], {}, {}
        for name, rate in _rates(engine.state.optimizers):
            if rate == 0.0:
                rated = f"the learning rate of {name}"
                self._tell(rated, "is 0: it learns nothing")

    @hook
    def step_done(self, record: Record, engine: Engine) -> None:
        """Look at the steps, a hundred at a time: reading waits for the device."""
        if self._sums:
            self._compare_weights(record, engine)
        self._unread.append(record)
        if len(self._unread) >= 100:
            self._look(engine)

    @hook
    def phase_finished(self, engine: Engine) -> None:
        """Look at the rest."""
        self._look(engine)

    def _look(self, engine: Engine) -> None:
        records, self._unread = self._unread, []
        for record in records:
            self._look_at(record)
        self._note_weights(engine)

    def _look_at(self, record: Record) -> None:
        for group, called in (("objectives", "objective of"), ("energies", "energy")):
            for name, value in getattr(record, group).items():
                self._stand_still(f"the {called} {name}", value)
        for player, norm in record.gradient_norms.items():
            objective = record.objectives.get(player, math.nan)
            early = self._early.setdefault(player, [])
            if len(early) < EARLY:
                early.append((norm, objective))
            else:
                late = self._late.setdefault(player, deque(maxlen=STILL))
                late.append((norm, objective))
                if len(late) == STILL:
                    self._vanish(player, record.step)

    def _stand_still(self, name: str, value: float) -> None:
        before, count = self._still.get(name, (math.nan, 0))
        count = count + 1 if value == before else 1
        self._still[name] = (value, count)
        if count == STILL:
            self._tell(name, f"has been {value:.6g} to the bit for {STILL} steps")

    def _vanish(self, player: str, step: int) -> None:
        early, late = self._early[player], self._late[player]
        usual = median(norm for norm, _ in early)
        largest = max(norm for norm, _ in late)
        first, now = (median(value for _, value in part) for part in (early, late))
        if largest < VANISHED * usual and now >= first:
            self._tell(
                player,
                f"has lost: its gradient is {largest:.3g} at most since {STILL} steps, of "
                f"{usual:.3g} at first, and its objective {now:.4g}, of {first:.4g} (step {step}): "
                "its opponents have won, and it cannot learn any more",
            )

    def _note_weights(self, engine: Engine) -> None:
        """Note a number of each parameter, to be compared with after the next step."""
        self._sums = {
            player: (steps, _sums(engine, player))
            for player, steps in engine.state.counters.steps.items()
        }

    def _compare_weights(self, record: Record, engine: Engine) -> None:
        """Compare them: between two steps, since what goes in circles comes by again."""
        noted, self._sums = self._sums, {}
        for player, (steps, before) in noted.items():
            now = engine.state.counters.steps.get(player, 0)
            early = self._early.get(player, [])
            norm = record.gradient_norms.get(player, 0.0)
            # (A game that has arrived has steps that change nothing, too.)
            learns = len(early) == EARLY and norm > 1e-3 * median(each for each, _ in early)
            skipped = (
                player not in engine.state.optimizers or engine.state.optimizers[player].skipped
            )
            if now == steps or not learns or skipped or _sums(engine, player) != before:
                self._unchanged.pop(player, None)
                continue
            self._unchanged[player] = self._unchanged.get(player, 0) + 1
            if self._unchanged[player] == 3:
                self._tell(
                    player,
                    f"has steps that change nothing, along a gradient of {norm:.3g}: is "
                    "its learning rate too small?",
                )

    def _tell(self, of: str, what: str) -> None:
        """Warn of a player or a number, once."""
        if of not in self._told:
            self._told.add(of)
            warnings.warn(f"{of} {what}", NvnWarning, stacklevel=2)


def _sums(engine: Engine, player: str) -> tuple[float, ...]:
    own = engine.state.parameters.get(player, {}).values()
    return tuple(float(parameter.detach().double().sum()) for parameter in own)


def _rates(optimizers: Mapping[str, PlayerOptimizer]) -> Iterator[tuple[str, float]]:
    """Yield the learning rates of those that have no schedule."""
    for name, optimizer in optimizers.items():
        if not optimizer.scheduled:
            yield name, optimizer.rate
