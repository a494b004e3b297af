"""The extended Cohn-Kanade set, CK+: films of posed expressions, from neutral to peak.

Lucey, Cohn, Kanade, Saragih, Ambadar, Matthews (2010), "The extended Cohn-Kanade dataset (CK+)",
CVPR workshops.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import nvn
from nvn.folders import LeftOut

from ..rendered.rig import EXPRESSIONS
from . import files
from .sequences import Film, FilmSet

IMAGES = "cohn-kanade-images"
LABELS = "Emotion"
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


@dataclass(frozen=True)
class CKPlus(FilmSet):
    """CK+ as it is distributed; of its 593 films, those with a label."""

    name: ClassVar[str] = "CK+"
    layout: ClassVar[str] = files.indented(
        "ROOT/cohn-kanade-images/S005/001/S005_001_00000001.png",
        "ROOT/Emotion/S005/001/S005_001_00000011_emotion.txt",
    )
    unlabeled: ClassVar[str] = "without a label from 1 to 7"

    @property
    def classes(self) -> tuple[str, ...]:
        """The seven expressions, contempt last."""
        return (*EXPRESSIONS, "contempt")

    def find(self, left_out: LeftOut) -> list[Film]:
        """List the films beneath the root."""
        images, labels = self.beneath(IMAGES, LABELS)
        return self.films(
            images, lambda folder: _emotion(labels / folder.relative_to(images)), left_out
        )


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
