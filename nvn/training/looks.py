"""When a run looks at who pulls, and on what.

It looks after a step, at the point where that ends, on the step's first batch, with its weights: no
more is read, and no weight is asked for of steps that never come.
Players with one energy need no look, for their pull is their gradient, whose norm is recorded.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from nvn.engine.dry_run.problems import is_lack_of_memory
from nvn.errors import ConfigError, NvnWarning
from nvn.planner.pulling import PullPlan, interval
from nvn.pulls import Pull, Pulls

if TYPE_CHECKING:
    from nvn.engine.engine import Engine
    from nvn.records import Record

__all__ = ["Kept", "Looks", "PullsEvery", "check_every", "read_every"]

PullsEvery: TypeAlias = int | Literal["auto", "off"]
"""After how many steps each; "auto" if the planner is to choose."""

_EXPECTED = 'expected a number of steps from 1 on, "auto" or "off"'


def read_every(text: str) -> PullsEvery:
    """Read how often to look, as the command is given it.

    Raises:
        ConfigError: It is neither a number from 1 on, nor "auto" or "off".

    >>> read_every("off"), read_every("250")
    ('off', 250)
    """
    every: Any = int(text) if text.isdecimal() and text.isascii() else text
    check_every(every)
    found: PullsEvery = every
    return found


def check_every(every: object) -> None:
    """Hold how often to look to being something that can be.

    Raises:
        ConfigError: It is neither a number from 1 on, nor "auto" or "off".
    """
    number = isinstance(every, int) and not isinstance(every, bool) and every >= 1
    if not number and every not in ("auto", "off"):
        raise ConfigError(f"pulls_every = {every!r}: {_EXPECTED}")


class Kept:
    """Batches as they come, of which the first is kept."""

    def __init__(self, batches: Iterator[Mapping[str, Any]]) -> None:
        self.first: Mapping[str, Any] | None = None
        self._batches = batches

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        return self

    def __next__(self) -> Mapping[str, Any]:
        batch = next(self._batches)
        self.first = batch if self.first is None else self.first
        return batch


class Looks:
    """The looks of a run.

    Args:
        every: How often to look.
    """

    def __init__(self, every: PullsEvery) -> None:
        self._every = every
        self._intervals: dict[str, int] = {}

    def due(self, engine: Engine, step: int) -> bool:
        """Whether to look after a step of the engine's phase."""
        if self._every == "off":
            return False
        if engine.phase not in self._intervals:
            chosen = interval(engine.plan) if self._every == "auto" else self._every
            self._intervals[engine.phase] = chosen
        return step % self._intervals[engine.phase] == 0

    def look(self, engine: Engine, batch: Mapping[str, Any] | None, record: Record) -> Pulls | None:
        """Return who pulls now; None where the memory does not suffice, or nobody has moved."""
        if batch is None:
            return None
        planned = engine.planned_pulls(last=True)
        looked = [player for player in planned.terms if player not in planned.alone]
        try:
            part = engine.part_of(batch)  # of one that is played in parts, for all is too much
            found = engine.pulls(part, looked, last=True) if looked else Pulls(record.step, {}, {})
        except (MemoryError, RuntimeError) as error:
            if not is_lack_of_memory(error):
                raise
            self._every = "off"
            said = str(error).partition("\n")[0] or "memory has run out"
            warnings.warn(
                f"who pulls is looked at no longer: {said}. Training goes on", NvnWarning, 2
            )
            return None
        return _with_alone(found, planned, record)


def _with_alone(found: Pulls, planned: PullPlan, record: Record) -> Pulls:
    """Add the players with one energy: what their gradient was when they last moved."""
    alone = {
        player: Pull(record.gradient_norms[player], through=planned.through[player, energy])
        for player, energy in planned.alone.items()
        if player in record.gradient_norms
    }
    names = planned.graph.names
    known = {p: {names[planned.alone[p]]: pull} for p, pull in alone.items()}
    norms = {player: pull.norm for player, pull in alone.items()}
    order = [p for p in planned.terms if p in found.players or p in known]
    every = {**found.players, **known}
    return dataclasses.replace(
        found, players={p: every[p] for p in order}, norms={**found.norms, **norms}
    )
