"""What an expression game learns from: pairs of a weak and a peak picture, whatever they come from.

A source (rendered faces, CK+, a folder of one's own, …) is an object with `classes`, `read` and
`sample`. Its pairs are split by person, and served as batches or as test pictures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, Protocol, TypeAlias

import torch
from torch import Tensor

import nvn
from nvn.data import TensorBatches

from .batches import LaterBatches
from .varying import Variation

Role: TypeAlias = Literal["neutral", "weak", "peak"]


@dataclass(frozen=True)
class Pairs:
    """N weak pictures, each with the peak that it leads to, and the neutral picture before it.

    A peak or a neutral picture may serve several weak ones; it is kept once.

    Attributes:
        pictures: Every picture, (P, 3, S, S) uint8.
        weak: Which of them are weak, (N,) int64.
        peak: Which one is the peak of each, (N,) int64.
        label: The expression, an index into `classes`, (N,) int64.
        subject: Who it is, a number from 0 up, (N,) int64.
        classes: The names of the expressions.
        neutral: Which picture is the neutral one of each, (N,) int64, where the set has them.
        intensity: How strong each weak picture is, from 0 (neutral) to 1 (peak), where known, (N,).
        reserved: Where a set says itself what to test on: whether it is that, (N,) bool.
    """

    pictures: Tensor
    weak: Tensor
    peak: Tensor
    label: Tensor
    subject: Tensor
    classes: tuple[str, ...]
    neutral: Tensor | None = None
    intensity: Tensor | None = None
    reserved: Tensor | None = None

    def __len__(self) -> int:
        return len(self.weak)

    def shown(self, role: Role) -> Tensor:
        """Return the pictures in a role, (N, 3, S, S) uint8.

        Raises:
            ValueError: If neutral pictures are asked for, and there are none.
        """
        index: Tensor | None = getattr(self, role)
        if index is None:
            raise ValueError(f"these pairs have no {role} pictures")
        return self.pictures[index]

    def take(self, chosen: Tensor) -> Pairs:
        """Return some of the pairs, (M,) their numbers or (N,) whether to take each."""
        parts: dict[str, Any] = {
            name: part[chosen]
            for name, part in vars(self).items()
            if isinstance(part, Tensor) and name != "pictures"
        }
        return replace(self, **parts)

    def split(self, fold: int, folds: int) -> tuple[Pairs, Pairs]:
        """Return the pairs to train and to test on: no person is in both.

        Each person is in the test part of exactly one of the folds. Where the set itself says what
        to test on, that is it, in every fold.

        Raises:
            ValueError: If there is no such fold.
        """
        if not 0 <= fold < folds:
            raise ValueError(f"fold {fold} of {folds} does not exist")
        test = self.reserved if self.reserved is not None else self.subject % folds == fold
        return self.take(~test), self.take(test)


class Source(Protocol):
    """Where pairs come from. Its classes are known before any picture is read."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the expressions."""

    def read(self) -> Pairs:
        """Return all pairs; it may take its time, and shows how far it is."""

    def sample(self, count: int) -> Pairs:
        """Return `count` or more pairs quickly, for `nvn check`."""


@dataclass(frozen=True, eq=False)
class Split:
    """A source split by people: pairs to train on, pairs to test on; read once, on first use.

    Attributes:
        source: Where the pairs come from.
        size: The side of the pictures seen: a random part of a larger one when training, its middle
            when testing.
        fold: The part of the people to test on, of `folds`.
        folds: How many parts the people are split into.
        variation: How strongly light, color, sharpness and place vary in training; 0 is not at all.
    """

    source: Source
    size: int
    fold: int
    folds: int
    variation: float = 0.0

    @cached_property
    def _parts(self) -> tuple[Pairs, Pairs]:
        train, test = self.source.read().split(self.fold, self.folds)
        if len(test):
            return train, test
        people = len(torch.unique(train.subject))
        raise nvn.DataError(  # before training, not after it
            f"fold {self.fold} of {self.folds} has nobody to test on\n"
            f"found: {people} people, all of them to train on\n"
            "expected: some pictures of people who are not trained on; "
            f"choose another fold, or fewer folds (at most {max(2, people)})"
        )

    @property
    def train(self) -> Pairs:
        """The pairs of the people to learn from, as large as the source gives them.

        Raises:
            DataError: If there are fewer people than folds.
        """
        train, test = self._parts
        people = len(torch.unique(torch.cat([train.subject, test.subject])))
        if test.reserved is None and people < max(2, self.folds):
            raise nvn.DataError(
                f"folds = {self.folds}: {people} people can be split into {people} parts at most; "
                "some have to be tested on, and others trained on"
            )
        return train

    @cached_property
    def test(self) -> Pairs:
        """The pairs of people never seen in training, cut to the size seen.

        Raises:
            DataError: If there is nobody to test on.
        """
        test = self._parts[1]
        return replace(test, pictures=self.middle(test.pictures))

    def middle(self, pictures: Tensor) -> Tensor:
        """Return the middle of pictures (N, C, H, W), of the size seen."""
        start = (pictures.shape[-1] - self.size) // 2
        seen = slice(start, start + self.size)
        return pictures[..., seen, seen]

    def batches(self, count: int, seed: int) -> LaterBatches:
        """Return training batches `{"weak", "peak", "label"}` of `count` pairs.

        Raises:
            DataError: When the first is asked for, if there are fewer pairs.
        """

        def of(pairs: Pairs) -> TensorBatches:
            if len(pairs) < count:
                raise nvn.DataError(
                    f"batch = {count}: there are only {len(pairs)} pairs to train on; "
                    f"set batch to {len(pairs)} or less"
                )
            numbers = {"weak": pairs.weak, "peak": pairs.peak, "label": pairs.label}
            transform = Augmented(pairs.pictures, self.size, self.variation)
            return TensorBatches(numbers, count, seed, transform=transform)

        return LaterBatches(lambda: of(self.train), lambda: of(self.source.sample(count)))


@dataclass(frozen=True)
class Augmented:
    """Half of the pairs mirrored, a random part of each: weak and peak alike, in [-1, 1].

    Attributes:
        pictures: Every picture, (P, C, S, S) uint8; batches name them by number.
        size: The side of the part.
        variation: How strongly pairs vary besides, weak and peak alike.
    """

    pictures: Tensor
    size: int
    variation: float = 0.0

    def __call__(
        self, generator: torch.Generator, batch: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Return the batch as the networks see it, pictures (N, C, size, size)."""
        mirrored = torch.rand(len(batch["label"]), generator=generator) < 0.5
        spare = self.pictures.shape[-1] - self.size
        top, left = torch.randint(spare + 1, (2,), generator=generator).tolist()

        varied = None
        if self.variation:  # what is drawn without it stays the same
            varied = Variation.drawn(len(batch["label"]), self.variation, generator)

        def seen(numbers: Tensor) -> Tensor:
            whole = self.pictures[numbers]
            part = whole[..., top : top + self.size, left : left + self.size]
            turned = torch.where(mirrored[:, None, None, None], part.flip(3), part)
            shown = to_float(turned)
            shown = shown if varied is None else varied(shown)
            return shown.contiguous(memory_format=torch.channels_last)

        return {**batch, "weak": seen(batch["weak"]), "peak": seen(batch["peak"])}


def to_float(pictures: Tensor) -> Tensor:
    """Return uint8 pictures as float32 in [-1, 1]."""
    return pictures.float() / 127.5 - 1
