"""Labeled drawings, and how they are split so that nothing tested on was nearly seen."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

import nvn


@dataclass(frozen=True)
class Drawings:
    """N drawings, black ink on white.

    Attributes:
        pictures: The drawings, (N, 1, S, S) uint8: ink 0, paper 255.
        label: What each shows, an index into `classes`, (N,) int64.
        group: Drawings of nearly the same thing share a number, from 0 up, (N,) int64.
        classes: The names of the classes.
        names: The name of each drawing.
    """

    pictures: Tensor
    label: Tensor
    group: Tensor
    classes: tuple[str, ...]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.pictures)

    def take(self, chosen: Tensor) -> Drawings:
        """Return some of the drawings, (M,) their numbers or (N,) whether to take each."""
        numbers = torch.arange(len(self))[chosen]
        return replace(
            self,
            pictures=self.pictures[numbers],
            label=self.label[numbers],
            group=self.group[numbers],
            names=tuple(self.names[n] for n in numbers.tolist()),
        )

    def split(self, fold: int, folds: int, seed: int = 0) -> tuple[Drawings, Drawings]:
        """Return the drawings to train and to test on: no group is in both.

        Each drawing is in the test part of exactly one of the folds, and the folds hold about
        equally many drawings of each class.

        Args:
            fold: The part to test on; the first is 0.
            folds: How many parts there are.
            seed: Another one gives other parts.

        Raises:
            ValueError: If there is no such fold.
            DataError: If there are fewer groups than folds.
        """
        if not 0 <= fold < folds:
            raise ValueError(f"fold {fold} of {folds} does not exist")
        groups = len(torch.unique(self.group))
        if groups < folds:
            raise nvn.DataError(
                f"{len(self)} drawings cannot be split into {folds} parts: nearly equal ones stay "
                f"together, and there are only {groups} that differ. "
                f"Set folds to {groups} or less, or add drawings."
            )
        test = self._parts(folds, seed) == fold
        return self.take(~test), self.take(test)

    def _parts(self, folds: int, seed: int) -> Tensor:
        """The fold that each drawing is tested in, (N,)."""
        _, group = torch.unique(self.group, return_inverse=True)
        groups, classes = int(group.max()) + 1, len(self.classes)
        # held[g, c]: drawings of class c in group g
        held = (group * classes + self.label).bincount(minlength=groups * classes)
        held = held.view(groups, classes).double()
        mixed = torch.randperm(groups, generator=torch.Generator().manual_seed(seed))
        # The large groups first: the small ones after them even out what these leave uneven.
        order = mixed[held.sum(1)[mixed].argsort(descending=True, stable=True)]
        filled = torch.zeros(folds, classes, dtype=torch.float64)
        part = torch.empty(groups, dtype=torch.int64)
        for g in order.tolist():
            # Where there is least of its classes; among equals, where there is least of all.
            crowd = (filled @ held[g]) + filled.sum(1) / (len(self) + 1)
            part[g] = crowd.argmin()
            filled[part[g]] += held[g]
        return part[group]
