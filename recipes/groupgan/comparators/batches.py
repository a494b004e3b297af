"""Training batches of features for the declared machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from nvn.data import TensorBatches

from .described import Described, Table
from .liblinear import SMALLEST, Reference

FEW = 24  # pictures that show whether everything fits


class FeatureBatches:
    """Batches `{"features", "label", "hold"}` that describe nothing before the first is asked for.

    `hold` is what the machine's norm weighs, 1/(C·N), with the C of the reference and N rows to
    learn from: known only once these are read, so a column of the batch and no setting.
    """

    def __init__(self, described: Described, reference: Reference, count: int, seed: int) -> None:
        self._described = described
        self._reference = reference
        self._count = count
        self._seed = seed

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        return self.batches_from(0, 0)

    def batches_from(self, epoch: int, start: int) -> Iterator[Mapping[str, Any]]:
        """Iterate over the batches of an epoch, from batch `start` on."""
        return self._all.batches_from(epoch, start)

    def sample(self) -> Mapping[str, Any]:
        """Return a small batch, for which no C is chosen: the machine looks at rows alone."""
        return _columns(self._described.sample(min(self._count, FEW)), SMALLEST)

    @cached_property
    def _all(self) -> TensorBatches:
        columns = _columns(self._described.train, self._reference.C)
        return TensorBatches(columns, self._count, self._seed)


def _columns(table: Table, C: float) -> dict[str, Tensor]:
    hold = torch.full((len(table),), 1 / (C * len(table)))
    return {"features": table.features, "label": table.label, "hold": hold}
