"""The weak pictures of a split, described by hand-crafted features: computed once, kept in memory.

Letters: N pictures, F features.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import torch
from torch import Tensor

import nvn

from ..data.pairs import Pairs, Split

Describe: TypeAlias = Callable[[Tensor], Tensor]  # (N, C, H, W) uint8 → (N, F)
AT_ONCE = 64 * 128 * 128  # pixels described at once


@dataclass(frozen=True)
class Table:
    """Features (N, F) float32, the class of each row (N,) and the person of each row (N,)."""

    features: Tensor
    label: Tensor
    subject: Tensor

    def __len__(self) -> int:
        return len(self.label)

    def take(self, rows: Tensor) -> Table:
        """Return some of the rows, (M,) their numbers."""
        return Table(self.features[rows], self.label[rows], self.subject[rows])


class Described:
    """A split's weak pictures as tables; each feature has mean 0 and deviation 1 in training.

    Args:
        split: The pictures. Of larger ones the middle is seen, when training too.
        describe: What makes features of pictures.

    Its tables raise a DataError if there is nobody to test on: before training, not after it.
    """

    def __init__(self, split: Split, describe: Describe) -> None:
        self.split = split
        self.describe = describe

    @cached_property
    def width(self) -> int:
        """How many features there are; no picture is read to tell."""
        side = self.split.size
        return self.describe(torch.zeros(1, 1, side, side, dtype=torch.uint8)).shape[1]

    @property
    def train(self) -> Table:
        """The table of the people to learn from."""
        return self._tables[0]

    @property
    def test(self) -> Table:
        """The table of people never seen in training, on the scale of those to learn from."""
        return self._tables[1]

    def sample(self, count: int) -> Table:
        """Return a table of `count` or more pictures quickly."""
        return standardized(self._described(self.split.source.sample(count), lambda done: None))[0]

    @cached_property
    def _tables(self) -> tuple[Table, ...]:
        parts = self.split.train, self.split.test
        with nvn.progress("describing pictures", total=sum(map(len, parts))) as bar:
            return standardized(*(self._described(part, bar.advance) for part in parts))

    def _described(self, pairs: Pairs, done: Callable[[int], None]) -> Table:
        side = self.split.size
        described = []
        for numbers in torch.split(pairs.weak, max(1, AT_ONCE // side**2)):
            described.append(self.describe(middle(pairs.pictures[numbers], side)))
            done(len(numbers))
        return Table(torch.cat(described), pairs.label, pairs.subject)


def middle(pictures: Tensor, side: int) -> Tensor:
    """Return the middle (N, C, side, side) of pictures (N, C, S, S)."""
    start = (pictures.shape[-1] - side) // 2
    return pictures[..., start : start + side, start : start + side]


def standardized(first: Table, *others: Table) -> tuple[Table, ...]:
    """Return tables with each feature less its mean in the first, over its deviation there.

    A feature that is the same in all of the first's rows is left at that scale.
    """
    mean = first.features.mean(dim=0)
    deviation = first.features.std(dim=0, correction=0)
    # What differs by rounding alone does not differ.
    scale = torch.where(deviation > 1e-6 * mean.abs().clamp(min=1e-6), deviation, 1.0)
    return tuple(
        Table((table.features - mean) / scale, table.label, table.subject)
        for table in (first, *others)
    )
