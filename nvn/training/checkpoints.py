"""The checkpoints of a run: when one is due, writing it, which ones are kept, finding the newest.

They lie in `checkpoints/<phase>-<step>/`. The state is copied between two steps; a thread writes
the copy while training goes on.
"""

from __future__ import annotations

import re
import shutil
import time
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from nvn.checkpoint.folder import Checkpoint, CheckpointError, Parts, encode_parts, read, write
from nvn.errors import NvnWarning, RunError
from nvn.files import disk
from nvn.recipe.recipe import MAIN
from nvn.training.saving import Saving

__all__ = ["Checkpoints", "Place", "newest", "places", "set_aside"]

SHARE = 0.02  # of a run's time, at most, for saving where its interval is not given
_SHORTEST = 20.0  # seconds between two, where the interval is not given
_NAME = re.compile(r"(.+)-(\d{7,})")


class Place(NamedTuple):
    """A point of a run: after how many steps of which phase.

    >>> Place("main", 120).name
    'main-0000120'
    """

    phase: str
    step: int

    @property
    def name(self) -> str:
        """The name of its checkpoint."""
        return f"{self.phase}-{self.step:07d}"


class Checkpoints:
    """Writes the checkpoints of a run, and removes those that are not to be kept.

    Args:
        folder: The folder that they lie in; the first one creates it.
        saving: When to save, and what to keep.
        about: What to write about each, such as the run's name.
        phases: The run's phases, in order.
        written: Is told where each is, once it is whole.

    Attributes:
        disabled: Whether none is written, because the state cannot be saved.
    """

    def __init__(
        self,
        folder: Path,
        saving: Saving,
        about: Mapping[str, Any],
        phases: Sequence[str],
        written: Callable[[Place, Path], object] = lambda place, path: None,
    ) -> None:
        self._written = written
        self._folder = folder
        self._saving = saving
        self._about = about
        self._phases = phases
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._pending: Future[float] | None = None
        self._pending_at: Place | None = None
        self._begun = time.monotonic()  # of the last one
        self._copied = 0.0  # seconds that copying took
        self._took = 0.0  # seconds that copying and writing took
        self._warned = False
        self.disabled = False

    def due(self) -> bool:
        """Whether it is time for one, where the interval is one of time."""
        if self._saving.steps is not None:
            return False
        usual = max(_SHORTEST, self._took / SHARE)
        interval = usual if self._saving.seconds is None else self._saving.seconds
        return time.monotonic() - self._begun >= interval

    def named(self, place: Place) -> bool:
        """Whether the checkpoint of this place is one of those that are kept (`keep_every`)."""
        every = self._saving.keep_every
        return every is not None and place.phase == MAIN and place.step % every == 0

    def wanted(self, place: Place) -> bool:
        """Whether somebody has named this place: it is not left out, however slow the disk is."""
        every = self._saving.steps
        return self.named(place) or (every is not None and place.step % every == 0)

    def save(
        self,
        place: Place,
        state: Callable[[], Mapping[str, object]],
        best: Collection[str] = (),
        *,
        wait: bool = False,
        urgent: bool = False,
    ) -> bool:
        """Copy the state, and write it: in the background, or at once with `wait`.

        While one is being written no other is begun, unless with `wait` or `urgent`.

        Args:
            place: The point of the run.
            state: Returns the state by parts.
            best: The names of those that are kept because a metric was best there.
            wait: Whether to return only when it is written.
            urgent: Whether to wait for the one before, if that is still being written.

        Returns:
            Whether it was begun.

        Raises:
            RunError: It cannot be written, and the run is to end then.
        """
        if self._pending is not None and (wait or urgent or self._pending.done()):
            self.finish()
        if self._pending is not None or self.disabled:
            return False
        begun = time.monotonic()
        with self._tolerated(place):
            parts = encode_parts(state())
            self._copied = time.monotonic() - begun
            self._begun = begun
            self._pending_at = place
            self._pending = self._writer.submit(self._write, place, parts, frozenset(best))
        if wait:
            self.finish()
        return True

    def finish(self) -> None:
        """Wait for what is being written.

        Raises:
            RunError: It cannot be written, and the run is to end then.
        """
        pending, self._pending = self._pending, None
        if pending is None:
            return
        assert self._pending_at is not None
        done = False
        with self._tolerated(self._pending_at):
            self._took = self._copied + pending.result()
            done = True
        if done:
            self._written(self._pending_at, self._folder / self._pending_at.name)

    def newest(self) -> Mapping[str, Any] | None:
        """Return the state of the newest one that is whole, by parts; None if there is none."""
        self.finish()
        _, found, _ = newest(self._folder, self._phases, str(self._about.get("run")))
        return None if found is None else found.parts

    def close(self) -> None:
        """Wait for what is being written, and end the thread. Raises nothing."""
        try:
            self.finish()
        except RunError as error:
            warnings.warn(str(error), NvnWarning, stacklevel=2)
        self._writer.shutdown()

    @contextmanager
    def _tolerated(self, place: Place) -> Iterator[None]:
        """Tell of a checkpoint that cannot be written; or raise, if the run is to end then."""
        try:
            yield
        except RunError as error:
            said = f"the checkpoint {place.name} could not be saved: {error}"
            if self._saving.on_failure == "stop":
                raise RunError(said) from error
            if not self._warned:  # a full disk is told once, not every minute
                kept = [at.name for at in places(self._folder, self._phases)]
                last = f"the last one is {kept[-1]}" if kept else "there is none yet"
                warnings.warn(f"{said}; training goes on, and {last}", NvnWarning, stacklevel=2)
            self._warned = True

    # --- in the writer's thread ---

    def _write(self, place: Place, parts: Parts, best: frozenset[str]) -> float:
        """Write one, remove those that are not kept any more, and return how long that took."""
        begun = time.monotonic()
        about = {**self._about, "phase": place.phase, "step": place.step}
        write(self._folder / place.name, parts, about)
        self._prune(best | {place.name})
        return time.monotonic() - begun

    def _prune(self, kept: Collection[str]) -> None:
        for place in places(self._folder, self._phases)[:-2]:
            if place.name not in kept and not self.named(place):
                # What cannot be removed costs space, and nothing else.
                shutil.rmtree(self._folder / place.name, ignore_errors=True)


# --- which there are ---


def places(folder: Path, phases: Sequence[str]) -> list[Place]:
    """Return which checkpoints there are, the earliest first; whole or not, they are not read.

    Args:
        folder: The folder that they lie in; it may be missing.
        phases: The run's phases, in order.
    """
    found = []
    if folder.is_dir():
        with disk(folder, "read"):
            found = [match for path in folder.iterdir() if (match := _NAME.fullmatch(path.name))]
    known = [Place(m[1], int(m[2])) for m in found if m[1] in phases]
    return sorted(known, key=lambda place: (phases.index(place.phase), place.step))


def newest(
    folder: Path, phases: Sequence[str], run: str
) -> tuple[Place | None, Checkpoint | None, list[str]]:
    """Return the newest checkpoint that is whole, and what is wrong with later ones.

    Args:
        folder: The folder that they lie in.
        phases: The run's phases, in order.
        run: The run's id: one with another is not this run's.
    """
    problems = []
    for place in reversed(places(folder, phases)):
        try:
            found = read(folder / place.name)
        except CheckpointError as error:
            problems.append(str(error))
            continue
        if found.about.get("run") != run:
            problems.append(f"{folder / place.name} is a checkpoint of another run")
            continue
        return place, found, problems
    return None, None, problems


def set_aside(folder: Path, later: Iterable[Place]) -> None:
    """Rename checkpoints that cannot be gone on from, so that newer ones take their place."""
    for place in later:
        path = folder / place.name
        with disk(path, "rename"):
            target = path.with_name(f"{place.name}.unused")
            if target.exists():
                shutil.rmtree(target, ignore_errors=True)
            path.rename(target)
