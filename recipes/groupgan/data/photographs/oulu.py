"""Oulu-CASIA: films of six posed expressions; here those in visible light, well lit.

Zhao, Huang, Taini, Li, Pietikäinen (2011), "Facial expression recognition from near-infrared
videos", Image and Vision Computing 29(9).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from nvn.folders import LeftOut

from ..rendered.rig import EXPRESSIONS
from . import files
from .sequences import Film, FilmSet

VISIBLE = "VL"  # light, in contrast to NI, near infrared


@dataclass(frozen=True)
class OuluCasia(FilmSet):
    """Oulu-CASIA as it is distributed, its part VL/Strong: normal illumination."""

    name: ClassVar[str] = "Oulu-CASIA"
    layout: ClassVar[str] = files.indented(
        "ROOT/VL/Strong/P001/Anger/000.jpeg",
        "and so on: Anger Disgust Fear Happiness Sadness Surprise",
    )
    unlabeled: ClassVar[str] = "of no known expression"

    @property
    def classes(self) -> tuple[str, ...]:
        """The six expressions."""
        return EXPRESSIONS

    def find(self, left_out: LeftOut) -> list[Film]:
        """List the films beneath the root."""
        (visible,) = self.beneath(VISIBLE)
        strong = files.within(visible, "Strong")
        if strong is None:
            raise self.misplaced()
        return self.films(strong, _expression, left_out)


def _expression(folder: Path) -> str | None:
    name = folder.name.casefold()
    return name if name in EXPRESSIONS else None
