"""A folder of one's own pictures, a folder for each person and expression."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from nvn.folders import LeftOut

from ..rendered.rig import EXPRESSIONS
from . import files
from .sequences import Film, FilmSet

INCOMPLETE = "named neutral, weak or peak, but without a weak picture or a peak"


@dataclass(frozen=True)
class Folder(FilmSet):
    """ROOT/PERSON/EXPRESSION[/SEQUENCE]/pictures.

    In a folder with a picture whose name begins with neutral, weak or peak, pictures are what their
    names say. Otherwise they are a film's frames, in natural order (2 before 10): the first is
    neutral, the last is the peak, and the weak ones are numbered `first` to `last`.
    """

    name: ClassVar[str] = "A data set of one's own"
    layout: ClassVar[str] = files.indented(
        "ROOT/PERSON/EXPRESSION/frame1.png …               a film, in natural order, or",
        "ROOT/PERSON/EXPRESSION/neutral.png weak1.png … peak.png   (neutral may be missing)",
        "ROOT/PERSON/EXPRESSION/SEQUENCE/…                 several of either",
    )

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The expressions found, in small letters; those of the rendered faces come first.

        Raises:
            DataError: If there are no folders for people and expressions.
        """
        self.beneath()
        tree = files.Tree(self.root, self.unsaid())
        found = {
            expression.name.casefold()
            for person in tree.folders(self.root)
            for expression in tree.folders(person)
        }
        if not found:
            raise self.misplaced()
        return (*(e for e in EXPRESSIONS if e in found), *sorted(found - set(EXPRESSIONS)))

    def find(self, left_out: LeftOut) -> list[Film]:
        """List the films beneath the root."""
        self.beneath()
        return list(self._films(left_out))

    def _films(self, left_out: LeftOut) -> Iterator[Film]:
        tree = files.Tree(self.root, left_out, shared=True)
        for person in tree.folders(self.root):
            for expression in tree.folders(person):
                within = [expression, *tree.inside(expression).folders]
                shot = {folder: shown for folder in within if (shown := tree.pictures(folder))}
                if not shot:
                    left_out.add("without pictures", expression)
                for folder, pictures in shot.items():
                    film = self._film(person.name, expression.name.casefold(), pictures)
                    if isinstance(film, Film):
                        yield film
                    else:
                        left_out.add(film, folder)

    def _film(self, person: str, expression: str, pictures: Sequence[Path]) -> Film | str:
        """The film of pictures, or the reason that there is none."""
        neutral, weak, peak = (_named(pictures, role) for role in ("neutral", "weak", "peak"))
        if not (neutral or weak or peak):
            chosen = self.chosen(pictures)
            return self.too_short if chosen is None else Film(person, expression, chosen)
        if not (weak and peak):
            return INCOMPLETE
        return Film(person, expression, (*neutral[:1], *weak, peak[-1]), neutral=bool(neutral))


def _named(pictures: Sequence[Path], role: str) -> list[Path]:
    return [picture for picture in pictures if picture.name.casefold().startswith(role)]
