"""The plugin that shows a run: what it is going to do, how far it is, how it ended."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from nvn.console.bars import Bar, duration, open_bar
from nvn.console.output import show
from nvn.training.hooks import hook

if TYPE_CHECKING:
    from nvn.engine.engine import Engine
    from nvn.recipe.recipe import Phase, Recipe
    from nvn.records import Record
    from nvn.training.run import Run

_READ_SECONDS = 0.5  # between two readings of the losses: reading waits for the device


class Reporter:
    """The plugin that shows a run."""

    def __init__(self) -> None:
        self._bar: Bar | None = None
        self._read_at = 0.0

    @hook
    def run_started(self, recipe: Recipe, engines: Mapping[str, Engine], seed: int) -> None:
        """Say what is going to happen."""
        phases = ", ".join(f"{phase.name} {phase.steps} steps" for phase in recipe.all_phases)
        show(f"{recipe.name}: {phases}, seed {seed}")

    @hook
    def phase_started(self, phase: Phase) -> None:
        """Open a bar."""
        self._bar = open_bar(phase.name, phase.steps)
        self._read_at = 0.0

    @hook
    def step_done(self, record: Record) -> None:
        """Move the bar, and show the losses now and then."""
        assert self._bar is not None
        if time.monotonic() - self._read_at >= _READ_SECONDS:
            self._bar.note(_losses(record))
            self._read_at = time.monotonic()
        self._bar.reach(record.step)

    @hook
    def phase_finished(self) -> None:
        """Close the bar."""
        self._close()

    @hook
    def evaluated(self, step: int, name: str, metrics: Mapping[str, float]) -> None:
        """Print a line; of the closing evaluation, all is said at the end."""
        if self._bar is not None:
            show(f"step {step}: {name}: {_numbers(metrics)}")

    @hook(wrapper=True)
    def run_finished(self, run: Run) -> Generator[None, None, None]:
        """Close the bar; once all is saved, say how it ended, what was measured, where it is."""
        self._close()  # first: should saving fail, the error gets a line of its own
        yield
        if run.metrics:
            show(_metrics_table(run.metrics))
        for path in run.pictures.values():
            show(f"picture: {_near(path)}")
        show(_closing_line(run))

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
        self._bar = None


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
    if run.outcome == "finished":
        what = f"finished (steps: {steps}; {took})"
    elif steps:
        what = f"{run.outcome}: what was learnt so far is saved (steps: {steps}; {took})"
    else:
        what = f"{run.outcome} before the first step ({took})"
    return f"{what}; everything is in {_near(run.folder)}"


def _near(path: Path) -> Path:
    """Return a path as short as it can be said from here."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
