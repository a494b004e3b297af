"""The names of results: none is given twice, and each can be written down."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path

from nvn.apply.page import PAGE_NAME
from nvn.folders import MADE_BY_US, PictureFile

__all__ = ["SHEET", "places", "spelled"]

SHEET = "contact-sheet"
_IS_OURS = re.compile(
    rf"{SHEET}(-\d+)?\.png|{re.escape(MADE_BY_US)}|{re.escape(PAGE_NAME)}", re.IGNORECASE
)
# Of a result's name; file systems allow 255, and a temporary file's name is longer.
_NAME_BYTES = 150


def places(pictures: Iterable[PictureFile], application: str) -> dict[PictureFile, Path]:
    """Return a unique path for each result, relative to the folder and without ".png".

    Paths differ in more than case, and in more than how accents are encoded, since some file
    systems ignore these. None is that of a folder that other results need.
    """
    pictures = list(pictures)
    folders = {picture.place.parent: _folder(picture.place.parent) for picture in pictures}
    taken = {_alike(each) for folder in folders.values() for each in (folder, *folder.parents)}
    found = {}
    for picture in pictures:
        for stem in _stems(picture.place):
            place = folders[picture.place.parent] / f"{stem}-{application}"
            ours = {_alike(f"{place}.png"), _alike(f"{place}-compared.png")}
            if not ours & taken and not _IS_OURS.fullmatch(f"{place}.png"):
                break
        taken |= ours
        found[picture] = place
    return found


def _folder(place: Path) -> Path:
    """Return the folder of results; one named as a file of ours is, is renamed."""
    first = place.parts[:1]
    return (
        Path(f"{first[0]}_", *place.parts[1:]) if first and _IS_OURS.fullmatch(first[0]) else place
    )


def _alike(path: Path | str) -> str:
    return unicodedata.normalize("NFC", str(path)).casefold()


def _stems(place: Path) -> Iterator[str]:
    """Yield candidate names for a file's result, in order: a, a.jpg, a_2."""
    stem = _shortened(place.stem)
    yield from (stem, _shortened(place.name))
    yield from (f"{stem}_{number}" for number in count(2))


def _shortened(stem: str) -> str:
    while len(stem.encode("utf-8", "surrogateescape")) > _NAME_BYTES:
        stem = stem[:-1]
    return stem


def spelled(path: Path) -> str:
    """Return a path in letters that can be printed, so that no two paths are spelled alike."""
    text = path.as_posix().replace("\\", "\\\\")
    text = os.fsencode(text).decode("utf-8", "backslashreplace")
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )
