"""CK+ and Oulu-CASIA together, by the six expressions that both have (Niu et al. 2022, Table 1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..rendered.rig import EXPRESSIONS
from . import ckplus, files, oulu
from .ckplus import IMAGES, CKPlus
from .left_out import LeftOut
from .oulu import VISIBLE, OuluCasia
from .sequences import Film, FilmSet

NAME = "The mix of CK+ and Oulu-CASIA"
LAYOUT = f"{ckplus.LAYOUT}\n{oulu.LAYOUT}\n    (each may lie in a folder of its own in ROOT)"


@dataclass(frozen=True)
class Mix(FilmSet):
    """Both sets, beneath one folder. Nobody of one is taken for somebody of the other."""

    name: ClassVar[str] = NAME
    layout: ClassVar[str] = LAYOUT

    @property
    def classes(self) -> tuple[str, ...]:
        """The six expressions that both sets have."""
        return EXPRESSIONS

    def find(self, left_out: LeftOut) -> list[Film]:
        """List the films beneath the root.

        Raises:
            DataError: If the set is not there.
        """
        files.require(self.root, NAME, LAYOUT)
        if not (files.beneath(self.root, IMAGES) and files.beneath(self.root, VISIBLE)):
            raise files.misplaced(self.root, NAME, LAYOUT)
        settings = (self.root, self.side, self.crop, self.first, self.last)
        films = [*CKPlus(*settings).find(left_out), *OuluCasia(*settings).find(left_out)]
        return [film for film in films if film.expression in EXPRESSIONS]
