"""Training batches that are made when the first of them is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from nvn.data import Share, TensorBatches


@dataclass(frozen=True)
class LaterBatches:
    """Batches that read nothing before the first is asked for.

    Attributes:
        make: What makes them.
        few: What makes some of the first few pictures, for `nvn check`: all of them may take
            minutes to read.
    """

    make: Callable[[], TensorBatches]
    few: Callable[[], TensorBatches]

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        return self.batches_from(0, 0)

    def batches_from(self, epoch: int, start: int) -> Iterator[Mapping[str, Any]]:
        """Iterate over the batches of an epoch, from batch `start` on."""
        return self._all.batches_from(epoch, start)

    def share_from(self, epoch: int, start: int, share: Share) -> Iterator[Mapping[str, Any]]:
        """Iterate over one process's batches of an epoch, from batch `start` of all on."""
        return self._all.share_from(epoch, start, share)

    def sample(self) -> Mapping[str, Any]:
        """Return one batch quickly."""
        return next(iter(self.few()))

    @cached_property
    def _all(self) -> TensorBatches:
        return self.make()
