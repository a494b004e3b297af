"""The plugin that shows a run on the terminal: its phases, its progress, its outcome."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from nvn.console.bars import Bar, duration, open_bar
from nvn.console.output import show
from nvn.errors import IncompleteError
from nvn.recipe.recipe import MAIN
from nvn.training.hooks import hook

if TYPE_CHECKING:
    from nvn.engine.engine import Engine
    from nvn.recipe.recipe import Phase, Recipe
    from nvn.records import Record
    from nvn.training.run import Run

_READ_SECONDS = 0.5  # between two readings of the losses: reading waits for the device


class Reporter:
    """The plugin that shows a run on the terminal."""

    def __init__(self) -> None:
        self._bar: Bar | None = None
        self._read_at = 0.0
        self._record: Record | None = None
        self._before: dict[str, Path] = {}

    @hook
    def run_started(self, recipe: Recipe, seed: int, resumed: str, folder: Path) -> None:
        """Print the phases, the seed and the folder."""
        phases = ", ".join(f"{phase.name} {phase.steps} steps" for phase in recipe.all_phases)
        show(f"{recipe.name}: {phases}, seed {seed}; into {_near(folder)}")
        if resumed:
            show(f"going on from {resumed}")

    @hook
    def phase_started(self, phase: Phase, engine: Engine) -> None:
        """Open a bar; it begins where an earlier part of the run ended."""
        self._bar = open_bar(phase.name, phase.steps)
        self._bar.reach(engine.state.iterations.get(phase.name, 0))
        self._read_at = 0.0

    @hook
    def step_done(self, record: Record) -> None:
        """Advance the bar, with the losses every half second."""
        assert self._bar is not None
        self._record = record
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
        """Print the metrics; those of the final evaluation are printed when the run is finished."""
        if self._bar is not None:
            show(f"step {step}: {name}: {_numbers(metrics)}")

    @hook
    def previewed(self, step: int, name: str, phase: str, path: Path) -> None:
        """Name the picture; those of the end are named when the run is finished."""
        if phase == MAIN and step == 0:
            self._before[name] = path
        if self._bar is not None and path.is_file():  # (a full disk costs a picture)
            show(f"{phase}, step {step}: picture: {_near(path)}")

    @hook(wrapper=True)
    def run_finished(self, run: Run) -> Generator[None, None, None]:
        """Close the bar; once all is saved, print metrics, pictures, outcome and folder."""
        self._close()  # first, so that an error of saving gets a line of its own
        yield
        if run.metrics:
            show(_metrics_table(run.metrics))
        for name, path in run.pictures.items():
            before = self._before.get(name, path)
            beside = "" if before == path else f" (before the game: {_near(before)})"
            show(f"picture: {_near(path)}{beside}")
        show(_closing_line(run))

    def _close(self) -> None:
        if self._bar is not None:
            if self._record is not None:  # of the last step, whenever the losses were last read
                self._bar.note(_losses(self._record))
            self._bar.close()
        self._bar = self._record = None


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
