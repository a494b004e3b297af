"""Killing a run for real: in a child of this process, at a chosen moment, by SIGKILL."""

import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

FILE_EVENTS = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate")


def in_child(work: Callable[[], object]) -> int:
    """Do some work in a child of this process; return its exit code, −9 if it was killed."""
    child = os.fork()
    if child == 0:  # nothing of the tests' may run in here: no fixtures, no exit handlers
        code = 1
        try:
            work()
            code = 0
        except BaseException:  # noqa: BLE001  (it is a process of its own that ends here)
            traceback.print_exc()
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def die() -> None:
    """End this process as the system does when memory runs out."""
    os.kill(os.getpid(), signal.SIGKILL)


def die_at_file_event(number: int, folder: Path) -> None:
    """Kill this process at the `number`-th time that it opens, makes, renames or removes a file."""
    left = [number]

    def hear(event: str, args: tuple[Any, ...]) -> None:
        if event in FILE_EVENTS and args and str(args[0]).startswith(str(folder)):
            left[0] -= 1
            if left[0] == 0:
                die()

    sys.addaudithook(hear)  # it cannot be removed again: for children only


def file_events(work: Callable[[], object], folder: Path) -> int:
    """Return how many such events there are in some work, done in a child."""
    reading, writing = os.pipe()

    def counted() -> None:
        count = [0]

        def hear(event: str, args: tuple[Any, ...]) -> None:
            if event in FILE_EVENTS and args and str(args[0]).startswith(str(folder)):
                count[0] += 1

        sys.addaudithook(hear)
        work()
        os.write(writing, str(count[0]).encode())

    assert in_child(counted) == 0
    os.close(writing)
    with os.fdopen(reading) as pipe:
        return int(pipe.read())
