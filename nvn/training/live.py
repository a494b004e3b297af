"""A phase as a board: what is read of its steps now and then, and shown on a screen."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from nvn.console import Board, EnergyRow, PlayerRow, Screen, Stretch, TeamRow, duration
from nvn.console.marks import number
from nvn.training.standing import Course, Speed, furthest, mean_lead

if TYPE_CHECKING:
    from nvn.engine.engine import Engine
    from nvn.pulls import Pull, Pulls
    from nvn.recipe.recipe import Phase
    from nvn.records import Record

__all__ = ["Live", "losses", "strongest"]

_MOST_PULLS = 3  # that are shown of a player


class Live:
    """A phase as a board, in place of the one before.

    Args:
        screen: Where it is shown.
        phase: The phase.
        phases: All phases of the run.
        engine: Its engine.
        done: How many of its steps were done before.

    Attributes:
        pulls: Who pulled when that was last looked at.
    """

    def __init__(
        self, screen: Screen, phase: Phase, phases: Sequence[Phase], engine: Engine, done: int
    ) -> None:
        self.pulls: Pulls | None = None
        self._screen = screen
        self._phase = phase
        self._phases = phases
        self._begun = time.monotonic()
        self._done = done
        self._record: Record | None = None
        self._speed = Speed()
        self._objectives: dict[str, Course] = {}
        self._energies: dict[str, Course] = {}
        self._norms: dict[str, float] = {}
        self._screen.show(self._board(engine))

    def step(self, record: Record, engine: Engine) -> None:
        """Take a step, and show it if it is time to."""
        self._record, self._done = record, record.step
        if self._screen.due():
            self._read(record, engine)
            self._screen.show(self._board(engine))

    def close(self) -> str:
        """Show the phase no longer, and return what is to be said of it."""
        self._screen.close()
        took = duration(time.monotonic() - self._begun)
        said = "" if self._record is None else f"  {losses(self._record)}"
        return f"{self._phase.name}: {self._done}/{self._phase.steps} in {took}{said}"

    def _read(self, record: Record, engine: Engine) -> None:
        self._speed.add(time.monotonic(), record.step, engine.samples)
        for name, value in record.objectives.items():
            self._objectives.setdefault(name, Course()).add(value)
        for name, value in record.energies.items():
            self._energies.setdefault(name, Course()).add(value)
        self._norms |= record.gradient_norms

    # --- the board ---

    def _board(self, engine: Engine) -> Board:
        teams = self._teams(engine)
        ahead = (f"{team.name or team.players[0].name} ahead" for team in teams if team.ahead)
        energies = (EnergyRow(name, course.values) for name, course in self._energies.items())
        return Board((*self._stretches(),), (*self._said(), *ahead), teams, (*energies,))

    def _stretches(self) -> Iterator[Stretch]:
        rate = self._speed.steps
        phases = [phase.name for phase in self._phases]
        later = sum(p.steps for p in self._phases[phases.index(self._phase.name) + 1 :])
        ahead = self._phase.steps - self._done
        left = None if rate is None else ahead / rate
        yield Stretch(self._phase.name, self._done, self._phase.steps, left)
        if len(phases) > 1:
            total = sum(phase.steps for phase in self._phases)
            left = None if rate is None else (ahead + later) / rate
            yield Stretch("whole run", total - ahead - later, total, left)

    def _said(self) -> Iterator[str]:
        rate, samples = self._speed.steps, self._speed.samples
        if rate is not None:
            yield f"{number(rate)} steps/s" if rate >= 1 else f"{duration(1 / rate)} a step"
        if samples is not None:
            yield f"{_thousands(samples)} samples/s"
        yield duration(time.monotonic() - self._begun)

    def _teams(self, engine: Engine) -> tuple[TeamRow, ...]:
        members: dict[str, list[str]] = {}
        teams: dict[str, str] = {}
        for player in engine.plan.schedule.players:
            key = player.team or f"player {player.name}"
            members.setdefault(key, []).append(player.name)
            teams[key] = player.team or ""
        leads = [
            mean_lead(self._objectives[p] for p in names if p in self._objectives)
            for names in members.values()
        ]
        best = furthest(leads)
        return tuple(
            TeamRow(teams[key], tuple(self._player(p, engine) for p in names), lead, best == i)
            for i, ((key, names), lead) in enumerate(zip(members.items(), leads, strict=True))
        )

    def _player(self, name: str, engine: Engine) -> PlayerRow:
        course = self._objectives.get(name)
        optimizers = engine.state.optimizers
        own = (key for key in optimizers if key.partition(":")[0] == name)
        key = next(own, None)
        return PlayerRow(
            name,
            objective=() if course is None else course.values,
            norm=self._norms.get(name),
            rate=None if key is None else optimizers[key].rate,
            pulls=() if self.pulls is None else strongest(self.pulls.players.get(name, {})),
        )


def strongest(own: Mapping[str, Pull]) -> tuple[tuple[str, float], ...]:
    """Return who pulls a player most: the players who judge, or else the energy."""
    shares: dict[str, float] = {}
    for energy, pull in own.items():
        name = " and ".join(pull.through) or energy
        shares[name] = shares.get(name, 0.0) + pull.share
    found = sorted(shares.items(), key=lambda item: -item[1])
    return tuple(found[:_MOST_PULLS])


def _thousands(rate: float) -> str:
    return f"{number(rate / 1000)}k" if rate >= 10_000 else f"{rate:.0f}"


def losses(record: Record) -> str:
    """Write a step's objectives in a line."""
    return "  ".join(f"{player} {value:.3g}" for player, value in record.objectives.items())
