"""CK+ and Oulu-CASIA together, by the six expressions that both have (Niu et al. 2022, Table 1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nvn.folders import LeftOut

from ..rendered.rig import EXPRESSIONS
from . import files
from .ckplus import IMAGES, CKPlus
from .oulu import VISIBLE, OuluCasia
from .sequences import Film, FilmSet


@dataclass(frozen=True)
class Mix(FilmSet):
    """Both sets, beneath one folder. Nobody of one is taken for somebody of the other."""

    name: ClassVar[str] = "The mix of CK+ and Oulu-CASIA"
    layout: ClassVar[str] = "\n".join(
        (
            CKPlus.layout,
            OuluCasia.layout,
            files.indented("(each may lie in a folder of its own in ROOT)"),
        )
    )

    @property
    def classes(self) -> tuple[str, ...]:
        """The six expressions that both sets have."""
        return EXPRESSIONS

    def find(self, left_out: LeftOut) -> list[Film]:
        """List the films beneath the root."""
        self.beneath(IMAGES, VISIBLE)
        settings = (self.root, self.side, self.crop, self.first, self.last)
        films = [*CKPlus(*settings).find(left_out), *OuluCasia(*settings).find(left_out)]
        return [film for film in films if film.expression in EXPRESSIONS]
