"""Locks on files that the system takes back when their holder dies, however it dies.

A lock belongs to the opened file, not to the process: a child that inherits the opened file goes on
holding it when its parent is gone, and so do the children's own children.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedRandom
from pathlib import Path

from nvn.errors import RunError
from nvn.files import disk

__all__ = ["alone", "opened", "try_lock"]


def opened(path: Path) -> BufferedRandom:
    """Open a file for reading and appending, made if need be; what is in it stays."""
    with disk(path, "open"):
        return path.open("a+b")


def try_lock(file: BufferedRandom) -> bool:
    """Take a file's lock until it is closed everywhere; False if somebody else has it.

    Raises:
        RunError: If the system has no such locks.
    """
    try:
        import fcntl
    except ImportError:
        raise RunError("a sweep needs file locks (flock), which this system lacks") from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise RunError(f"cannot lock {file.name!s}: {error.strerror}; use a local disk") from error
    return True


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep a second sweep out of a folder, which is made if need be.

    Raises:
        RunError: If a sweep is at work in it.
    """
    with disk(folder, "create"):
        folder.mkdir(parents=True, exist_ok=True)
    with opened(folder / ".lock") as file:
        if not try_lock(file):
            raise RunError(
                f"another sweep is at work in {folder}: wait until it ends, or choose another "
                "folder by --out"
            )
        yield
