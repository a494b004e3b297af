"""Going on with a run: what its folder says of it, and the checkpoint to go on from."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nvn.errors import ConfigError, RunError
from nvn.training.checkpoints import Place, newest, places, set_aside
from nvn.training.metrics_file import cut
from nvn.training.run_file import read_run

__all__ = ["Earlier", "check_run", "prepare", "read_earlier"]

_CHECKPOINTS = "checkpoints"


@dataclass(frozen=True)
class Earlier:
    """The parts of a run that came before.

    Attributes:
        id: The run's id, which its checkpoints have.
        origin: The recipe's file, or its name if installed.
        parts: What run.yaml says of the parts.
        place: The point of the run that it goes on from; None if it begins at the beginning.
        state: The state there, by the parts of the checkpoint.
        problems: What was wrong with later checkpoints.
        processes: How many processes played them; None if there were no parts.
    """

    id: str = field(default_factory=lambda: secrets.token_hex(8))
    origin: str | None = None
    parts: tuple[Mapping[str, Any], ...] = ()
    place: Place | None = None
    state: Mapping[str, Any] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    processes: int | None = None

    @property
    def notes(self) -> list[str]:
        """What a person should know of where the run goes on."""
        notes = [f"{problem}: it is not used" for problem in self.problems]
        if self.parts and self.place is None:
            notes.append("no checkpoint had been written yet: the run begins anew")
        return notes


def check_run(folder: Path) -> None:
    """Refuse what is no run's folder.

    Raises:
        RunError: It is none.
    """
    if not (folder / "run.yaml").is_file():
        raise RunError(
            f"there is no run {folder}: expected a run's folder, runs/<recipe>/<time>, with a "
            "run.yaml in it"
        )


def read_earlier(folder: Path, phases: Sequence[str], recipe: str, seed: int) -> Earlier:
    """Read what a run left. Nothing is changed.

    Args:
        folder: The run's folder, locked.
        phases: The names of its phases, in order.
        recipe: The name of its recipe.
        seed: Its seed.

    Raises:
        RunError: No checkpoint is whole, though there are some.
        ConfigError: It is a run of another recipe, or seed.
    """
    about = read_run(folder)
    for name, here, before in (("recipe", recipe, about.recipe), ("seed", seed, about.seed)):
        if before != here:
            raise ConfigError(
                f"{name} = {here!r}: the run in {folder} has {before!r}; give the same, or begin a "
                "run in another folder"
            )
    place, found, problems = newest(folder / _CHECKPOINTS, phases, about.run)
    if found is None and problems:
        raise RunError(
            "\n".join([*problems, f"no checkpoint of {folder} is whole: nothing was changed"])
        )
    parts = [dict(part) for part in about.parts]
    if parts and "ended" not in parts[-1]:
        parts[-1]["why"] = "killed"
    state = {} if found is None else found.parts
    return Earlier(
        id=about.run,
        origin=about.origin,
        parts=tuple(parts),
        place=place,
        state=state,
        problems=tuple(problems),
        processes=about.processes,
    )


def prepare(folder: Path, phases: Sequence[str], earlier: Earlier, written: int) -> None:
    """Bring a run's folder back to the point that the run goes on from.

    Args:
        folder: The run's folder, locked.
        phases: The names of its phases, in order.
        earlier: What it left.
        written: How many bytes of metrics.jsonl were written at that point.

    Raises:
        RunError: Something cannot be changed, or lines of metrics.jsonl are missing.
    """
    for draft in [*folder.rglob(".*.tmp")]:
        if draft.is_dir():
            shutil.rmtree(draft, ignore_errors=True)
        else:
            draft.unlink(missing_ok=True)
    every = places(folder / _CHECKPOINTS, phases)
    at = -1 if earlier.place is None else every.index(earlier.place)
    set_aside(folder / _CHECKPOINTS, every[at + 1 :])
    if (folder / "metrics.jsonl").exists() or written:
        cut(folder / "metrics.jsonl", written)
