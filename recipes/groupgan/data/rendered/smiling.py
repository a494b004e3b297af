"""Rendered smiles: pairs as the London set has them, of as many people as one likes.

What makes a smile of a weak smile can be learned on them first, where there are few photographs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from .. import store
from ..pairs import Pairs
from .faces import Faces, FacesSpec
from .source import rendered

CLASSES = ("neutral", "happiness")
HIGHEST = 0.6  # intensity of a weak smile
CALM = 0.1  # a face that smiles less is taken for neutral


@dataclass(frozen=True)
class RenderedSmiles:
    """Weak smiles with the smile, and faces that hardly smile with the neutral face.

    There are as many levels of each person as it takes for one of them to be calm.

    Attributes:
        subjects: People.
        side: The side of the pictures, in pixels.
        seed: Another one, other people.
    """

    subjects: int
    side: int
    seed: int = 0

    @property
    def classes(self) -> tuple[str, ...]:
        """Neutral and happiness."""
        return CLASSES

    @property
    def spec(self) -> FacesSpec:
        """The faces that are rendered."""
        levels = round(HIGHEST / CALM)
        return FacesSpec(
            self.subjects,
            self.side,
            levels,
            (0.0, HIGHEST),
            self.seed,
            expressions=("happiness",),
        )

    def read(self) -> Pairs:
        """Return every pair."""
        return smiles(rendered(self.spec, store.default_cache()), self.spec.levels)

    def sample(self, count: int) -> Pairs:
        """Return the pairs of the first few people: rendering all of them would take minutes."""
        levels = self.spec.levels
        few = replace(self.spec, subjects=min(self.subjects, -(-count // (2 * (levels - 1)))))
        return smiles(rendered(few), levels)


def smiles(faces: Faces, levels: int) -> Pairs:
    """Return faces of one expression as pairs: as many calm as smiling ones.

    Args:
        faces: L of each person, the weakest first and calm, the others smiling.
        levels: L.
    """
    people = len(faces) // levels
    first = levels * torch.arange(people)  # the calm picture of each
    smiling = torch.arange(len(faces)).view(people, levels)[:, 1:].flatten()
    weak = torch.cat([smiling, first.repeat_interleave(levels - 1)])
    person = weak // levels
    is_smile = (torch.arange(len(weak)) < len(smiling)).long()
    return Pairs(
        pictures=torch.cat([faces.weak, faces.neutral[::levels], faces.peak[::levels]]),
        weak=weak,
        neutral=len(faces) + person,
        peak=len(faces) + people * is_smile + person,
        label=is_smile,
        subject=person,
        classes=CLASSES,
        intensity=faces.intensity[weak],
    )
