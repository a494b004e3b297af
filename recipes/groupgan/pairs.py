"""Training batches and test pictures of the rendered faces, made when they are first asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

import nvn
from nvn.data import TensorBatches

from . import store
from .faces import Faces, FacesSpec, render_faces, split, to_float


class FacePairs:
    """Pairs of weak and peak faces, split by people; rendered once, on first use."""

    def __init__(self, spec: FacesSpec, fold: int, folds: int) -> None:
        self.spec = spec
        self.fold = fold
        self.folds = folds

    @cached_property
    def faces(self) -> Faces:
        """Every face, from the cache if an earlier run rendered them."""
        total = self.spec.sequences * (2 + self.spec.levels)
        with nvn.progress("rendering faces", total) as bar:
            done = 0

            def advance(now: int, _: int) -> None:
                nonlocal done
                bar.advance(now - done)
                done = now

            return render_faces(self.spec, store.default_cache(), advance)

    @cached_property
    def train(self) -> Faces:
        """The faces of the people to learn from."""
        return subset(self.faces, split(self.faces, self.fold, self.folds)[0])

    @cached_property
    def test(self) -> Faces:
        """The faces of people never seen in training."""
        return subset(self.faces, split(self.faces, self.fold, self.folds)[1])

    def batches(self, size: int, seed: int) -> Batches:
        """Return training batches `{"weak", "peak", "label"}` of `size` pairs."""
        return Batches(self, size, seed)


class Batches:
    """Training batches that render nothing before the first is read."""

    def __init__(self, pairs: FacePairs, size: int, seed: int) -> None:
        self._pairs = pairs
        self._size = size
        self._seed = seed

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        return self.batches_from(0, 0)

    def batches_from(self, epoch: int, start: int) -> Iterator[Mapping[str, Any]]:
        """Iterate over the batches of an epoch, from batch `start` on."""
        return self._tensors.batches_from(epoch, start)

    @cached_property
    def _tensors(self) -> TensorBatches:
        train = self._pairs.train
        tensors = {"weak": train.weak, "peak": train.peak, "label": train.label}
        return TensorBatches(tensors, self._size, self._seed, transform=augmented)


def subset(faces: Faces, chosen: Tensor) -> Faces:
    """Return the chosen samples (M,) of a set of faces."""
    parts = {field.name: getattr(faces, field.name) for field in fields(faces)}
    return Faces(**{k: v[chosen] if isinstance(v, Tensor) else v for k, v in parts.items()})


def augmented(generator: torch.Generator, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a batch in [-1, 1], half of its pairs mirrored (weak and peak alike)."""
    mirrored = torch.rand(len(batch["label"]), generator=generator) < 0.5

    def seen(pictures: Tensor) -> Tensor:
        return to_float(torch.where(mirrored[:, None, None, None], pictures.flip(3), pictures))

    return {**batch, "weak": seen(batch["weak"]), "peak": seen(batch["peak"])}
