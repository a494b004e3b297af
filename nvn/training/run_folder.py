"""The folder that a run leaves, `runs/<recipe>/<time>/`.

recipe.py, config.yaml    what was trained (where it was a recipe file)
plan.txt                  what an iteration computes
run.yaml                  where the recipe is, versions, seed, outcome, final metrics
metrics.jsonl             a line a step; evaluations are lines of their own
images/                   the previews, <name>-<step>.png
checkpoints/final/        each player's weights, <player>.safetensors
"""

from __future__ import annotations

import io
import json
import math
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from nvn.errors import RunError
from nvn.files import atomic_write, disk
from nvn.show.plan import explained, text
from nvn.training.buffer import RecordBuffer
from nvn.training.hooks import hook
from nvn.training.weights import save_players

if TYPE_CHECKING:
    from PIL.Image import Image

    from nvn.engine.engine import Engine
    from nvn.recipe.recipe import Phase, Recipe
    from nvn.records import Record
    from nvn.training.run import Run

__all__ = ["RunFolder", "new_folder", "picture_path"]


def new_folder(recipe: str, out: Path | None = None) -> Path:
    """Make the folder of a new run, `out` or else `runs/<recipe>/<time>/`; never one in use.

    Raises:
        RunError: If `out` holds something already, or if the folder cannot be made.
    """
    if out is not None:
        with disk(out, "create"):
            out.mkdir(parents=True, exist_ok=True)
            if any(out.iterdir()):
                raise RunError(f"{out} is not empty: runs are never overwritten, choose another")
            # Found out now rather than after an hour of training.
            atomic_write(out / "metrics.jsonl", b"")
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
                continue  # another run began in the same second
            return path
    raise AssertionError("unreachable")


def picture_path(folder: Path, name: str, step: int) -> Path:
    """Return where a run keeps a preview's picture."""
    return folder / "images" / f"{name}-{step:06d}.png"


class RunFolder:
    """The plugin that writes the folder.

    Args:
        path: The folder, there already.
        files: Texts to keep in it: the recipe and its configuration.
        origin: Where the recipe comes from, a file or the name of an installed one.
    """

    def __init__(self, path: Path, files: Mapping[str, str], origin: str | None = None) -> None:
        self.path = path
        self._files = files
        self._origin = origin
        self._about: dict[str, Any] = {}
        self._unwritten: RecordBuffer[tuple[str, Record]] = RecordBuffer()

    @hook
    def run_started(self, recipe: Recipe, engines: Mapping[str, Engine], seed: int) -> None:
        """Write what is known before the first step."""
        plans = {name: engine.plan for name, engine in engines.items()}
        told = [f"phase {n}\n{p}\n\n{text(explained(p, {}))}" for n, p in plans.items()]
        for name, content in {**self._files, "plan.txt": "\n\n".join([*told, ""])}.items():
            atomic_write(self.path / name, content.encode())
        self._about = {
            "recipe": recipe.name,
            "origin": self._origin,
            "seed": seed,
            "started": datetime.now().astimezone().isoformat(timespec="seconds"),
            "versions": {name: version(name) for name in ("nvn", "torch", "lightning-fabric")}
            | {"python": platform.python_version()},
        }
        self._write_about({"outcome": "running"})

    @hook
    def step_done(self, phase: Phase, record: Record) -> None:
        """Keep a line for metrics.jsonl, and write the lines now and then."""
        if self._unwritten.add((phase.name, record)):
            self._write_steps()

    @hook
    def evaluated(self, step: int, name: str, metrics: Mapping[str, float]) -> None:
        """Write a line of its own."""
        self._write_steps()  # lines stay in the order of what happened
        self._append([{"evaluation": name, "step": step, "metrics": metrics}])

    @hook
    def previewed(self, step: int, name: str, image: Image) -> None:
        """Write the picture."""
        path = picture_path(self.path, name, step)
        with disk(path.parent, "create"):
            path.parent.mkdir(exist_ok=True)
        content = io.BytesIO()
        image.save(content, format="PNG")
        atomic_write(path, content.getvalue())

    @hook
    def run_finished(self, run: Run) -> None:
        """Write the weights, and whatever has not been written yet; all of it that can be written.

        Raises:
            RunError: Saying what could not be written.
        """
        lost: list[str] = []
        with _collecting(lost, "the weights could not be saved: "):
            self._save_weights(run)
        with _collecting(lost):
            self._write_steps()
        with _collecting(lost):
            self._write_about(_result(run, lost))
        if lost:
            raise RunError("\n".join(lost))

    def _save_weights(self, run: Run) -> None:
        steps = ", ".join(f"{phase} {steps}" for phase, steps in run.steps.items())
        about = {"recipe": run.recipe.name, "steps": steps}
        save_players(self.path / "checkpoints" / "final", run.weights, about)

    def _write_steps(self) -> None:
        self._append(
            [
                {
                    "phase": phase,
                    "step": record.step,
                    "energies": record.energies,
                    "objectives": record.objectives,
                    "gradient_norms": record.gradient_norms,
                }
                for phase, record in self._unwritten.take()
            ]
        )

    def _append(self, lines: list[dict[str, Any]]) -> None:
        path = self.path / "metrics.jsonl"
        text = "".join(f"{json.dumps(_valid(line), ensure_ascii=False)}\n" for line in lines)
        with disk(path), path.open("a", encoding="utf-8") as file:
            file.write(text)

    def _write_about(self, more: Mapping[str, Any]) -> None:
        about = yaml.safe_dump({**self._about, **more}, sort_keys=False, allow_unicode=True)
        atomic_write(self.path / "run.yaml", about.encode())


def _result(run: Run, lost: list[str]) -> dict[str, Any]:
    """Return what run.yaml says of a run that is over; what was lost makes it a failure."""
    errors = [*([] if run.error is None else [str(run.error)]), *lost]
    return {
        "outcome": "failed" if lost else run.outcome,
        "error": "\n".join(errors) if errors else None,
        "steps": dict(run.steps),
        "seconds": round(run.seconds, 1),
        "metrics": {name: dict(metrics) for name, metrics in run.metrics.items()},
    }


@contextmanager
def _collecting(lost: list[str], prefix: str = "") -> Iterator[None]:
    """Keep what went wrong for later: what comes next is still to be written."""
    try:
        yield
    except RunError as error:
        lost.append(f"{prefix}{error}")


def _valid(value: Any) -> Any:
    """Return a value that JSON has: it knows neither NaN nor infinity, which become null."""
    if isinstance(value, Mapping):
        return {key: _valid(part) for key, part in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
