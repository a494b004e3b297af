"""Training batches and test pictures of the rendered faces, made when they are first asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import nvn
from nvn.console import Bar
from nvn.data import TensorBatches

from . import store
from .faces import Faces, FacesSpec, render_faces, split, to_float


class FacePairs:
    """Pairs of weak and peak faces, split by people; rendered once, on first use.

    Args:
        spec: What to render.
        size: The side of the pictures seen: a random part of a rendered one when training, its
            middle when testing.
        fold: The part of the people to test on, of `folds`.
        folds: How many parts the people are split into.
    """

    def __init__(self, spec: FacesSpec, size: int, fold: int, folds: int) -> None:
        self.spec = spec
        self.size = size
        self.fold = fold
        self.folds = folds

    @cached_property
    def faces(self) -> Faces:
        """Every face, from the cache if an earlier run rendered them."""
        return rendered(self.spec, store.default_cache())

    @cached_property
    def train(self) -> Faces:
        """The faces of the people to learn from, as rendered."""
        return subset(self.faces, split(self.faces, self.fold, self.folds)[0])

    @cached_property
    def test(self) -> Faces:
        """The faces of people never seen in training, cut to the size seen."""
        faces = subset(self.faces, split(self.faces, self.fold, self.folds)[1])
        start = (self.spec.size - self.size) // 2
        seen = slice(start, start + self.size)
        cut: dict[str, Any] = {
            name: getattr(faces, name)[..., seen, seen] for name in ("neutral", "weak", "peak")
        }
        return replace(faces, **cut)

    def batches(self, count: int, seed: int) -> Batches:
        """Return training batches `{"weak", "peak", "label"}` of `count` pairs."""
        return Batches(self, count, seed)


class Batches:
    """Training batches that render nothing before the first is read."""

    def __init__(self, pairs: FacePairs, count: int, seed: int) -> None:
        self._pairs = pairs
        self._count = count
        self._seed = seed

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        return self.batches_from(0, 0)

    def batches_from(self, epoch: int, start: int) -> Iterator[Mapping[str, Any]]:
        """Iterate over the batches of an epoch, from batch `start` on."""
        return self._tensors.batches_from(epoch, start)

    def sample(self) -> Mapping[str, Any]:
        """Return a batch of the first few people: rendering all of them would take minutes."""
        spec = self._pairs.spec
        each = spec.sequences * spec.levels // spec.subjects
        few = replace(spec, subjects=min(spec.subjects, -(-self._count // each)))
        return next(iter(self._of(rendered(few))))

    @cached_property
    def _tensors(self) -> TensorBatches:
        return self._of(self._pairs.train)

    def _of(self, train: Faces) -> TensorBatches:
        tensors = {"weak": train.weak, "peak": train.peak, "label": train.label}
        transform = Augmented(self._pairs.size)
        return TensorBatches(tensors, self._count, self._seed, transform=transform)


@dataclass(frozen=True)
class Augmented:
    """Half of the pairs mirrored, a random part of each: weak and peak alike, in [-1, 1]."""

    size: int

    def __call__(
        self, generator: torch.Generator, batch: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Return the batch as the networks see it, pictures (N, C, size, size)."""
        mirrored = torch.rand(len(batch["label"]), generator=generator) < 0.5
        spare = batch["weak"].shape[-1] - self.size
        top, left = torch.randint(spare + 1, (2,), generator=generator).tolist()

        def seen(pictures: Tensor) -> Tensor:
            part = pictures[..., top : top + self.size, left : left + self.size]
            turned = torch.where(mirrored[:, None, None, None], part.flip(3), part)
            return to_float(turned).contiguous(memory_format=torch.channels_last)

        return {**batch, "weak": seen(batch["weak"]), "peak": seen(batch["peak"])}


def rendered(spec: FacesSpec, cache: Path | None = None) -> Faces:
    """Return the faces of a spec, with a bar while they are rendered (not if they are cached)."""
    with ExitStack() as stack:
        bar: Bar | None = None

        def show(done: int, total: int) -> None:
            nonlocal bar
            bar = bar or stack.enter_context(nvn.progress("rendering faces", total))
            bar.reach(done)

        return render_faces(spec, cache, show)


def subset(faces: Faces, chosen: Tensor) -> Faces:
    """Return the chosen samples (M,) of a set of faces."""
    parts: dict[str, Any] = {k: v[chosen] for k, v in vars(faces).items() if isinstance(v, Tensor)}
    return replace(faces, **parts)
