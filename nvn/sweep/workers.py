"""Running cells, each as a process of its own: a thread for each slot starts one and waits for it.

A run's process holds the lock of its log (locks.py) for as long as it lives. Should the sweep be
killed, its runs go on; the next sweep sees that, and waits for them instead of running them a
second time. Signals reach the sweep only: it ends its runs itself.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from io import BufferedRandom
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Protocol

from nvn.errors import RunError
from nvn.files import disk
from nvn.sweep.grid import Cell, Request, as_text
from nvn.sweep.locks import opened, try_lock
from nvn.sweep.results import Result, can_go_on, clear, log_of, read_result
from nvn.training.stopping import Stop

__all__ = ["Job", "Watcher", "run_command", "run_jobs", "this_program"]

_POLL = 0.1  # seconds between two looks at a signal, or at a lock that another process holds
_GRACE = 10.0  # seconds that a run gets to end by itself
STARTING = 120.0  # seconds beyond its own that a run may take: to start, to measure at its end
_READ = 20_000  # bytes of a log that are read, from its beginning or its end
_PID = "process "  # how the line of a log begins that names its process


@dataclass(frozen=True)
class Job:
    """A cell to run.

    Attributes:
        cell: The cell.
        place: The run's folder.
        arguments: Those of `nvn` that run it.
        max_time: The seconds that it has; None for any number.
    """

    cell: Cell
    place: Path
    arguments: tuple[str, ...]
    max_time: float | None = None

    @property
    def log(self) -> Path:
        """The file of its output."""
        return log_of(self.place)


class Watcher(Protocol):
    """Progress callbacks, called in the thread of `run_jobs`."""

    def began(self, job: Job) -> None:
        """A run begins."""

    def waits(self, job: Job, process: str | None) -> None:
        """A run is not started yet: the process of an earlier sweep still runs it.

        None where that has ended, and something that it started still holds the log.
        """

    def ended(self, job: Job, result: Result, seconds: float) -> None:
        """A run has ended."""


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
        environments: One for each slot: the environment variables of its runs.
        stop: Tells when to end early; all processes started here are then ended.
        watcher: Progress callbacks. An error raised in one ends everything.
        program: The command that starts `nvn`.
    """
    workers = _Workers(deque(jobs), program, stop, watcher)
    with ThreadPoolExecutor(max(1, len(environments))) as threads:
        try:
            workers.watch([threads.submit(workers.slot, each) for each in environments])
        finally:
            workers.end()  # before the executor waits for its threads


@dataclass
class _Workers:
    """What the slots' threads and the main thread share."""

    waiting: deque[Job]
    program: Sequence[str]
    stop: Stop
    watcher: Watcher
    events: SimpleQueue[Callable[[], None]] = field(default_factory=SimpleQueue)
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    ending: threading.Event = field(default_factory=threading.Event)
    # Held while a process is started: once `ending` is set under it, no further one is.
    starting: threading.Lock = field(default_factory=threading.Lock)

    # --- in the main thread ---

    def watch(self, slots: Sequence[Future[None]]) -> None:
        """Make the callbacks until every slot is done, a slot fails, or a signal has come."""
        while self.stop.reason is None:
            done = [slot for slot in slots if slot.done()]
            for slot in done:
                slot.result()  # raises its error
            over = len(done) == len(slots)  # then all that will ever be in the queue is there
            # Python runs signal handlers in the main thread only, between two of its steps, so the
            # main thread does not wait without end.
            try:
                call = self.events.get(timeout=0 if over else _POLL)
            except Empty:
                if over:
                    return
            else:
                call()

    def end(self) -> None:
        """End the runs: gently, by force those that don't; a second Ctrl-C does not wait."""
        deadline = time.monotonic() + _GRACE
        with contextlib.suppress(KeyboardInterrupt, subprocess.TimeoutExpired):
            processes = self._close()
            for process in processes:
                process.terminate()
            for process in processes:
                process.wait(max(0.0, deadline - time.monotonic()))
        self.stop.save()
        for process in self._close():
            if process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)

    def _close(self) -> list[subprocess.Popen[bytes]]:
        """Let no slot start anything more, and return what they have started."""
        with self.starting:
            self.ending.set()
            return [*self.processes]

    # --- in a slot's thread ---

    def slot(self, environment: Mapping[str, str]) -> None:
        """Run one job after the other, until none is left."""
        while self.stop.reason is None and not self.ending.is_set():
            try:
                job = self.waiting.popleft()
            except IndexError:
                return
            self.events.put(partial(self.watcher.began, job))
            began = time.monotonic()
            result = self._run(job, environment)
            if result is not None:
                seconds = time.monotonic() - began
                self.events.put(partial(self.watcher.ended, job, result, seconds))

    def _run(self, job: Job, environment: Mapping[str, str]) -> Result | None:
        """Run a job once no other process does; None if all has to end before that."""
        try:
            with opened(job.log) as log:
                if not self._acquired(job, log):
                    return None
                result = read_result(job.place)
                if result.finished:  # by the process of an earlier sweep
                    return result
                process = self._started(job, environment, log)
        except RunError as error:  # of its files: the other runs have theirs
            return Result("failed", {}, str(error))
        if process is None:
            return None
        hangs = _waited(process, job.max_time)
        self.processes.remove(process)
        _end_group(process.pid)
        result = read_result(job.place)
        if result.finished:
            return result
        if hangs:
            return Result("failed", result.metrics, hangs)
        if result.outcome == "out of time":
            told = f"out of time after {job.max_time:g} s: the same command goes on with it"
            return Result(result.outcome, result.metrics, told)
        return Result("failed", result.metrics, _failure(result, process, job.log))

    def _acquired(self, job: Job, log: BufferedRandom) -> bool:
        """Take the lock of a log, waiting for it if need be; False if all has to end."""
        if try_lock(log):
            return True
        number = _process_of(job.log)
        if number is not None and not _is_alive(number):
            for left in _left_behind(job.log, number):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(left, signal.SIGKILL)
            number = None
        told = None if number is None else str(number)
        self.events.put(partial(self.watcher.waits, job, told))
        while not self.ending.wait(_POLL):  # flock itself could not be interrupted
            if try_lock(log):
                return True
        return False

    def _started(
        self, job: Job, environment: Mapping[str, str], log: BufferedRandom
    ) -> subprocess.Popen[bytes] | None:
        """Start a run's process, which inherits the lock with the log; None if all has to end."""
        with self.starting, disk(job.log):
            if self.ending.is_set() or self.stop.reason is not None:
                return None
            if not can_go_on(job.place, job.cell.recipe):
                clear(job.place)
            log.truncate(0)
            log.write(f"$ {shlex.join(['nvn', *job.arguments])}\n".encode())
            log.flush()
            process = subprocess.Popen(
                [*self.program, *job.arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # The last lines of a killed run are what explains it.
                env={**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONFAULTHANDLER": "1"}
                | dict(environment),
                start_new_session=True,  # Ctrl-C in the terminal reaches the sweep alone
            )
            self.processes.append(process)
            log.write(f"{_pid_line(process)}\n".encode())
            log.flush()
        return process


# --- the end of a run ---


def _waited(process: subprocess.Popen[bytes], seconds: float | None) -> str:
    """Wait until a run ends; one that hangs is ended. Return what to tell of that, or ""."""
    try:
        process.wait(None if seconds is None else seconds + STARTING)
    except subprocess.TimeoutExpired:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE)
            return f"did not end by itself {STARTING:g} s after the {seconds:g} s that it had"
        _end_group(process.pid)
        process.wait()
        return f"hung: killed {STARTING + _GRACE:g} s after the {seconds:g} s that it had"
    return ""


def _end_group(number: int) -> None:
    """End what a run's process has left behind: it would hold the lock of the run's log."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(number, signal.SIGKILL)


# --- the command of a run ---


def this_program() -> list[str]:
    """Return how to start `nvn` so that it finds what this process finds.

    `python -m` puts the current folder first, and a file `random.py` in it would then break all.
    """
    elsewhere = {*sys.path}.isdisjoint({str(Path.cwd()), ""})
    return [sys.executable, *(["-P"] if elsewhere else []), "-m", "nvn"]


def run_command(cell: Cell, request: Request, accelerator: str, place: Path) -> tuple[str, ...]:
    """Return the arguments of `nvn` that run a cell; they can be typed by hand too."""
    words = ["run", cell.given]
    if request.preset is not None:
        words += ["--preset", request.preset]
    for name, value in cell.settings.items():
        words += ["--set", f"{name}={as_text(value)}"]
    words += ["--seed", str(cell.seed)]
    if request.max_steps is not None:
        words += ["--max-steps", str(request.max_steps)]
    if request.max_time is not None:
        words += ["--max-time", f"{request.max_time:g}s"]
    words += ["--accelerator", accelerator, "--precision", request.precision]
    return (*words, "--out", str(place), "--resume", "auto")


# --- what a log says ---


def _failure(result: Result, process: subprocess.Popen[bytes], log: Path) -> str:
    """Say why a run failed: the error in its folder, else its exit code and last line."""
    code = process.returncode
    if code < 0:
        memory = ": out of memory?" if code == -signal.SIGKILL else ""
        return f"ended by {_signal_name(-code)}{memory}"
    if result.error is not None:
        return result.error
    ours = _pid_line(process)  # it may stand anywhere: the process writes meanwhile
    lines = [line.strip() for line in _tail(log).splitlines()[1:] if line.strip() not in ("", ours)]
    last = lines[-1].removeprefix("error: ") if lines else "no output"
    return f"{last} (exit code {code})"


def _pid_line(process: subprocess.Popen[bytes]) -> str:
    return f"{_PID}{process.pid}"


def _process_of(log: Path) -> int | None:
    """Return the number of the process that a log is of, if it says so."""
    try:
        with log.open(encoding="utf-8", errors="replace") as file:
            lines = file.read(_READ).splitlines()
        return int(next(line.removeprefix(_PID) for line in lines if line.startswith(_PID)))
    except (OSError, ValueError, StopIteration):
        return None


def _is_alive(number: int) -> bool:
    try:
        os.kill(number, 0)  # no signal: asks whether it is there
    except PermissionError:  # it is, and somebody else's
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return True


def _left_behind(log: Path, number: int) -> Iterator[int]:
    """Yield the processes that one which has ended started, and that hold its log: on Linux.

    Both, because a number alone may be anybody's by now, or of another machine.
    """
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            in_group = os.getpgid(int(folder.name)) == number
            if in_group and any(file.samefile(log) for file in (folder / "fd").iterdir()):
                yield int(folder.name)


def _tail(log: Path) -> str:
    try:
        return log.read_bytes()[-_READ:].decode(errors="replace")
    except OSError:
        return ""


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
