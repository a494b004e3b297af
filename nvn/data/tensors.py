"""Batches of tensors in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

import torch
from torch import Tensor

from nvn.data.loaders import Batch
from nvn.data.share import WHOLE, Share
from nvn.errors import DataError

__all__ = ["TensorBatches"]

Transform: TypeAlias = Callable[[torch.Generator, dict[str, Tensor]], Batch]


class TensorBatches:
    """Batches of tensors in memory, in an order that depends on nothing but the seed and the epoch.

    Iterating gives epoch 0; `batches` goes on with the epochs after it. A last, smaller batch is
    left out, so that every batch has the same size.

    Args:
        tensors: Named tensors [n, …], all with the same n.
        batch_size: Samples in a batch.
        seed: The seed of the order and of the transform.
        shuffle: Whether to draw a new order for each epoch.
        transform: `fn(generator, batch)`, for augmentation; its generator is seeded for each batch.

    >>> numbers = TensorBatches({"x": torch.arange(6)}, batch_size=2, shuffle=False)
    >>> [batch["x"].tolist() for batch in numbers]
    [[0, 1], [2, 3], [4, 5]]
    >>> def noisy(generator: torch.Generator, batch: dict[str, Tensor]) -> Batch:
    ...     return {"x": batch["x"] + torch.randint(10, (2,), generator=generator)}
    >>> again = TensorBatches({"x": torch.arange(6)}, batch_size=2, shuffle=False, transform=noisy)
    >>> [b["x"].tolist() for b in again] == [b["x"].tolist() for b in again]
    True
    """

    def __init__(
        self,
        tensors: Mapping[str, Tensor],
        batch_size: int,
        seed: int = 0,
        shuffle: bool = True,
        transform: Transform | None = None,
    ) -> None:
        self.tensors = dict(tensors)
        self.batch_size = batch_size
        self.seed = seed
        self.shuffle = shuffle
        self.transform = transform
        self.samples = _common_length(self.tensors)
        if not 1 <= batch_size <= self.samples:
            raise DataError(
                f"a batch of {batch_size} cannot be taken from {self.samples} samples: "
                f"choose a batch size from 1 to {self.samples}"
            )

    def __len__(self) -> int:
        return self.samples // self.batch_size

    def __iter__(self) -> Iterator[Batch]:
        return self.batches_from(epoch=0, start=0)

    def batches_from(self, epoch: int, start: int) -> Iterator[Batch]:
        """Iterate over the batches of an epoch, from batch `start` on."""
        return self.share_from(epoch, start, WHOLE)

    def share_from(self, epoch: int, start: int, share: Share) -> Iterator[Batch]:
        """Iterate over one process's batches of an epoch, from batch `start` of all on.

        What several processes get is what one has with a `batch_size` as large as all of theirs.
        """
        order = self._order(epoch)
        for index in range(start, len(self) - share.count + 1, share.count):
            rows = order[index * self.batch_size : (index + share.count) * self.batch_size]
            if self.transform is None:
                yield self._taken(share.rows(rows))
            else:  # it is drawn for all of them, and each makes all: only so it is the same
                whole = self._transformed(self._taken(rows), epoch, index // share.count)
                yield share.part(whole, len(rows))

    def _taken(self, rows: Tensor) -> dict[str, Tensor]:
        return {name: tensor[rows] for name, tensor in self.tensors.items()}

    def _order(self, epoch: int) -> Tensor:
        if not self.shuffle:
            return torch.arange(self.samples)
        return torch.randperm(self.samples, generator=_generator(self.seed, epoch))

    def _transformed(self, batch: dict[str, Tensor], epoch: int, index: int) -> Batch:
        assert self.transform is not None
        return self.transform(_generator(self.seed, epoch, index + 1), batch)


def _common_length(tensors: Mapping[str, Tensor]) -> int:
    if not tensors:
        raise DataError("no tensors to make batches of")
    lengths = {name: len(tensor) for name, tensor in tensors.items()}
    if len(set(lengths.values())) > 1:
        said = ", ".join(f"{name}: {length}" for name, length in lengths.items())
        raise DataError(f"the tensors have different numbers of samples ({said})")
    return next(iter(lengths.values()))


def _generator(*key: int) -> torch.Generator:
    """Return a generator whose stream depends on the whole key, and differs between keys."""
    seed = 0
    for part in key:
        # A multiplicative hash (Knuth, TAOCP 3, 6.4): neighboring keys must not give equal seeds.
        seed = (seed * 6364136223846793005 + part + 1442695040888963407) % 2**63
    return torch.Generator().manual_seed(seed)
