"""The Face Research Lab London Set: people photographed neutral and smiling.

DeBruine, Jones (2017), "Face Research Lab London Set", figshare, 10.6084/m9.figshare.5047666.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, TypeAlias

import torch

import nvn
from nvn.folders import LeftOut

from .. import store
from ..pairs import Pairs
from . import files
from .cropping import Cropper
from .reading import NO_FACE, UNREAD, UnreadableError, in_threads
from .smiles import Making, Smile, SmileSpec, smile_of
from .source import PhotoSet

Person: TypeAlias = tuple[Path, Path]  # the neutral and the smiling photograph

NEUTRAL, SMILING = "neutral_front", "smiling_front"
UNMADE = "of which no smile can be made"
TEMPLATES = frozenset({".tem"})  # where a face's landmarks are: they come with the photographs
DIGITS = 3  # of a file's name: who it is
CLASSES = ("neutral", "happiness")


@dataclass(frozen=True)
class London(PhotoSet):
    """Weak smiles, made of two photographs of a person; they are made once, and kept on disk.

    There are two classes. A pair of happiness is a weak smile and the smiling photograph. A pair of
    neutral is the neutral face, drifted a little, and the neutral photograph, at the same
    intensities: what is not a smile must not be magnified into one.

    Attributes:
        levels: Weak pictures of each person and class.
        weak: The range of their intensities, the smiling photograph being 1; each has an equal
            part of it to lie in.
        seed: Another one, other intensities and drifts.
        by: How they are made: both photographs are moved and blended, by the motion between them;
            or the neutral one alone is bent, as that motion says at its landmarks.
    """

    levels: int = 3
    weak: tuple[float, float] = (0.2, 0.5)
    seed: int = 0
    by: Making = "motion"

    name: ClassVar[str] = "The London set"
    layout: ClassVar[str] = files.indented(
        "ROOT/neutral_front/001_03.jpg", "ROOT/smiling_front/001_08.jpg"
    )

    def __post_init__(self) -> None:
        low, high = self.weak
        if not (0 <= low <= high <= 1 and self.levels > 0):
            raise nvn.ConfigError(f"no weak smiles can be made of {self}")

    @property
    def classes(self) -> tuple[str, ...]:
        """Neutral and happiness."""
        return CLASSES

    def every(self, left_out: LeftOut) -> Pairs | None:
        """Return every pair, and write down what has to be left out."""
        smiles = self._smiles(self._people(left_out), left_out)
        return paired(smiles) if smiles else None

    def sample(self, count: int) -> Pairs:
        """Return the pairs of the first people, `count` or a few more."""
        unsaid = self.unsaid()
        people, smiles = self._people(unsaid), list[Smile]()
        wanted = -(-count // (self.levels * len(CLASSES)))
        while people and len(smiles) < wanted:
            few = wanted - len(smiles)
            smiles += self._smiles(people[:few], unsaid)
            people = people[few:]
        return paired(smiles) if smiles else self.read()  # which says why there are none

    def _people(self, left_out: LeftOut) -> list[Person]:
        """The neutral and the smiling photograph of each person."""
        neutral, smiling = (_one_each(each, left_out) for each in self.beneath(NEUTRAL, SMILING))
        for person in sorted(neutral.keys() ^ smiling.keys()):
            left_out.add("without a partner", (neutral | smiling)[person])
        return [(neutral[each], smiling[each]) for each in sorted(neutral.keys() & smiling.keys())]

    def _smiles(self, people: Sequence[Person], left_out: LeftOut) -> list[Smile]:
        spec = SmileSpec(self.side, self.crop, self.levels, self.weak, self.seed, self.by)
        cropper, cache = Cropper(self.crop), store.default_cache("photographs")

        def smile(person: Person) -> Smile | tuple[str, Path]:
            try:
                return smile_of(*person, spec, cropper, cache)
            except UnreadableError as error:
                return UNREAD, error.path
            except nvn.ConfigError:
                raise  # what finds faces and motion is not installed
            except Exception:  # noqa: BLE001  (whatever is seen there, the others are read)
                return UNMADE, person[0]

        smiles = []
        with nvn.progress("making weak smiles", len(people)) as bar:
            for person, made in zip(people, in_threads(smile, people), strict=True):
                bar.advance()
                if not isinstance(made, Smile):
                    left_out.add(*made)
                    continue
                smiles.append(made)
                if not made.found:
                    left_out.add(NO_FACE, person[0])
        return smiles


def _one_each(folder: Path, left_out: LeftOut) -> dict[str, Path]:
    """The photograph of each person in a folder; of several the last."""
    found: dict[str, Path] = {}
    for path in files.Tree(folder, left_out, shared=True, beside=TEMPLATES).pictures(folder):
        if earlier := found.get(path.stem[:DIGITS]):
            left_out.add("of somebody who has another", earlier)
        found[path.stem[:DIGITS]] = path
    return found


def paired(smiles: Sequence[Smile]) -> Pairs:
    """Return the pairs of each person: weak smiles first, then calm faces."""
    levels = len(smiles[0].intensity)
    each = 2 + 2 * levels  # pictures of a person: neutral, peak, weak smiles, calm faces
    person = torch.arange(len(smiles)).repeat_interleave(2 * levels)
    calm = torch.arange(2 * levels).repeat(len(smiles)) >= levels
    return Pairs(
        pictures=torch.cat(
            [torch.cat([s.neutral[None], s.peak[None], s.weak, s.calm]) for s in smiles]
        ),
        neutral=each * person,
        peak=each * person + (~calm).long(),
        weak=each * person + 2 + torch.arange(2 * levels).repeat(len(smiles)),
        label=(~calm).long(),
        subject=person,
        classes=CLASSES,
        intensity=torch.cat([smile.intensity.repeat(2) for smile in smiles]),
    )
