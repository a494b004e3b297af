"""Sequences of frames, from a neutral face to an expression's peak, as pairs."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

import nvn
from nvn.folders import LeftOut

from ..pairs import Pairs
from . import files
from .reading import read_groups
from .source import PhotoSet


@dataclass(frozen=True)
class Film:
    """A person who comes to show an expression.

    Attributes:
        subject: Who it is.
        expression: The name of the expression.
        files: The weak pictures, weakest first, then the peak; the neutral one first if there is.
        neutral: Whether there is a neutral one.
    """

    subject: str
    expression: str
    files: tuple[Path, ...]
    neutral: bool = True

    @property
    def weak(self) -> range:
        """Which of the files are weak."""
        return range(int(self.neutral), len(self.files) - 1)


@dataclass(frozen=True)
class FilmSet(PhotoSet):
    """A data set of films. The first frame of each is neutral, the last is the peak.

    Attributes:
        first: The first weak frame, counted from 1.
        last: The last weak frame. A film that does not go on after it is too short.
    """

    first: int = 6
    last: int = 8

    unlabeled: ClassVar[str]  # the reason that a film without an expression is left out for

    def __post_init__(self) -> None:
        if not 2 <= self.first <= self.last:
            raise nvn.ConfigError(
                f"frames {self.first} to {self.last} cannot be the weak ones: frame 1 is neutral, "
                "so set first_weak to 2 or more, and last_weak to first_weak or more"
            )

    @property
    def too_short(self) -> str:
        """The reason that a film is left out for."""
        return f"too short (fewer than {self.last + 1} frames)"

    def chosen(self, frames: Sequence[Path]) -> tuple[Path, ...] | None:
        """Return the neutral frame, the weak ones and the peak; None of a film too short."""
        if len(frames) <= self.last:
            return None
        return (frames[0], *frames[self.first - 1 : self.last], frames[-1])

    def films(
        self, top: Path, expression: Callable[[Path], str | None], left_out: LeftOut
    ) -> list[Film]:
        """List the films in a folder of people, a folder for each film.

        Args:
            top: The folder.
            expression: Tells the expression of a film's folder, or None.
            left_out: Where it is written down what is left out.
        """
        films = []
        tree = files.Tree(top, left_out, shared=True)
        for person in tree.folders(top):
            for folder in tree.folders(person):
                shown, frames = expression(folder), self.chosen(tree.pictures(folder))
                if shown is None:
                    left_out.add(self.unlabeled, folder)
                elif frames is None:
                    left_out.add(self.too_short, folder)
                else:
                    films.append(Film(f"{self.name} {person.name}", shown, frames))
        return films

    @abstractmethod
    def find(self, left_out: LeftOut) -> list[Film]:
        """List the films, and write down what has to be left out.

        Raises:
            DataError: If the set is not in its folder.
        """

    def every(self, left_out: LeftOut) -> Pairs:
        """Return every pair, and write down what has to be left out."""
        return self._pairs(self.find(left_out), left_out)

    def sample(self, count: int) -> Pairs:
        """Return the pairs of the first films, `count` or a few more."""
        unsaid = self.unsaid()
        films = self.find(unsaid)
        taken = _enough(films, count)
        while taken < len(films):
            pairs = self._pairs(films[:taken], unsaid)
            if len(pairs) >= count:
                return pairs
            taken += _enough(films[taken:], count)  # some could not be read
        return self._pairs(films, unsaid) or self.read()  # which says why there are none

    def _pairs(self, films: Sequence[Film], left_out: LeftOut) -> Pairs:
        groups = [film.files for film in films]
        return paired(films, self.classes, *read_groups(groups, self.side, self.crop, left_out))


def _enough(films: Sequence[Film], count: int) -> int:
    """How many of the first films have `count` weak frames together; all, if they have fewer."""
    weak = accumulate(len(film.weak) for film in films)
    enough = (taken for taken, so_far in enumerate(weak, start=1) if so_far >= count)
    return next(enough, len(films))


def paired(
    films: Sequence[Film], classes: tuple[str, ...], pictures: Tensor, good: Tensor
) -> Pairs:
    """Return films as pairs: each weak frame with the peak of its film.

    People are numbered in the order in which they come. The pairs know neutral pictures if every
    film has one.

    Args:
        films: The films.
        classes: The expressions.
        pictures: Their frames, (P, 3, S, S) uint8.
        good: Which of the frames can be used, (P,) bool. A film without its peak, or its neutral
            picture, is left out.
    """
    rows: list[tuple[int, int, int, int, int]] = []
    people: dict[str, int] = {}
    start = 0
    for film in films:
        end = start + len(film.files)
        if good[end - 1] and (good[start] or not film.neutral):
            person = people.setdefault(film.subject, len(people))
            label = classes.index(film.expression)
            weak = [start + place for place in film.weak if good[start + place]]
            rows += [(start, each, end - 1, label, person) for each in weak]
        start = end
    columns = torch.tensor(rows, dtype=torch.long).view(-1, 5).T.contiguous()
    neutral, weak, peak, label, subject = columns
    known = neutral if all(film.neutral for film in films) else None
    return without_unused(Pairs(pictures, weak, peak, label, subject, classes, neutral=known))


def without_unused(pairs: Pairs) -> Pairs:
    """Return the same pairs without the pictures that none of them shows."""
    roles = {"neutral": pairs.neutral, "weak": pairs.weak, "peak": pairs.peak}
    numbers = {role: part for role, part in roles.items() if part is not None}
    used = torch.unique(torch.cat(list(numbers.values())))
    if len(used) == len(pairs.pictures):
        return pairs
    renumbered: dict[str, Any] = {
        role: torch.searchsorted(used, part) for role, part in numbers.items()
    }
    return replace(pairs, pictures=pairs.pictures[used], **renumbered)
