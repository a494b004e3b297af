"""File locks (flock) that the system releases when their holder dies, however it dies.

A lock belongs to the open file description, not to the process: a child that inherits it keeps the
lock when its parent is gone, and so do the child's own children.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedRandom
from pathlib import Path

from nvn.errors import RunError
from nvn.files import disk

__all__ = ["exclusive", "opened", "try_lock"]


def opened(path: Path) -> BufferedRandom:
    """Open a file for reading and appending; it is created if missing."""
    with disk(path, "open"):
        return path.open("a+b")


def try_lock(file: BufferedRandom) -> bool:
    """Lock a file until all its descriptors are closed; False if it is locked already.

    Raises:
        RunError: If the system or the file system does not support such locks.
    """
    try:
        import fcntl
    except ImportError:
        raise RunError(
            "a sweep needs file locks (flock), which this system does not have"
        ) from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise RunError(f"cannot lock {file.name!s}: {error.strerror}; use a local disk") from error
    return True


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Lock a folder against a second sweep; it is created if missing.

    Raises:
        RunError: If another sweep is running in it.
    """
    with disk(folder, "create"):
        folder.mkdir(parents=True, exist_ok=True)
    with opened(folder / ".lock") as file:
        if not try_lock(file):
            raise RunError(
                f"another sweep is running in {folder}: wait until it ends, or choose another "
                "folder with --out"
            )
        yield
