"""The extended Cohn-Kanade set, CK+: films of posed expressions, from neutral to peak.

Lucey, Cohn, Kanade, Saragih, Ambadar, Matthews (2010), "The extended Cohn-Kanade dataset (CK+)",
CVPR workshops.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import nvn

from ..rendered.rig import EXPRESSIONS
from . import files
from .left_out import LeftOut
from .sequences import Film, FilmSet, Frames

NAME = "CK+"
IMAGES = "cohn-kanade-images"
LABELS = "Emotion"
LAYOUT = files.indented(
    "ROOT/cohn-kanade-images/S005/001/S005_001_00000001.png",
    "ROOT/Emotion/S005/001/S005_001_00000011_emotion.txt",
)
EMOTIONS: Mapping[float, str] = {  # the numbers that the files hold; 0, neutral, is no expression
    1: "anger",
    2: "contempt",
    3: "disgust",
    4: "fear",
    5: "happiness",
    6: "sadness",
    7: "surprise",
}
LABEL = 1024  # bytes of the file of a label, at most
UNLABELED = "without a label from 1 to 7"


@dataclass(frozen=True)
class CKPlus(FilmSet):
    """CK+ as it is distributed; of its 593 films, those with a label."""

    name: ClassVar[str] = NAME
    layout: ClassVar[str] = LAYOUT

    @property
    def classes(self) -> tuple[str, ...]:
        """The seven expressions, contempt last."""
        return (*EXPRESSIONS, "contempt")

    def find(self, left_out: LeftOut) -> list[Film]:
        """List the films beneath the root.

        Raises:
            DataError: If the set is not there.
        """
        files.require(self.root, NAME, LAYOUT)
        images, labels = files.beneath(self.root, IMAGES), files.beneath(self.root, LABELS)
        if images is None or labels is None:
            raise files.misplaced(self.root, NAME, LAYOUT)
        return list(_films(images, labels, self.frames, left_out))


def _films(images: Path, labels: Path, frames: Frames, left_out: LeftOut) -> Iterator[Film]:
    tree = files.Tree(images, left_out, shared=True)
    for person in tree.folders(images):
        for folder in tree.folders(person):
            emotion = _emotion(labels / person.name / folder.name)
            chosen = frames.choose(tree.pictures(folder))
            if emotion is None:
                left_out.add(UNLABELED, folder)
            elif chosen is None:
                left_out.add(frames.too_short, folder)
            else:
                yield Film(f"{NAME} {person.name}", emotion, chosen)


def _emotion(folder: Path) -> str | None:
    """The emotion that the one file in a folder names; None if there is no such file."""
    with suppress(nvn.DataError):  # what cannot be read is no label
        for file in files.seen(folder):
            if file.name.casefold().endswith("_emotion.txt"):
                return _parsed(files.text(file, "label", LABEL))
    return None


def _parsed(text: str) -> str | None:
    try:
        return EMOTIONS.get(float(text))  # "   3.0000000e+00"
    except ValueError:
        return None
