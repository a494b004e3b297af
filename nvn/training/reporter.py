"""The plugin that shows a run on the terminal: its phases, its progress, its outcome."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from nvn.console import (
    duration,
    open_bar,
    open_screen,
    show,
)
from nvn.errors import IncompleteError
from nvn.recipe.recipe import MAIN
from nvn.training.hooks import hook
from nvn.training.live import Live, losses
from nvn.training.reporting import REPORT

if TYPE_CHECKING:
    from nvn.engine.engine import Engine
    from nvn.pulls import Pulls
    from nvn.recipe.recipe import Phase, Recipe
    from nvn.records import Record
    from nvn.training.run import Run

_READ_SECONDS = 0.5  # between two readings of the losses: reading waits for the device


class Reporter:
    """The plugin that shows a run: a board on a terminal or in a notebook, else plain lines."""

    def __init__(self) -> None:
        self._shown: _Lines | Live | None = None
        self._phases: Sequence[Phase] = ()
        self._before: dict[str, Path] = {}

    @hook
    def run_started(
        self,
        recipe: Recipe,
        engines: Mapping[str, Engine],
        seed: int,
        resumed: str,
        folder: Path,
    ) -> None:
        """Print the phases, the seed, how many processes there are, and the folder."""
        self._phases = recipe.all_phases
        phases = ", ".join(f"{phase.name} {phase.steps} steps" for phase in recipe.all_phases)
        count = engines[MAIN].processes
        together = f", {count} processes" if count > 1 else ""
        show(f"{recipe.name}: {phases}, seed {seed}{together}; into {_near(folder)}")
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
            self._shown = Live(screen, phase, self._phases, engine, done)

    @hook
    def step_done(self, record: Record, engine: Engine) -> None:
        """Show a step, if it is time to."""
        assert self._shown is not None
        self._shown.step(record, engine)

    @hook
    def pulled(self, pulls: Pulls) -> None:
        """Show who pulls from now on."""
        if isinstance(self._shown, Live):
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
        if (report := run.folder / REPORT).is_file():
            show(f"report: {_near(report)}")
        show(_closing_line(run))

    def close(self) -> None:
        """Show the phase no longer, however it ended: the terminal is as it was before."""
        shown, self._shown = self._shown, None
        if isinstance(shown, Live):
            show(shown.close())
        elif shown is not None:
            shown.close()


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
            self._bar.note(losses(record))
            self._read_at = time.monotonic()
        self._bar.reach(record.step)

    def close(self) -> None:
        if self._record is not None:  # of the last step, whenever the losses were last read
            self._bar.note(losses(self._record))
        self._bar.close()


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
