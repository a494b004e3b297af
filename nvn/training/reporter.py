"""The plugin that shows a run on the terminal: its phases, its progress, its outcome."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from nvn.console import (
    Board,
    EnergyRow,
    PlayerRow,
    Screen,
    Stretch,
    TeamRow,
    duration,
    open_bar,
    open_screen,
    show,
)
from nvn.console.marks import number
from nvn.errors import IncompleteError
from nvn.recipe.recipe import MAIN
from nvn.training.hooks import hook
from nvn.training.standing import Course, Speed, furthest, mean_lead

if TYPE_CHECKING:
    from nvn.engine.engine import Engine
    from nvn.pulls import Pull, Pulls
    from nvn.recipe.recipe import Phase, Recipe
    from nvn.records import Record
    from nvn.training.run import Run

_READ_SECONDS = 0.5  # between two readings of the losses: reading waits for the device
_MOST_PULLS = 3  # that are shown of a player


class Reporter:
    """The plugin that shows a run: a board on a terminal or in a notebook, else plain lines."""

    def __init__(self) -> None:
        self._shown: _Lines | _Live | None = None
        self._phases: Sequence[Phase] = ()
        self._before: dict[str, Path] = {}

    @hook
    def run_started(self, recipe: Recipe, seed: int, resumed: str, folder: Path) -> None:
        """Print the phases, the seed and the folder."""
        self._phases = recipe.all_phases
        phases = ", ".join(f"{phase.name} {phase.steps} steps" for phase in recipe.all_phases)
        show(f"{recipe.name}: {phases}, seed {seed}; into {_near(folder)}")
        if resumed:
            show(f"going on from {resumed}")

    @hook
    def phase_started(self, phase: Phase, engine: Engine) -> None:
        """Begin to show a phase, from where an earlier part of the run ended."""
        self.close()  # of a run that has gone back, this phase or a later one is still shown
        screen = open_screen()
        done = engine.state.iterations.get(phase.name, 0)
        if screen is None:
            self._shown = _Lines(phase, done)
        else:
            self._shown = _Live(screen, phase, self._phases, engine, done)

    @hook
    def step_done(self, record: Record, engine: Engine) -> None:
        """Show a step, if it is time to."""
        assert self._shown is not None
        self._shown.step(record, engine)

    @hook
    def pulled(self, pulls: Pulls) -> None:
        """Show who pulls from now on."""
        if isinstance(self._shown, _Live):
            self._shown.pulls = pulls

    @hook
    def phase_finished(self) -> None:
        """Leave a line of the phase."""
        self.close()

    @hook
    def evaluated(self, step: int, name: str, metrics: Mapping[str, float]) -> None:
        """Print the metrics; those of the final evaluation are printed when the run is finished."""
        if self._shown is not None:
            show(f"step {step}: {name}: {_numbers(metrics)}")

    @hook
    def previewed(self, step: int, name: str, phase: str, path: Path) -> None:
        """Name the picture; those of the end are named when the run is finished."""
        if phase == MAIN and step == 0:
            self._before[name] = path
        if self._shown is not None and path.is_file():  # (a full disk costs a picture)
            show(f"{phase}, step {step}: picture: {_near(path)}")

    @hook(wrapper=True)
    def run_finished(self, run: Run) -> Generator[None, None, None]:
        """Close the bar; once all is saved, print metrics, pictures, outcome and folder."""
        self.close()  # first, so that an error of saving gets a line of its own
        yield
        if run.metrics:
            show(_metrics_table(run.metrics))
        for name, path in run.pictures.items():
            before = self._before.get(name, path)
            beside = "" if before == path else f" (before the game: {_near(before)})"
            show(f"picture: {_near(path)}{beside}")
        show(_closing_line(run))

    def close(self) -> None:
        """Show the phase no longer, however it ended: the terminal is as it was before."""
        if self._shown is not None:
            self._shown.close()
        self._shown = None


class _Lines:
    """A phase as plain lines: one now and then, with the losses."""

    def __init__(self, phase: Phase, done: int) -> None:
        self._bar = open_bar(phase.name, phase.steps)
        self._bar.reach(done)
        self._read_at = 0.0
        self._record: Record | None = None

    def step(self, record: Record, engine: Engine) -> None:
        self._record = record
        if time.monotonic() - self._read_at >= _READ_SECONDS:
            self._bar.note(_losses(record))
            self._read_at = time.monotonic()
        self._bar.reach(record.step)

    def close(self) -> None:
        if self._record is not None:  # of the last step, whenever the losses were last read
            self._bar.note(_losses(self._record))
        self._bar.close()


class _Live:
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
        self._record, self._done = record, record.step
        if self._screen.due():
            self._read(record, engine)
            self._screen.show(self._board(engine))

    def close(self) -> None:
        self._screen.close()
        took = duration(time.monotonic() - self._begun)
        losses = "" if self._record is None else f"  {_losses(self._record)}"
        show(f"{self._phase.name}: {self._done}/{self._phase.steps} in {took}{losses}")

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
            pulls=() if self.pulls is None else _strongest(self.pulls.players.get(name, {})),
        )


def _strongest(own: Mapping[str, Pull]) -> tuple[tuple[str, float], ...]:
    """Return who pulls a player most: the players who judge, or else the energy."""
    shares: dict[str, float] = {}
    for energy, pull in own.items():
        name = " and ".join(pull.through) or energy
        shares[name] = shares.get(name, 0.0) + pull.share
    found = sorted(shares.items(), key=lambda item: -item[1])
    return tuple(found[:_MOST_PULLS])


def _thousands(rate: float) -> str:
    return f"{number(rate / 1000)}k" if rate >= 10_000 else f"{rate:.0f}"


def _losses(record: Record) -> str:
    return "  ".join(f"{player} {value:.3g}" for player, value in record.objectives.items())


def _numbers(metrics: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in metrics.items())


def _metrics_table(metrics: Mapping[str, Mapping[str, float]]) -> Table:
    table = Table("evaluation", "metric", "value", box=None, pad_edge=False)
    for evaluation, numbers in metrics.items():
        for row, (name, value) in enumerate(numbers.items()):
            table.add_row(Text("" if row else evaluation), Text(name), Text(f"{value:.4g}"))
    return table


def _closing_line(run: Run) -> str:
    steps = ", ".join(f"{phase} {count}" for phase, count in run.steps.items())
    took = duration(run.seconds)
    if isinstance(run.error, IncompleteError):
        what = f"trained, but something failed beside it (steps: {steps}; {took})"
    elif run.outcome == "finished":
        what = f"finished (steps: {steps}; {took})"
    elif steps:
        what = f"{run.outcome}: the weights so far are saved (steps: {steps}; {took})"
    else:
        what = f"{run.outcome} before the first step ({took})"
    return f"{what}; results are in {_near(run.folder)}"


def _near(path: Path) -> Path:
    """Return a path relative to the current folder if it is inside it."""
    try:
        here = Path.cwd()
    except OSError:  # it has been deleted meanwhile
        return path
    return path.relative_to(here) if path.is_relative_to(here) else path
