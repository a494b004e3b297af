"""Keeping arrays between runs: one file a key, whole or not at all.

Readers never see half of a file, and of two writers the last wins. Every member of a zip archive
carries a checksum, which reading verifies. What is kept is of a known shape and type; a file of
anything else is not read. Nothing about the files here is ever an error: they are made again.
"""

import io
import math
import os
import time
import warnings
import zipfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import nvn

Array = NDArray[Any]
HEADER = 10_000  # bytes of an array's header, at most
OLD = 24 * 3600  # seconds after which a draft is what a killed run left behind


@dataclass(frozen=True)
class Form:
    """What an array has to be.

    Attributes:
        shape: Its shape.
        dtype: The type of its numbers.
    """

    shape: tuple[int, ...]
    dtype: type[np.generic] = np.uint8

    @property
    def bytes(self) -> int:
        """The bytes of its numbers."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


def default_cache(kind: str = "faces") -> Path | None:
    """Where things of a kind are kept: `$NVN_CACHE/faces`, or `~/.cache/nvn/faces`.

    None where nobody is at home: nothing is kept then.
    """
    if root := os.environ.get("NVN_CACHE"):
        return Path(root) / kind
    with suppress(RuntimeError):
        return Path.home() / ".cache" / "nvn" / kind
    return None


def _tell(message: str) -> None:
    """Warn of something that a person should know, and go on."""
    warnings.warn(message, nvn.NvnWarning, stacklevel=4)


def kept(
    path: Path | None,
    forms: Mapping[str, Form],
    make: Callable[[], dict[str, Array]],
) -> dict[str, Array]:
    """The arrays of a file, or what is made, which is then kept there; without a path, nowhere.

    Warns when the file is damaged or cannot be written.
    """
    arrays = None if path is None else read(path, forms, _tell)
    if arrays is None:
        arrays = make()
        if path is not None:
            write(path, arrays, _tell)
    return arrays


def read(path: Path, forms: Mapping[str, Form], notice: Callable[[str], None]
         ) -> dict[str, Array] | None:  # fmt: skip
    """The arrays of a file; None if there is no file, or, with a notice, if it is damaged.

    forms: what is expected, and all that is read: a file cannot make it larger.
    """
    largest = sum(form.bytes + HEADER for form in forms.values()) + HEADER  # compressed or not
    try:
        if not path.exists() and not path.is_symlink():
            return None
        content = io.BytesIO(nvn.files.read_regular(path, "arrays", largest))
        with zipfile.ZipFile(content) as archive:
            return {name: _member(archive, name, form) for name, form in forms.items()}
    except Exception as error:  # noqa: BLE001  (a file may be odd in any way, and is then nothing)
        said = str(error).partition("\n")[0] or type(error).__name__
        notice(f"{path} cannot be read ({said}); making it again.")
        return None


def _member(archive: zipfile.ZipFile, name: str, form: Form) -> Array:
    """One array of an archive: its header first, and then no more numbers than expected."""
    with archive.open(f"{name}.npy") as file:
        version = np.lib.format.read_magic(file)
        if version != (1, 0):
            raise ValueError(f"{name} is of version {version}")
        shape, by_column, dtype = np.lib.format.read_array_header_1_0(file, HEADER)
        if (shape, by_column, dtype) != (form.shape, False, np.dtype(form.dtype)):
            raise ValueError(f"{name} is {dtype} {shape}, not {np.dtype(form.dtype)} {form.shape}")
        numbers = bytearray(file.read(form.bytes + 1))  # to the end, where its checksum is held
        if len(numbers) != form.bytes:
            raise ValueError(f"{name} has not as many numbers as it says")
    return np.frombuffer(numbers, form.dtype).reshape(form.shape)


def write(path: Path, arrays: Mapping[str, Array], notice: Callable[[str], None]) -> None:
    """Write all or nothing; where that fails (disk full, no permission) say so and go on."""
    try:
        content = io.BytesIO()
        np.savez_compressed(content, allow_pickle=False, **arrays)
        with nvn.files.disk(path.parent, "create"):
            path.parent.mkdir(parents=True, exist_ok=True)
        nvn.files.atomic_write(path, content.getbuffer())
        _sweep(path.parent)
    except (nvn.RunError, MemoryError) as error:
        said = str(error) or "no memory"
        notice(f"Nothing could be kept in {path.parent} ({said}); going on without a cache.")


def _sweep(folder: Path) -> None:
    """Remove the drafts that killed runs left in a folder, of today's kind and of earlier ones."""
    with suppress(OSError):
        for draft in [*folder.glob(".*.npz.*.tmp"), *folder.glob("*.part")]:
            with suppress(OSError):
                if time.time() - draft.lstat().st_mtime > OLD:
                    draft.unlink()
