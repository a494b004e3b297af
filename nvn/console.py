"""The only place that prints.

On a terminal, long work shows a bar with the time left; elsewhere (a file, a pipe) a plain line now
and then. `Reporter` is the plugin that shows a run; `progress` is for the long parts of recipes.

What nobody reads ends no work: where the pipe is closed, or the terminal gone, nothing is printed.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

import rich
from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from nvn.errors import NvnWarning
from nvn.loading import INSTALLED
from nvn.plugins import hook

if TYPE_CHECKING:
    from nvn.engine import Engine
    from nvn.loading import RecipeSource, Summary
    from nvn.recipe import Phase, Recipe
    from nvn.records import Record
    from nvn.training import Run

__all__ = [
    "Bar",
    "Reporter",
    "apart",
    "crash",
    "fail",
    "progress",
    "show",
    "show_recipes",
    "show_settings",
    "warn",
]

_PLAIN_SECONDS = 10.0  # between two lines where there is no terminal
_READ_SECONDS = 0.5  # between two readings of the losses: reading waits for the device
_BRIEF_SECONDS = 1.0  # work that took no longer leaves no trace on the screen


class Bar(Protocol):
    """How far some long work has come."""

    def advance(self, amount: int = 1) -> None:
        """Say that so much more is done."""

    def reach(self, done: int, total: int | None = None) -> None:
        """Say how much is done in all, and of how much."""

    def note(self, text: str) -> None:
        """Say something beside the bar, such as the current losses."""

    def close(self) -> None:
        """Say that the work is over."""


@contextmanager
def progress(description: str, total: int | None = None) -> Iterator[Bar]:
    """Show how far some long work has come, with the time left; of short work, nothing stays.

        with nvn.progress("rendering faces", total=len(faces)) as bar:
            for face in faces:
                render(face)
                bar.advance()

    Args:
        description: What is being done.
        total: How much there is to do, if known.
    """
    bar = _open_bar(description, total, brief=_BRIEF_SECONDS)
    try:
        yield bar
    finally:
        bar.close()


def show(what: RenderableType) -> None:
    """Print something; text is printed as it stands, not wrapped."""
    console = rich.get_console()
    with _heard_or_not(console):
        if isinstance(what, str):
            console.print(what, markup=False, highlight=False, emoji=False, soft_wrap=True)
        else:
            console.print(what)


@contextmanager
def apart() -> Iterator[None]:
    """Show what is shown meanwhile where errors go: stdout is kept for data."""
    usual = rich.get_console()
    usual.stderr = True
    try:
        yield
    finally:
        usual.stderr = False


def fail(error: BaseException) -> None:
    """Print an error and the notes on it, to where errors go."""
    message = "\n".join([str(error), *getattr(error, "__notes__", ())])
    _complain(Text("error: ", style="bold red") + Text(message, style="default"))


def warn(message: Warning | str, category: type[Warning], place: str) -> None:
    """Print a warning in place of Python; nvn's own say where they apply."""
    where = "" if issubclass(category, NvnWarning) else f"{place}: "
    _complain(Text("warning: ", style="bold yellow") + Text(f"{where}{message}", style="default"))


def _complain(text: Text) -> None:
    console = Console(stderr=True)
    with _heard_or_not(console):
        if not console.is_terminal:
            console.print(text, soft_wrap=True)
            return
        # A bar that is being drawn takes what sys.stderr gets and puts it above itself. Printing
        # by a console of its own would write into the bar's line.
        with console.capture() as captured:
            console.print(text, soft_wrap=True)
        sys.stderr.write(captured.get())


def crash(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print a traceback in place of Python, from the first frame on that is the recipe's own."""
    for link in _chain(error):
        link.__traceback__ = _own_part(link.__traceback__)
    sys.__excepthook__(kind, error, error.__traceback__)


def _chain(error: BaseException) -> list[BaseException]:
    """Return an error and those that led to it."""
    chain = [error]
    while (link := chain[-1].__cause__ or chain[-1].__context__) and link not in chain:
        chain.append(link)
    return chain


def _own_part(trace: TracebackType | None) -> TracebackType | None:
    """Leave out how nvn came to call the recipe; where no recipe is, leave out nothing."""
    rest = trace
    while rest is not None and not _is_recipes(rest):
        rest = rest.tb_next
    return rest or trace


def _is_recipes(trace: TracebackType) -> bool:
    # Every recipe, and what lies beside it, is imported under such a name (nvn/loading.py).
    return str(trace.tb_frame.f_globals.get("__name__", "")).startswith(INSTALLED)


@contextmanager
def _heard_or_not(console: Console) -> Iterator[None]:
    """Let work go on though what it prints reaches nobody."""
    try:
        yield
    except SystemExit:
        pass  # what rich makes of a closed pipe, after sending all further output nowhere
    except OSError:
        console.quiet = True


def show_recipes(recipes: Iterable[Summary]) -> None:
    """List recipes, each with its first line."""
    table = Table.grid(padding=(0, 3))
    for recipe in recipes:
        table.add_row(Text(recipe.name, style="bold"), Text(recipe.line))
    show(table)


def show_settings(source: RecipeSource) -> None:
    """List a recipe's settings and presets."""
    table = Table("setting", "default", "what it is", box=None, pad_edge=False)
    for name, field in source.config_class.model_fields.items():
        default = "required" if field.is_required() else repr(field.get_default())
        table.add_row(Text(name), Text(default), Text(field.description or ""))
    show(table)
    for name, values in source.config_class.presets.items():
        changed = ", ".join(f"{setting}={value}" for setting, value in values.items())
        show(f"\n--preset {name}: {changed}")


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
        self._bar = _open_bar(phase.name, phase.steps)
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


class _TerminalBar:
    """A bar that is redrawn in place."""

    def __init__(self, console: Console, description: str, total: int | None, brief: float) -> None:
        self._console = console
        self._brief = brief
        self._begun = time.monotonic()
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[note]}", style="dim"),
            console=console,
        )
        self._task = self._progress.add_task(description, total=total, note="")
        with _heard_or_not(console):
            self._progress.start()

    def advance(self, amount: int = 1) -> None:
        self._progress.advance(self._task, amount)

    def reach(self, done: int, total: int | None = None) -> None:
        self._progress.update(self._task, completed=done, total=total)

    def note(self, text: str) -> None:
        self._progress.update(self._task, note=text)

    def close(self) -> None:
        self._progress.live.transient = time.monotonic() - self._begun < self._brief
        with _heard_or_not(self._console):
            self._progress.stop()


class _PlainBar:
    """A line now and then."""

    def __init__(self, description: str, total: int | None, brief: float) -> None:
        self._description = description
        self._total = total
        self._brief = brief
        self._done = 0
        self._note = ""
        self._begun = self._told = time.monotonic()

    def advance(self, amount: int = 1) -> None:
        self.reach(self._done + amount)

    def reach(self, done: int, total: int | None = None) -> None:
        self._done = done
        self._total = total or self._total
        if time.monotonic() - self._told >= _PLAIN_SECONDS:
            self._told = time.monotonic()
            show(f"{self._description}: {self._count()}{self._left()}{self._beside()}")

    def note(self, text: str) -> None:
        self._note = text

    def close(self) -> None:
        took = time.monotonic() - self._begun
        if took >= self._brief:
            show(f"{self._description}: {self._count()} in {_duration(took)}{self._beside()}")

    def _count(self) -> str:
        return f"{self._done}" if self._total is None else f"{self._done}/{self._total}"

    def _left(self) -> str:
        if not (self._done and self._total):
            return ""
        per_item = (time.monotonic() - self._begun) / self._done
        return f", {_duration(per_item * (self._total - self._done))} left"

    def _beside(self) -> str:
        return f"  {self._note}" if self._note else ""


def _open_bar(description: str, total: int | None, brief: float = 0.0) -> Bar:
    """Open a bar that is forgotten if the work takes less than `brief` seconds."""
    console = rich.get_console()
    if console.is_terminal:
        return _TerminalBar(console, description, total, brief)
    return _PlainBar(description, total, brief)


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
    took = _duration(run.seconds)
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


def _duration(seconds: float) -> str:
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 60} min {whole % 60} s" if whole >= 60 else f"{seconds:.1f} s"
