"""Sequences of frames, from a neutral face to an expression's peak, as pairs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

import nvn

from ..pairs import Pairs
from .cropping import Crop
from .left_out import LeftOut
from .reading import read_groups


@dataclass(frozen=True)
class Frames:
    """Which frames of a sequence are weak. The first frame is neutral, the last is the peak.

    Attributes:
        first: The first weak one; the first frame of a sequence is 1.
        last: The last weak one. A sequence that does not go on after it is too short.
    """

    first: int
    last: int

    def __post_init__(self) -> None:
        if not 2 <= self.first <= self.last:
            raise nvn.ConfigError(
                f"frames {self.first} to {self.last} cannot be the weak ones: frame 1 is neutral, "
                "so set first_weak to 2 or more, and last_weak to first_weak or more"
            )

    @property
    def too_short(self) -> str:
        """The reason that a sequence is left out for."""
        return f"too short (fewer than {self.last + 1} frames)"

    def choose(self, files: Sequence[Path]) -> tuple[Path, ...] | None:
        """Return the neutral frame, the weak ones and the peak; None of a sequence too short."""
        if len(files) <= self.last:
            return None
        return (files[0], *files[self.first - 1 : self.last], files[-1])


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
class FilmSet(ABC):
    """A data set of films, in a folder.

    Attributes:
        root: The folder.
        side: The side of the pictures, in pixels.
        crop: What is seen of them.
        first: The first weak frame, counted from 1; frame 1 is neutral.
        last: The last weak frame; the last frame of all is the peak.
    """

    root: Path
    side: int
    crop: Crop = "face"
    first: int = 6
    last: int = 8

    name: ClassVar[str]  # what the set is called
    layout: ClassVar[str]  # the paths expected, as messages show them

    def __post_init__(self) -> None:
        _ = self.frames  # refuses what cannot be

    @property
    def frames(self) -> Frames:
        """Which frames are weak."""
        return Frames(self.first, self.last)

    @property
    @abstractmethod
    def classes(self) -> tuple[str, ...]:
        """The names of the expressions."""

    @abstractmethod
    def find(self, left_out: LeftOut) -> list[Film]:
        """List the films, and write down what has to be left out.

        Raises:
            DataError: If the set is not in its folder.
        """

    def read(self) -> Pairs:
        """Return every pair, with a warning that names what was left out.

        Raises:
            DataError: If there is none.
        """
        left_out = LeftOut(self.name, self.root)
        pairs = self._pairs(self.find(left_out), left_out)
        if not len(pairs):
            raise left_out.nothing_left(self.layout)
        left_out.warn()
        return pairs

    def sample(self, count: int) -> Pairs:
        """Return `count` pairs or a few more, or all that there are; nothing is warned of.

        Raises:
            DataError: If there is none.
        """
        unsaid = LeftOut(self.name, self.root)
        films = self.find(unsaid)
        taken = _enough(films, count)
        while taken < len(films):
            pairs = self._pairs(films[:taken], unsaid)
            if len(pairs) >= count:
                return pairs
            taken += _enough(films[taken:], count)  # some could not be read
        pairs = self._pairs(films, unsaid)
        return pairs if len(pairs) else self.read()  # which says why there are none

    def _pairs(self, films: list[Film], left_out: LeftOut) -> Pairs:
        groups = [film.files for film in films]
        pictures, good = read_groups(groups, self.side, self.crop, left_out)
        return paired(films, self.classes, pictures, good)


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
