"""Running cells, each as a process of its own, several at once.

A run's process holds the lock of its log (nvn/sweep/locks.py) for as long as it lives. Should the
sweep be killed, its runs go on; the next sweep sees that, and waits for them instead of running
them a second time. Signals reach the sweep only: it ends its runs itself.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from io import BufferedRandom
from pathlib import Path
from typing import Protocol

from nvn.files import disk
from nvn.sweep.failures import failure, process_of
from nvn.sweep.grid import Cell, Request, as_text
from nvn.sweep.locks import opened, try_lock
from nvn.sweep.results import Result, clear, log_of, read_result
from nvn.training.stopping import Stop

__all__ = ["Job", "Watcher", "run_command", "run_jobs", "this_program"]

_LOOK = 0.1  # seconds between two looks at the runs
_GRACE = 10.0  # seconds that a run gets to end by itself


@dataclass(frozen=True)
class Job:
    """A cell to run.

    Attributes:
        cell: The cell.
        place: The run's folder.
        arguments: Those of `nvn` that run it.
    """

    cell: Cell
    place: Path
    arguments: tuple[str, ...]

    @property
    def log(self) -> Path:
        """Where its output goes."""
        return log_of(self.place)


class Watcher(Protocol):
    """Who is told how the runs come on."""

    def began(self, job: Job) -> None:
        """Say that a run begins."""

    def waits(self, job: Job, process: str | None) -> None:
        """Say that a run is still going on since an earlier sweep."""

    def ended(self, job: Job, result: Result, seconds: float) -> None:
        """Say how a run ended."""


@dataclass
class _Attempt:
    """A run that is going on. It has no process where that of an earlier sweep is at it."""

    job: Job
    environment: Mapping[str, str]
    program: Sequence[str]
    log: BufferedRandom
    process: subprocess.Popen[bytes] | None = None
    began: float = field(default_factory=time.monotonic)


def run_jobs(
    jobs: Iterable[Job],
    environments: Sequence[Mapping[str, str]],
    stop: Stop,
    watcher: Watcher,
    program: Sequence[str],
) -> None:
    """Run cells until all have ended, or until a signal asks for an end.

    Args:
        jobs: The cells to run.
        environments: What the runs that go on at once get in their environment, each its own.
        stop: Tells when to end early; the runs going on are then ended, and none is left behind.
        watcher: Who is told.
        program: How `nvn` is started.
    """
    waiting, free = deque(jobs), deque(environments)
    going: list[_Attempt] = []
    try:
        while (waiting or going) and stop.reason is None:
            while waiting and free and stop.reason is None:
                job = waiting.popleft()
                attempt = _Attempt(job, free.popleft(), program, opened(job.log))
                going.append(attempt)  # before it begins: whatever happens then, it is ended
                watcher.began(job)
                if not _is_over(attempt) and attempt.process is None:
                    watcher.waits(job, process_of(job.log))
            time.sleep(_LOOK)
            for attempt in [attempt for attempt in going if _is_over(attempt)]:
                going.remove(attempt)
                free.append(attempt.environment)
                watcher.ended(attempt.job, _result(attempt), time.monotonic() - attempt.began)
    finally:
        _end([attempt.process for attempt in going if attempt.process is not None], stop)
        for attempt in going:
            attempt.log.close()


def this_program() -> list[str]:
    """Return how to start `nvn` so that it finds what this process finds.

    `python -m` puts the current folder first, and a file `random.py` in it would then break all.
    """
    elsewhere = {*sys.path}.isdisjoint({str(Path.cwd()), ""})
    return [sys.executable, *(["-P"] if elsewhere else []), "-m", "nvn"]


def run_command(cell: Cell, request: Request, accelerator: str, place: Path) -> tuple[str, ...]:
    """Return the arguments of `nvn` that run a cell, as anybody can give them by hand."""
    words = ["run", cell.given]
    if request.preset is not None:
        words += ["--preset", request.preset]
    for name, value in cell.settings.items():
        words += ["--set", f"{name}={as_text(value)}"]
    words += ["--seed", str(cell.seed)]
    if request.max_steps is not None:
        words += ["--max-steps", str(request.max_steps)]
    words += ["--accelerator", accelerator, "--precision", request.precision]
    return (*words, "--out", str(place))


def _is_over(attempt: _Attempt) -> bool:
    """Whether a run has ended; one that nobody is at any more is started."""
    if attempt.process is not None:
        return attempt.process.poll() is not None
    if attempt.log.closed:  # found to have finished already
        return True
    if not try_lock(attempt.log):
        return False
    if not read_result(attempt.job.place).finished:
        _start(attempt)
        return False
    attempt.log.close()
    return True


def _start(attempt: _Attempt) -> None:
    """Start a run's process, which takes the lock over."""
    job = attempt.job
    clear(job.place)
    with attempt.log as log, disk(job.log):
        log.truncate(0)
        log.write(f"$ {shlex.join(['nvn', *job.arguments])}\n".encode())
        log.flush()
        attempt.process = subprocess.Popen(
            [*attempt.program, *job.arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            # What a killed run said last is what explains it.
            env={**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONFAULTHANDLER": "1"}
            | dict(attempt.environment),
            start_new_session=True,  # Ctrl-C in the terminal reaches the sweep alone
        )
        log.write(f"process {attempt.process.pid}\n".encode())


def _result(attempt: _Attempt) -> Result:
    result = read_result(attempt.job.place)
    if result.finished or attempt.process is None:
        return result
    error = failure(result, attempt.process.returncode, attempt.job.log)
    return Result("failed", result.metrics, error)


def _end(processes: Sequence[subprocess.Popen[bytes]], stop: Stop) -> None:
    """End runs: gently, and by force those that don't; a second Ctrl-C does not wait."""
    deadline = time.monotonic() + _GRACE
    with contextlib.suppress(KeyboardInterrupt, subprocess.TimeoutExpired):
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(max(0.0, deadline - time.monotonic()))
    stop.save()
    for process in processes:
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
