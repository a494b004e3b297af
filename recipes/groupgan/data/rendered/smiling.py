"""Rendered smiles: pairs as the London set has them, of as many people as one likes.

What makes a smile of a weak smile can be learned on them first, where there are few photographs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from ..pairs import Pairs
from .faces import FacesSpec, RenderedFaces

CLASSES = ("neutral", "happiness")
HIGHEST = 0.6  # intensity of a weak smile
CALM = 0.1  # a face that smiles less is taken for neutral
LEVELS = round(HIGHEST / CALM)  # of each person: as many as it takes for one of them to be calm


@dataclass(frozen=True)
class RenderedSmiles:
    """Weak smiles with the smile, and faces that hardly smile with the neutral face.

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
    def faces(self) -> RenderedFaces:
        """The faces that are rendered."""
        shown = (0.0, HIGHEST), self.seed
        return RenderedFaces(
            FacesSpec(self.subjects, self.side, LEVELS, *shown, expressions=("happiness",))
        )

    def read(self) -> Pairs:
        """Return every pair."""
        return smiles(self.faces.read())

    def sample(self, count: int) -> Pairs:
        """Return the pairs of the first few people: rendering all of them would take minutes."""
        people = -(-count // (2 * (LEVELS - 1)))
        return smiles(self.faces.sample(people * LEVELS))


def smiles(faces: Pairs) -> Pairs:
    """Return pairs of happiness, the weakest of each person calm, as many calm as smiling ones."""
    number = torch.arange(len(faces)).view(-1, LEVELS)
    smiling, calm = number[:, 1:].flatten(), number[:, 0].repeat_interleave(LEVELS - 1)
    both = faces.take(torch.cat([smiling, calm]))
    assert both.neutral is not None  # all rendered pairs know theirs
    smiles = torch.arange(len(both)) < len(smiling)
    peak = torch.where(smiles, both.peak, both.neutral)
    return replace(both, peak=peak, label=smiles.long(), classes=CLASSES)
