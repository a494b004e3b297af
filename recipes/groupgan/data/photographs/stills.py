"""LSEMSW's files: stills of films with weak expressions, one of thirteen each.

Hu, Liu, Yang, Hospedales (2019), "Large-scale subtle emotions and mental states in the wild". How
its archive is laid out is not written there: the two layouts below are our reading.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from nvn.folders import LeftOut

from . import files

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
DIGITS = 2  # of a class's number, at most
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
        listed = _listed(root, part, left_out)
        stills += _in_folders(root, part, left_out) if listed is None else listed
    if not stills:
        raise left_out.nothing_left(LAYOUT) if left_out else files.misplaced(root, NAME, LAYOUT)
    return stills


def _listed(root: Path, part: Part, left_out: LeftOut) -> list[Still] | None:
    """The pictures that the list of a part names; None if there is no list."""
    for name in PARTS[part]:
        file = root / f"{name}.txt"
        if file.exists():
            return list(_lines(root, files.text(file, "list"), part, left_out))
    return None


def _lines(root: Path, text: str, part: Part, left_out: LeftOut) -> Iterator[Still]:
    for line in filter(None, map(str.strip, text.splitlines())):
        path, *name = line.rsplit(maxsplit=1)
        label = _label(name[0]) if name else None
        if label is None:
            left_out.add("of no known expression", root / line)
        else:
            yield Still(root / path, label, part)


def _in_folders(root: Path, part: Part, left_out: LeftOut) -> list[Still]:
    """The pictures in the folders of a part, one for each expression."""
    top = files.within(root, *PARTS[part])
    tree = files.Tree(root, left_out)
    stills: list[Still] = []
    for folder in tree.folders(top) if top else ():
        label = _label(folder.name)
        if label is None:
            left_out.add("of no known expression", folder)
        else:
            stills += [Still(path, label, part) for path in tree.pictures(folder)]
    return stills


def _label(name: str) -> int | None:
    """The class of a name; a number counts from 0 in the order of CLASSES."""
    known = name.casefold()
    if known.isdecimal() and len(known) <= DIGITS and int(known) < len(CLASSES):
        return int(known)
    return CLASSES.index(known) if known in CLASSES else None
