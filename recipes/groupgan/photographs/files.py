"""Finding pictures in folders, whatever their spelling, and saying so where there are none."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

import nvn

# HEIC is not read without a plugin of Pillow's; better that its file is named than passed over.
ENDINGS = frozenset(
    (
        *(".avif", ".bmp", ".gif", ".heic", ".heif", ".jfif", ".jpe", ".jpeg", ".jpg"),
        *(".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"),
    )
)
SHOWN = 8  # of what is in a folder


def natural(path: Path) -> list[tuple[int, int, str]]:
    """Return a key by which names are in the order that people count in: 2 before 10."""
    parts = re.split(r"(\d+)", path.name.casefold())
    return [(1, int(part), "") if part.isdecimal() else (0, 0, part) for part in parts]


def seen(folder: Path) -> list[Path]:
    """Return what is in a folder, in natural order; hidden files are passed over.

    Raises:
        DataError: If it may not be read.
    """
    try:
        return sorted((p for p in folder.iterdir() if not p.name.startswith(".")), key=natural)
    except OSError as error:
        raise nvn.DataError(f"{folder} cannot be read: {error.strerror or error}") from error


def folders(folder: Path) -> list[Path]:
    """Return the folders in a folder, links to folders among them."""
    return [path for path in seen(folder) if path.is_dir()]


def pictures(folder: Path) -> list[Path]:
    """Return the picture files in a folder, known by their endings in any case."""
    return [p for p in seen(folder) if p.suffix.casefold() in ENDINGS and not p.is_dir()]


def within(folder: Path, *names: str) -> Path | None:
    """Return the folder of one of the names, in any case, or None."""
    known = {path.name.casefold(): path for path in reversed(folders(folder))}
    return next((known[name.casefold()] for name in names if name.casefold() in known), None)


def beneath(root: Path, name: str) -> Path | None:
    """Return the folder of a name in `root` or in a folder of it, or None.

    An archive may have been unpacked into a folder of its own, or the root be one level too high.
    """
    if found := within(root, name):
        return found
    for folder in folders(root):
        with suppress(nvn.DataError):  # a neighbour that nobody may look into
            if found := within(folder, name):
                return found
    return None


def require(root: Path, name: str, layout: str) -> None:
    """Refuse a root that is no folder.

    Raises:
        DataError: It says what was expected there.
    """
    if not root.is_dir():
        what = "it is a file" if root.exists() else "there is no such folder"
        raise misplaced(root, name, layout, what)


def misplaced(root: Path, name: str, layout: str, found: str = "") -> nvn.DataError:
    """Return the error that a data set is not in its root: what is, and what should be.

    Args:
        root: The folder it was looked for in.
        name: The data set.
        layout: The paths expected, a line each, beginning with ROOT.
        found: What is there instead; by default the names of what is.
    """
    return nvn.DataError(
        f"{name} was looked for in {root}, but {found or _contents(root)}.\n"
        f"expected:\n{layout}\n"
        "to mend it: --set root=FOLDER, the folder that is called ROOT here"
    )


def _contents(root: Path) -> str:
    names = [path.name + "/" * path.is_dir() for path in seen(root)]
    if not names:
        return "that folder is empty"
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"what is there is {', '.join(names[:SHOWN])}{more}"


def indented(*lines: str) -> str:
    """Return the lines of a layout as messages show them."""
    return "\n".join(f"    {line}" for line in lines)
