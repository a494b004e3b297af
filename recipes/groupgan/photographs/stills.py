"""LSEMSW's files: stills of films with weak expressions, one of thirteen each.

Hu, Liu, Yang, Hospedales (2019), "Large-scale subtle emotions and mental states in the wild". How
its archive is laid out is not written there: the two layouts below are our reading.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import nvn

from . import files
from .left_out import LeftOut

Part: TypeAlias = Literal["train", "validation", "test"]

NAME = "LSEMSW"
CLASSES = (
    "happy",
    "anxious",
    "sad",
    "scared",
    "angry",
    "hesitant",
    "indifferent",
    "surprised",
    "arrogant",
    "thinking",
    "helpless",
    "suspicious",
    "questioning",
)
PARTS: dict[Part, tuple[str, ...]] = {
    "train": ("train",),
    "validation": ("val", "validation"),
    "test": ("test",),
}
LAYOUT = files.indented(
    "ROOT/train/happy/….jpg, ROOT/val/…, ROOT/test/…   a folder for each part and expression, or",
    "ROOT/train.txt, ROOT/val.txt, ROOT/test.txt       lists of `path expression`, a line each",
)


@dataclass(frozen=True)
class Still:
    """A picture of the set: its file, its class, and the part of the set it belongs to."""

    path: Path
    label: int
    part: Part


def find(root: Path, left_out: LeftOut) -> list[Still]:
    """List the pictures of LSEMSW in a folder.

    Raises:
        DataError: If it is not there.
    """
    files.require(root, NAME, LAYOUT)
    stills: list[Still] = []
    for part in PARTS:
        stills += _listed(root, part, left_out) or _in_folders(root, part, left_out)
    if not stills:
        raise files.misplaced(root, NAME, LAYOUT)
    return stills


def _listed(root: Path, part: Part, left_out: LeftOut) -> list[Still]:
    """The pictures that the list of a part names."""
    for name in PARTS[part]:
        file = root / f"{name}.txt"
        if file.is_file():
            return list(_lines(root, file, part, left_out))
    return []


def _lines(root: Path, file: Path, part: Part, left_out: LeftOut) -> Iterator[Still]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise nvn.DataError(f"{file} cannot be read: {error}") from error
    for line in filter(None, map(str.strip, lines)):
        path, *name = line.rsplit(maxsplit=1)
        label = _label(name[0]) if name else None
        if label is None:
            left_out.add("of no known expression", root / line)
        else:
            yield Still(root / path, label, part)


def _in_folders(root: Path, part: Part, left_out: LeftOut) -> list[Still]:
    """The pictures in the folders of a part, one for each expression."""
    top = files.within(root, *PARTS[part])
    stills: list[Still] = []
    for folder in files.folders(top) if top else ():
        label = _label(folder.name)
        if label is None:
            left_out.add("of no known expression", folder)
        else:
            stills += [Still(path, label, part) for path in files.pictures(folder)]
    return stills


def _label(name: str) -> int | None:
    """The class of a name; a number counts from 0 in the order of CLASSES."""
    known = name.casefold()
    if known.isdecimal() and int(known) < len(CLASSES):
        return int(known)
    return CLASSES.index(known) if known in CLASSES else None
