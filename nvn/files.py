"""Files written whole or not at all; the system's errors about them, as one clear RunError."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nvn.errors import RunError

__all__ = ["atomic_write", "disk"]


@contextmanager
def disk(path: Path, doing: str = "write") -> Iterator[None]:
    """Turn the system's errors about a path into one clear RunError.

    >>> with disk(Path("missing/notes.txt"), "read"):
    ...     Path("missing/notes.txt").read_text()
    Traceback (most recent call last):
    nvn.errors.RunError: cannot read missing/notes.txt: No such file or directory
    """
    try:
        yield
    except OSError as error:
        raise RunError(f"cannot {doing} {path}: {error.strerror or error}") from error


def atomic_write(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or, if anything goes wrong, as it was before.

    The file is written beside its final place and renamed. Readers never see half of one, and of
    two processes that write it the last one wins.

    Raises:
        RunError: If the disk is full, or the folder cannot be written.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     atomic_write(Path(folder, "notes.txt"), b"whole")
    ...     [(path.name, path.read_bytes()) for path in Path(folder).iterdir()]
    [('notes.txt', b'whole')]
    """
    # Each writer has a draft of its own. A process's number would not do: on one network disk two
    # containers may both be process 1.
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    with disk(path):
        try:
            with draft.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())  # else a crash may keep the new name and lose the content
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
