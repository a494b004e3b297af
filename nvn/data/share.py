"""The part of the batches that one of several processes takes."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, TypeVar

import torch
from torch import Tensor

from nvn import pytree
from nvn.errors import NvnWarning

__all__ = ["WHOLE", "Share", "digest", "samples_in"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Share:
    """The part of the batches that one of several processes takes.

    Together they take an epoch in rounds of `count` batches, one each. A last round that is not
    whole, or has batches of different sizes, is taken by nobody: nobody waits for others then.

    Attributes:
        rank: The number of the process, from 0.
        count: How many there are.

    >>> [*Share(1, 3).of(iter(["a", "b", "c", "d", "e", "f", "g"]), len)]
    ['b', 'e']
    """

    rank: int = 0
    count: int = 1

    def of(self, batches: Iterator[T], size: Callable[[T], int]) -> Iterator[T]:
        """Yield this process's of some batches, one of each round.

        Args:
            batches: The batches of all.
            size: Returns how many samples one has.
        """
        while len(turn := [*islice(batches, self.count)]) == self.count:
            if len({size(batch) for batch in turn}) > 1:
                following = [*islice(batches, 1)]
                if not following:  # an epoch's last batch is often smaller
                    return
                batches = chain(following, batches)
                self._tell_sizes([size(batch) for batch in turn])
            yield turn[self.rank]

    def _tell_sizes(self, sizes: list[int]) -> None:
        if not self.rank:
            warnings.warn(
                f"{self.count} processes play batches of {', '.join(map(str, sizes))} samples "
                "together: their means count as much, whatever their size; expected batches of one "
                "size",
                NvnWarning,
                stacklevel=2,
            )

    def rows(self, whole: Sequence[T] | Tensor) -> Any:
        """Return this process's of the samples of a round."""
        length = len(whole) // self.count
        return whole[self.rank * length : (self.rank + 1) * length]

    def part(self, batch: Any, samples: int) -> Any:
        """Return this process's part of a round that is one batch, of so many samples."""

        def mine(x: Any) -> Any:
            return self.rows(x) if isinstance(x, Tensor) and x.ndim and len(x) == samples else x

        return pytree.map_leaves(mine, batch)


WHOLE = Share()


def samples_in(batch: Any) -> int:
    """Return how many samples a batch has: the length of its first tensor; 0 without any."""
    tensors = (x for x in pytree.leaves(batch) if isinstance(x, Tensor) and x.ndim)
    return next(map(len, tensors), 0)


def digest(batch: Any) -> str:
    """Return what two batches have in common only if their tensors are the same."""
    found = hashlib.sha256()
    for x in pytree.leaves(batch):
        if isinstance(x, Tensor) and x.layout is torch.strided:
            found.update(f"{tuple(x.shape)} {x.dtype}".encode())
            found.update(x.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()[:12]
