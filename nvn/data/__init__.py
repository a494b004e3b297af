"""Batches for a game: an endless stream with a position. Data sets belong to recipes.

A batch is a dict of named tensors. Data come as
- an iterable of batches (a list, a DataLoader, `TensorBatches`), read again when it ends;
- `{"a": iterable, "b": iterable}`: unpaired data, each read at its own pace, their batches merged;
- a function without arguments that returns either, so that slow data are made only when needed.

Data that take long to make may have a method `sample`, which makes one batch for `nvn check`.
"""

from nvn.data.batches import Batches, batches
from nvn.data.loaders import Batch, Data, Divisible, Position, Sampled, Seekable, Stateful
from nvn.data.share import Share
from nvn.data.tensors import TensorBatches

__all__ = [
    "Batch",
    "Batches",
    "Data",
    "Divisible",
    "Position",
    "Sampled",
    "Seekable",
    "Share",
    "Stateful",
    "TensorBatches",
    "batches",
]
