"""The folder of a run, `runs/<recipe>/<time>/`.

recipe.py, config.yaml    the recipe and its configuration (if it was a recipe file)
plan.txt                  the explained plans
loop.py                   the loops, as the engine runs them
game.svg                  the game as a picture
run.yaml                  origin of the recipe, versions, seed, options, parts, outcome, metrics
metrics.jsonl             one line per step, per evaluation, and per look at who pulls
warnings.jsonl            one line per warning, if there were any
report.html               all of this as one page (reporting.py)
images/                   previews, <name>-<step>.png; of earlier phases, <name>-<phase>-<step>.png
checkpoints/              what `nvn resume` goes on from, <phase>-<step>/
checkpoints/final/        each player's weights, <player>.safetensors
.lock                     held by the process that trains
"""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from filelock import FileLock, Timeout

from nvn.errors import IncompleteError, NvnWarning, RunError
from nvn.files import atomic_write, disk
from nvn.planner.emit import Emitter
from nvn.recipe.recipe import MAIN
from nvn.show.plan import explain
from nvn.show.plan_text import plan_text
from nvn.show.svg import svg
from nvn.training.hooks import hook
from nvn.training.metrics_file import MetricsFile
from nvn.training.saving import OnFailure
from nvn.training.weights import State, save_players

if TYPE_CHECKING:
    from PIL.Image import Image

    from nvn.engine.engine import Engine
    from nvn.planner.planner import Plan
    from nvn.pulls import Pulls
    from nvn.recipe.recipe import Phase
    from nvn.records import Record
    from nvn.training.run import Run

__all__ = ["RunFolder", "claim", "locked", "new_folder", "picture_path"]

_BEGINNING = ".beginning.tmp"


def new_folder(recipe: str, out: Path | None = None) -> Path:
    """Create the folder of a new run: `out`, or else `runs/<recipe>/<time>/`.

    Raises:
        RunError: If `out` is not empty, or if the folder cannot be created.
    """
    if out is not None:
        with disk(out, "create"):
            out.mkdir(parents=True, exist_ok=True)
        _check_empty(out)
        return out
    parent = Path("runs") / recipe
    time = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    with disk(parent, "create"):
        parent.mkdir(parents=True, exist_ok=True)
        for number in count(1):
            path = parent / (time if number == 1 else f"{time}_{number}")
            try:
                path.mkdir()
            except FileExistsError:
                continue  # another run started in the same second
            return path
    raise AssertionError("unreachable")


def claim(folder: Path) -> None:
    """Mark a folder, locked, as that of a run that begins.

    A run killed before run.yaml is there leaves the mark: whatever else is there is nvn's, and the
    folder may be taken again.

    Raises:
        RunError: It is not empty, or cannot be written: now rather than after an hour of training.
    """
    _check_empty(folder)
    atomic_write(folder / _BEGINNING, b"")


def _check_empty(folder: Path) -> None:
    with disk(folder, "read"):
        found = {path.name for path in folder.iterdir()} - {".lock"}
    if found and ("run.yaml" in found or _BEGINNING not in found):
        raise RunError(
            f"{folder} is not empty: runs are never overwritten, choose another folder; or go on "
            "with the run in it, by nvn resume"
        )


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a run's folder: no other process trains in it. The system lets go if this one dies.

    Raises:
        RunError: Another process holds it.
    """
    lock = FileLock(folder / ".lock", is_singleton=False)
    with disk(folder, "lock"):
        try:
            lock.acquire(blocking=False)
        except Timeout:
            raise RunError(
                f"another process is training in {folder}: wait until it ends, or choose another "
                "folder"
            ) from None
        except NotImplementedError as error:
            raise RunError(f"{folder} is on a file system without locks: {error}") from error
    try:
        yield
    finally:
        lock.release()


def picture_path(folder: Path, name: str, step: int, phase: str = MAIN) -> Path:
    """Return the file of a preview in a run's folder."""
    before = "" if phase == MAIN else f"{phase}-"
    return folder / "images" / f"{name}-{before}{step:06d}.png"


class RunFolder:
    """The plugin that writes a run's folder.

    Args:
        path: The folder; it exists.
        files: Text files to write to it: the recipe and its configuration.
        about: What run.yaml says of the run, but for its parts and its end.
        parts: What run.yaml says of the run's earlier parts.
        on_failure: Whether the run goes on where a picture or a line of metrics cannot be written.
        every: Of how many steps each one has a line of metrics.

    Attributes:
        metrics: The file of metrics.
        missed: The pictures that could not be written.
        lost: What else could not be written at the end.
    """

    def __init__(
        self,
        path: Path,
        files: Mapping[str, str],
        about: Mapping[str, Any],
        parts: Iterable[Mapping[str, Any]],
        on_failure: OnFailure = "continue",
        every: int = 1,
    ) -> None:
        self.path = path
        self.missed: list[str] = []
        self.lost: list[str] = []
        self._files = files
        self._about = about
        self._parts = [*map(dict, parts), {"started": _now()}]
        self._on_failure = on_failure
        self._every = every
        self._told = False
        self._digests: dict[str, str] = {}
        self._at = ("", 0)
        self.metrics = MetricsFile(path / "metrics.jsonl")

    @hook
    def run_started(self, engines: Mapping[str, Engine]) -> None:
        """Write the recipe, the plans, and run.yaml with outcome "running"."""
        plans = {name: engine.plan for name, engine in engines.items()}
        explained = [f"phase {n}\n{p}\n\n{plan_text(explain(p, {}))}" for n, p in plans.items()]
        own = {
            "plan.txt": "\n\n".join([*explained, ""]),
            "loop.py": "\n\n".join(f"# phase {n}\n{_loop(p)}" for n, p in plans.items()),
            "game.svg": svg(plans[MAIN].graph),
        }
        for name, content in {**self._files, **own}.items():
            self._write_file(name, content.encode("utf-8", "surrogateescape"))
        self._write_about({"outcome": "running"})  # last: from now on this is a run
        with disk(self.path):
            (self.path / _BEGINNING).unlink(missing_ok=True)

    @hook
    def step_done(self, phase: Phase, record: Record) -> None:
        """Buffer a line for metrics.jsonl, if it is to have one; several are written at a time."""
        self._at = (phase.name, record.step)
        if record.step % self._every and record.step not in (1, phase.steps):
            return
        with self._tolerated():
            self.metrics.step(phase.name, record)

    @hook
    def pulled(self, phase: Phase, pulls: Pulls) -> None:
        """Add a line to metrics.jsonl."""
        with self._tolerated():
            self.metrics.pulls(phase.name, pulls)

    @hook
    def evaluated(self, step: int, name: str, metrics: Mapping[str, float]) -> None:
        """Write a line to metrics.jsonl."""
        with self._tolerated():
            self.metrics.evaluation(name, step, metrics)

    @hook
    def previewed(self, image: Image, path: Path) -> None:
        """Write the picture."""
        content = io.BytesIO()
        image.save(content, format="PNG")
        with self._tolerated(self.missed):
            with disk(path.parent, "create"):
                path.parent.mkdir(exist_ok=True)
            atomic_write(path, content.getvalue())

    def noted(self, text: str) -> None:
        """Add a line to warnings.jsonl."""
        phase, step = self._at
        line = json.dumps({"phase": phase, "step": step, "warning": text}, ensure_ascii=False)
        with (
            contextlib.suppress(OSError),  # the warning itself has been shown
            (self.path / "warnings.jsonl").open("a", encoding="utf-8", errors="replace") as file,
        ):
            file.write(f"{line}\n")

    def save_weights(self, weights: Mapping[str, State], steps: Mapping[str, int]) -> None:
        """Write each player's weights; elsewhere, which is told, if it fails here."""
        counted = ", ".join(f"{phase} {n}" for phase, n in steps.items())
        about = {"recipe": str(self._about["recipe"]), "steps": counted}
        try:
            final = self.path / "checkpoints" / "final"
            self._digests = save_players(final, weights, about)
        except RunError as error:
            where = _second_place(weights, about)
            self.lost.append(f"the weights could not be saved: {error}{where}")

    def end(self, run: Run) -> None:
        """Write the buffered lines and run.yaml; a failure of one does not keep back the other."""
        with self._collecting():
            self.metrics.flush()
        with self._collecting():
            self._write_about(self._result(run))

    def raise_lost(self) -> None:
        """Raise what could not be written.

        Raises:
            RunError: Naming it.
        """
        if self.lost:
            raise RunError("\n".join([*self.lost, *self.missed]))

    def _result(self, run: Run) -> dict[str, Any]:
        """Return the final entries of run.yaml; the outcome is "failed" if something was lost."""
        outcome = "failed" if self.lost else run.outcome
        errors = [*([] if run.error is None else [str(run.error)]), *self.lost]
        if not isinstance(run.error, IncompleteError):  # which names them
            errors += self.missed
        self._parts[-1] |= {"ended": _now(), "why": outcome}
        return {
            "outcome": outcome,
            "error": "\n".join(errors) if errors else None,
            "weights": self._digests,
            "steps": dict(run.steps),
            "seconds": round(run.seconds, 1),
            "metrics": {name: dict(metrics) for name, metrics in run.metrics.items()},
            "best": {name: dict(best) for name, best in run.best.items()},
        }

    def _write_about(self, more: Mapping[str, Any]) -> None:
        content = {**self._about, **more, "parts": self._parts}
        about = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
        atomic_write(self.path / "run.yaml", about.encode())

    def _write_file(self, name: str, content: bytes) -> None:
        """Write a file; what an earlier part of the run had there is kept beside it."""
        path = self.path / name
        part = len(self._parts) - 1
        if part and path.is_file() and path.read_bytes() != content:
            atomic_write(path.with_name(f"{path.stem}.part{part}{path.suffix}"), path.read_bytes())
        atomic_write(path, content)

    @contextmanager
    def _tolerated(self, missed: list[str] | None = None) -> Iterator[None]:
        """Tell of what cannot be written, and let the run go on, if it is to."""
        try:
            yield
        except RunError as error:
            if self._on_failure == "stop":
                raise
            if not self._told:  # once: a full disk fails at every line
                warnings.warn(f"{error}; training goes on", NvnWarning, stacklevel=2)
            self._told = True
            if missed is not None:
                missed.append(str(error))

    @contextmanager
    def _collecting(self) -> Iterator[None]:
        """Collect a RunError instead of raising it, so that the rest is still written."""
        try:
            yield
        except RunError as error:
            self.lost.append(str(error))


def _loop(plan: Plan) -> str:
    return Emitter(plan.program(plan.whole)).emit().text


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")


def _second_place(weights: Mapping[str, State], about: Mapping[str, str]) -> str:
    """Write weights where the system keeps temporary files; return what to say of it."""
    try:
        folder = Path(tempfile.mkdtemp(prefix="nvn-weights-"))
        save_players(folder, weights, about)
    except (OSError, RunError) as error:
        return f"; nor anywhere else ({error}): they are lost"
    return f". They are in {folder} instead: move them to a safe place"
