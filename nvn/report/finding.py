"""Runs in folders: where they are, and a line of each."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from nvn.errors import ConfigError, RunError
from nvn.recipe.config import read_yaml
from nvn.report.gather import text_of

__all__ = ["RunLine", "find_run_folder", "latest", "lines_of"]

_DEEPEST = 5  # folders between the one that is searched and a run's


@dataclass(frozen=True)
class RunLine:
    """A run, in a line.

    Attributes:
        folder: Its folder, from the one that was searched.
        recipe: Its recipe.
        outcome: How it ended; "killed" if it could not say so itself.
        steps: Its steps, of all phases; None while it is going on.
        metric: The best metric that was watched, or else the first of the last evaluation.
        value: Its value.
        started: When it began, as ISO 8601; "" if that is not known.
        seconds: Its age.
        bytes: Its size on the disk.
    """

    folder: str
    recipe: str
    outcome: str
    steps: int | None
    metric: str
    value: float | None
    started: str
    seconds: float | None
    bytes: int

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as plain values."""
        return asdict(self)


def find_run_folder(path: Path) -> Path:
    """Return a run's folder: `path`, or the latest run in it.

    Raises:
        RunError: There is no run.
    """
    if (path / "run.yaml").is_file():
        return path
    found = latest(path)
    if found is None:
        raise RunError(
            f"there is no run at {path}: expected a run's folder, or runs/RECIPE for its latest "
            "run; nvn runs lists them"
        )
    return found


def latest(path: Path) -> Path | None:
    """Return the latest run in a folder of runs, whatever became of it; None if there is none."""
    runs = [run.parent for run in path.glob("*/run.yaml")] if path.is_dir() else []
    return max(runs, key=lambda run: (_started(_about(run)), run.name), default=None)


def lines_of(folder: Path, now: datetime) -> list[RunLine]:
    """Return a line for each run in a folder, however deep, the latest first.

    Raises:
        RunError: There is no such folder.
    """
    if not folder.is_dir():
        raise RunError(f"there is no folder {folder}: give the one that has the runs")
    found = [_line(run, folder, now) for run in _runs(folder, _DEEPEST)]
    return sorted(found, key=lambda line: (line.started, line.folder), reverse=True)


# --- helpers --------------------------------------------------------------------------------------


def _runs(folder: Path, deepest: int) -> Iterator[Path]:
    if (folder / "run.yaml").is_file():
        yield folder  # (what a run has in it is no run)
        return
    try:
        inner = [
            Path(each.path) for each in os.scandir(folder) if each.is_dir(follow_symlinks=False)
        ]
    except OSError:  # of another person, say
        return
    for each in sorted(inner) if deepest else ():
        yield from _runs(each, deepest - 1)


def _about(folder: Path) -> Mapping[str, Any]:
    try:
        return read_yaml(folder / "run.yaml")
    except ConfigError:
        return {}


def _line(run: Path, folder: Path, now: datetime) -> RunLine:
    about = _about(run)
    outcome = text_of(about.get("outcome")) or "unreadable"
    if outcome == "running" and not _is_held(run / ".lock"):
        outcome = "killed"
    steps = about.get("steps")
    counted = [n for n in steps.values() if isinstance(n, int)] if isinstance(steps, dict) else None
    started = _started(about)
    metric, value = _metric(about)
    return RunLine(
        folder=run.relative_to(folder).as_posix(),
        recipe=text_of(about.get("recipe")),
        outcome=outcome,
        steps=None if counted is None else sum(counted),
        metric=metric,
        value=value,
        started=started,
        seconds=_age(started, now),
        bytes=_size(run),
    )


def _started(about: Mapping[str, Any]) -> str:
    return text_of(about.get("started"))


def _age(started: str, now: datetime) -> float | None:
    try:
        return (now - datetime.fromisoformat(started).astimezone()).total_seconds()
    except (ValueError, OverflowError):
        return None


def _is_held(lock: Path) -> bool:
    """Return whether a process trains there still."""
    if not lock.is_file():
        return False
    held = FileLock(lock, is_singleton=False)
    try:
        held.acquire(blocking=False)
    except Timeout:
        return True
    except (OSError, NotImplementedError):  # it cannot be told
        return False
    held.release()
    return False


def _metric(about: Mapping[str, Any]) -> tuple[str, float | None]:
    best = about.get("best")
    for name, found in best.items() if isinstance(best, dict) else ():
        if isinstance(found, dict) and isinstance(found.get("value"), int | float):
            return f"{name} (best)", float(found["value"])
    metrics = about.get("metrics")
    for evaluation, own in metrics.items() if isinstance(metrics, dict) else ():
        for name, value in own.items() if isinstance(own, dict) else ():
            if isinstance(value, int | float):
                return f"{evaluation}/{name}", float(value)
    return "", None


def _size(folder: Path) -> int:
    """Return the bytes of all files in a folder; links are not followed."""
    total, waiting = 0, [str(folder)]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_size
        except OSError:  # it is gone meanwhile
            continue
    return total
