"""Keeping arrays between runs: one file a key, whole or not at all.

Readers never see half of a file, and of two writers the last wins. Every member of a zip archive
carries a checksum, which reading verifies.
"""

import io
import os
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import nvn

Array = NDArray[Any]
TORN = (
    OSError,
    ValueError,
    KeyError,
    EOFError,
    zipfile.BadZipFile,
    zlib.error,
    NotImplementedError,
)


def default_cache(kind: str = "faces") -> Path:
    """Where things of a kind are kept: `$NVN_CACHE/faces`, or `~/.cache/nvn/faces`."""
    root = os.environ.get("NVN_CACHE")
    return (Path(root) if root else Path.home() / ".cache" / "nvn") / kind


def read(path: Path, names: tuple[str, ...], notice: Callable[[str], None]
         ) -> dict[str, Array] | None:  # fmt: skip
    """The named arrays of a file; None if there is no file, or, with a notice, if it is damaged."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as data:
            return {name: data[name] for name in names}
    except FileNotFoundError:
        return None
    except TORN as error:
        notice(f"{path} cannot be read ({error}); making it again.")
        return None


def write(path: Path, arrays: Mapping[str, Array], notice: Callable[[str], None]) -> None:
    """Write all or nothing; where that fails (disk full, no permission) say so and go on."""
    content = io.BytesIO()
    np.savez_compressed(content, allow_pickle=False, **arrays)
    try:
        with nvn.files.disk(path.parent, "create"):
            path.parent.mkdir(parents=True, exist_ok=True)
        nvn.files.atomic_write(path, content.getvalue())
    except nvn.RunError as error:
        notice(f"Nothing could be kept in {path.parent} ({error}); going on without a cache.")
