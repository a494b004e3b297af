"""What sketch repair learns from and is tested on: whole drawings, slashed anew each time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from nvn.data import TensorBatches

from ..pairs import to_float
from .damage import DEFAULT, Slashes, damaged
from .labeled import Drawings

SHIFT = 16  # training drawings are moved by up to the 16th part of their side
TEST_SEED = 0  # of the slashes in test drawings: each run repairs the same damage


@dataclass(frozen=True)
class Repair:
    """Drawings split in two: to learn from, and never seen.

    Attributes:
        read: What gives all of them, called when they are first needed.
        fold: The part to test on, of `folds`; nearly equal drawings are in one part.
        folds: How many parts.
        slashes: How drawings are damaged.
        mirrored: Whether half of the training drawings are mirrored: a mirrored character is none.
    """

    read: Callable[[], Drawings]
    fold: int
    folds: int
    slashes: Slashes = DEFAULT
    mirrored: bool = True

    @cached_property
    def _parts(self) -> tuple[Drawings, Drawings]:
        return self.read().split(self.fold, self.folds)

    @property
    def train(self) -> Drawings:
        """The drawings to learn from."""
        return self._parts[0]

    @property
    def test(self) -> Drawings:
        """The drawings never seen in training."""
        return self._parts[1]

    @cached_property
    def pairs(self) -> tuple[Tensor, Tensor]:
        """The test drawings damaged and whole, both (N, 1, S, S) in [-1, 1]."""
        whole = to_float(self.test.pictures)
        return damaged(whole, torch.Generator().manual_seed(TEST_SEED), self.slashes), whole

    def batches(self, count: int, seed: int) -> TensorBatches:
        """Return training batches `{"damaged", "whole", "label"}` of `count` drawings."""
        tensors = {"whole": self.train.pictures, "label": self.train.label}
        return TensorBatches(tensors, count, seed, transform=Slashed(self.slashes, self.mirrored))


@dataclass(frozen=True)
class Slashed:
    """Half of the drawings mirrored, if any, all moved a little, each slashed; in [-1, 1]."""

    slashes: Slashes
    mirrored: bool = True

    def __call__(
        self, generator: torch.Generator, batch: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Return the batch as the networks see it, pictures (N, 1, S, S)."""
        mirrored = torch.rand(len(batch["label"]), generator=generator) < 0.5 * self.mirrored
        whole = to_float(batch["whole"])
        whole = torch.where(mirrored[:, None, None, None], whole.flip(3), whole)
        whole = _shifted(whole, generator)
        return {**batch, "whole": whole, "damaged": damaged(whole, generator, self.slashes)}


def _shifted(whole: Tensor, generator: torch.Generator) -> Tensor:
    """Move each drawing (N, 1, S, S) by whole pixels, so that strokes stay as sharp as they are."""
    side = whole.shape[-1]
    most = side // SHIFT
    padded = torch.nn.functional.pad(whole, (most,) * 4, value=1.0)
    top, left = torch.randint(2 * most + 1, (2, len(whole)), generator=generator)
    pixels = torch.arange(side)
    rows, columns = top[:, None] + pixels, left[:, None] + pixels
    which = torch.arange(len(whole))[:, None, None]
    return padded[:, 0][which, rows[:, :, None], columns[:, None, :]].unsqueeze(1)
