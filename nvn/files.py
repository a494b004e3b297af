"""Files: only regular ones are read, writes are atomic, and OSErrors turned into RunErrors."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

from nvn.errors import RunError

__all__ = [
    "MOST_BYTES",
    "atomic_write",
    "content_of",
    "disk",
    "open_regular",
    "read_regular",
    "sync_folder",
]

MOST_BYTES = 2**24  # of a file of text that a person writes, such as a recipe


@contextmanager
def disk(path: Path, doing: str = "write") -> Iterator[None]:
    """Turn an OSError about a path into a RunError.

    >>> with disk(Path("missing/notes.txt"), "read"):
    ...     Path("missing/notes.txt").read_text()
    Traceback (most recent call last):
    nvn.errors.RunError: cannot read missing/notes.txt: No such file or directory
    """
    try:
        yield
    except OSError as error:
        raise RunError(f"cannot {doing} {path}: {error.strerror or error}") from error


def open_regular(path: Path) -> BufferedReader:
    """Open a file for reading; a pipe or a device is none: reading it might never end.

    Raises:
        OSError: It is missing, cannot be read, or is no regular file.

    >>> open_regular(Path("."))
    Traceback (most recent call last):
    OSError: [Errno 22] it is no regular file: '.'
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", str(path))
        return path.open("rb")
    except ValueError as error:  # a null character
        raise OSError(errno.EINVAL, f"no file has such a name ({error})", str(path)) from error


def content_of(path: Path, most: int | None = MOST_BYTES) -> bytes:
    """Return the content of a regular file.

    Args:
        path: The file.
        most: The bytes that it has at most; None for any number.

    Raises:
        OSError: It is missing, cannot be read, is too large, or is no regular file.

    >>> content_of(Path("missing.py"))
    Traceback (most recent call last):
    FileNotFoundError: [Errno 2] No such file or directory: 'missing.py'
    """
    with open_regular(path) as file:
        content = file.read() if most is None else file.read(most + 1)
    if most is not None and len(content) > most:
        raise OSError(errno.EFBIG, f"it is too large: expected {most:,} bytes at most", str(path))
    return content


def read_regular(path: Path, what: str, most: int | None = None) -> bytes:
    """Return the content of a regular file, as `content_of` does.

    Args:
        path: The file.
        what: What it has, for the error's text.
        most: The bytes that it has at most; None for any number.

    Raises:
        RunError: It is missing, cannot be read, is too large, or is no regular file.

    >>> read_regular(Path("missing.safetensors"), "weights")
    Traceback (most recent call last):
    nvn.errors.RunError: there are no weights at missing.safetensors
    """
    try:
        return content_of(path, most)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise RunError(f"there are no {what} at {path}") from error
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror or error}") from error


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk: else a crash may take back a rename.

    >>> sync_folder(Path.cwd())
    """
    if os.name == "nt":  # a folder cannot be opened there; NTFS keeps renames in a journal
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def atomic_write(path: Path, content: bytes | memoryview) -> None:
    """Write a file atomically: if anything fails, it stays as it was before.

    A draft beside the file is written and renamed: readers never see half of it, and of two
    processes that write it the last one wins.

    Raises:
        RunError: If the disk is full, the folder is not writable, or `path` is a folder.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     atomic_write(Path(folder, "notes.txt"), b"whole")
    ...     [(path.name, path.read_bytes()) for path in Path(folder).iterdir()]
    [('notes.txt', b'whole')]
    """
    # Each writer has a draft of its own. A process id would not do: on one network disk two
    # containers may both be process 1.
    if not path.name or path.is_dir():
        raise RunError(f"cannot write {path}: it is a folder")
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    with disk(path):
        try:
            with draft.open("xb") as file:  # never through a link that somebody has put there
                file.write(content)
                file.flush()
                os.fsync(file.fileno())  # else a crash may keep the new name and lose the content
            draft.replace(path)
            sync_folder(path.parent)
        finally:
            draft.unlink(missing_ok=True)
