"""Pairs that need no pictures from anywhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from nvn_recipes.groupgan.data.pairs import Pairs
from nvn_recipes.groupgan.data.rendered.rig import EXPRESSIONS


def some_pairs(samples: int = 12, size: int = 20, **changes: Any) -> Pairs:
    """Return pairs of random pictures, two of each person, six expressions in turn."""
    generator = torch.Generator().manual_seed(0)
    shape = (3 * samples, 3, size, size)
    which = torch.arange(samples)
    made = {
        "pictures": torch.randint(256, shape, generator=generator, dtype=torch.uint8),
        "neutral": which,
        "weak": samples + which,
        "peak": 2 * samples + which,
        "label": which % 6,
        "subject": which // 2,
        "classes": EXPRESSIONS,
        "intensity": torch.full((samples,), 0.25),
    }
    return Pairs(**{**made, **changes})


@dataclass(frozen=True)
class Given:
    """A source that has its pairs already."""

    pairs: Pairs

    @property
    def classes(self) -> tuple[str, ...]:
        return self.pairs.classes

    def read(self) -> Pairs:
        return self.pairs

    def sample(self, count: int) -> Pairs:
        return self.pairs
