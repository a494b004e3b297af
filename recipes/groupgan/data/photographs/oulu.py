"""Oulu-CASIA: films of six posed expressions; here those in visible light, well lit.

Zhao, Huang, Taini, Li, Pietikäinen (2011), "Facial expression recognition from near-infrared
videos", Image and Vision Computing 29(9).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ..rendered.rig import EXPRESSIONS
from . import files
from .left_out import LeftOut
from .sequences import Film, FilmSet, Frames

NAME = "Oulu-CASIA"
VISIBLE = "VL"  # light, in contrast to NI, near infrared
LAYOUT = files.indented(
    "ROOT/VL/Strong/P001/Anger/000.jpeg",
    "and so on: Anger Disgust Fear Happiness Sadness Surprise",
)


@dataclass(frozen=True)
class OuluCasia(FilmSet):
    """Oulu-CASIA as it is distributed, its part VL/Strong: normal illumination."""

    name: ClassVar[str] = NAME
    layout: ClassVar[str] = LAYOUT

    @property
    def classes(self) -> tuple[str, ...]:
        """The six expressions."""
        return EXPRESSIONS

    def find(self, left_out: LeftOut) -> list[Film]:
        """List the films beneath the root.

        Raises:
            DataError: If the set is not there.
        """
        files.require(self.root, NAME, LAYOUT)
        visible = files.beneath(self.root, VISIBLE)
        strong = visible and files.within(visible, "Strong")
        if strong is None:
            raise files.misplaced(self.root, NAME, LAYOUT)
        return list(_films(strong, self.frames, left_out))


def _films(strong: Path, frames: Frames, left_out: LeftOut) -> Iterator[Film]:
    tree = files.Tree(strong, left_out, shared=True)
    for person in tree.folders(strong):
        for folder in tree.folders(person):
            expression = folder.name.casefold()
            chosen = frames.choose(tree.pictures(folder))
            if expression not in EXPRESSIONS:
                left_out.add("of no known expression", folder)
            elif chosen is None:
                left_out.add(frames.too_short, folder)
            else:
                yield Film(f"{NAME} {person.name}", expression, chosen)
