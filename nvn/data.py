"""Batches for a game: an endless stream with a position. Data sets belong to recipes.

A batch is a dict of named tensors. Data come as
- an iterable of batches (a list, a DataLoader, `TensorBatches`), read again when it ends;
- `{"a": iterable, "b": iterable}`: unpaired data, each read at its own pace, their batches merged;
- a function without arguments that returns either, so that slow data are made only when needed.

Data that take long to make may have a method `sample`, which makes one batch for `nvn check`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol, TypeAlias, runtime_checkable

import torch
from torch import Tensor

from nvn.errors import DataError

__all__ = [
    "Batch",
    "Batches",
    "Data",
    "Position",
    "Sampled",
    "Seekable",
    "TensorBatches",
    "batches",
]

Batch: TypeAlias = Mapping[str, Any]
Loader: TypeAlias = Iterable[Batch]
Data: TypeAlias = Loader | Mapping[str, Loader] | Callable[[], Loader | Mapping[str, Loader]]
Transform: TypeAlias = Callable[[torch.Generator, dict[str, Tensor]], Batch]


@runtime_checkable
class Seekable(Protocol):
    """Data without a state of their own: any epoch can be read, from any batch on.

    >>> isinstance(TensorBatches({"x": torch.zeros(4, 1)}, batch_size=2), Seekable)
    True
    """

    def batches_from(self, epoch: int, start: int) -> Iterator[Batch]:
        """Iterate over the batches of an epoch, from batch `start` on."""
        ...


@runtime_checkable
class Sampled(Protocol):
    """Data that are slow to make, but of which one batch is quickly made, for `nvn check`.

    >>> class Rendered:
    ...     def __iter__(self) -> Iterator[Batch]:
    ...         raise RuntimeError("minutes of rendering")
    ...
    ...     def sample(self) -> Batch:
    ...         return {"x": torch.zeros(2, 3)}
    >>> Batches(Rendered(), sampled=True).peek()["x"].shape
    torch.Size([2, 3])
    """

    def sample(self) -> Batch:
        """Return a batch like those that iterating gives."""
        ...


@dataclass(frozen=True, slots=True)
class Position:
    """How far one loader has been read: the epoch, and the batches already taken from it.

    >>> stream = batches([{"x": torch.zeros(2)}, {"x": torch.ones(2)}])
    >>> _ = next(stream), next(stream), next(stream)
    >>> stream.position
    {'': Position(epoch=1, taken=1)}
    """

    epoch: int = 0
    taken: int = 0


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
        order = self._order(epoch)
        for index in range(start, len(self)):
            rows = order[index * self.batch_size : (index + 1) * self.batch_size]
            batch = {name: tensor[rows] for name, tensor in self.tensors.items()}
            yield batch if self.transform is None else self._transformed(batch, epoch, index)

    def _order(self, epoch: int) -> Tensor:
        if not self.shuffle:
            return torch.arange(self.samples)
        return torch.randperm(self.samples, generator=_generator(self.seed, epoch))

    def _transformed(self, batch: dict[str, Tensor], epoch: int, index: int) -> Batch:
        assert self.transform is not None
        return self.transform(_generator(self.seed, epoch, index + 1), batch)


class Batches:
    """An endless iterator of batches that knows its position.

    In a position, a single loader has the name "".

    Args:
        data: The data.
        position: Where to begin.
        sampled: Whether to read no more than a sample of data that have one.

    >>> stream = Batches({"photo": [{"x": 1}, {"x": 2}], "sketch": [{"y": 7}]})
    >>> [next(stream) for _ in range(3)]
    [{'x': 1, 'y': 7}, {'x': 2, 'y': 7}, {'x': 1, 'y': 7}]
    """

    def __init__(
        self,
        data: Data,
        position: Mapping[str, Position] | None = None,
        sampled: bool = False,
    ) -> None:
        loaders = _loaders(data)
        if sampled:
            loaders = {name: _sample(loader) for name, loader in loaders.items()}
        start = position or {}
        self._streams = {
            name: _Stream(name, loader, start.get(name, Position()))
            for name, loader in loaders.items()
        }

        self._ahead: tuple[Batch, dict[str, Position]] | None = None

    @property
    def position(self) -> dict[str, Position]:
        """How far each loader has been read."""
        if self._ahead is not None:
            return self._ahead[1]
        return {name: stream.position for name, stream in self._streams.items()}

    def state_dict(self) -> dict[str, Any]:
        """Return how far the data have been read, as plain numbers."""
        return {name: dataclasses.asdict(place) for name, place in self.position.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state_dict` returned."""
        self._ahead = None
        for name, stream in self._streams.items():
            stream.seek(Position(**state[name]))

    def peek(self) -> Batch:
        """Return the next batch without taking it."""
        if self._ahead is None:
            before = self.position
            self._ahead = self._read(), before
        return self._ahead[0]

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        if self._ahead is None:
            return self._read()
        batch, self._ahead = self._ahead[0], None
        return batch

    def _read(self) -> Batch:
        parts = {name: next(stream) for name, stream in self._streams.items()}
        return next(iter(parts.values())) if len(parts) == 1 else _merged(parts)


def batches(data: Data, position: Mapping[str, Position] | None = None) -> Batches:
    """Return an endless stream over data, from a position on.

    >>> stream = batches([{"x": 1}, {"x": 2}, {"x": 3}], {"": Position(epoch=4, taken=2)})
    >>> next(stream), next(stream)
    ({'x': 3}, {'x': 1})
    """
    return Batches(data, position)


class _Stream:
    """One loader, read again and again."""

    def __init__(self, name: str, loader: Loader, position: Position) -> None:
        self._called = f"the loader {name!r}" if name else "the data"
        self._loader = loader
        self.position = position
        self._epoch = self._open(position)

    def seek(self, position: Position) -> None:
        """Go on from a position."""
        self.position = position
        self._epoch = self._open(position)

    def __next__(self) -> Batch:
        batch = next(self._epoch, None)
        if batch is None:
            batch = self._first_of_next_epoch()
        if not isinstance(batch, Mapping):
            raise DataError(
                f"{self._called}: found a batch of type {type(batch).__name__}, "
                'expected named tensors: yield a dict, e.g. {"real": images}'
            )
        self.position = Position(self.position.epoch, self.position.taken + 1)
        return batch

    def _first_of_next_epoch(self) -> Batch:
        if self.position.taken == 0:
            raise DataError(f"{self._called} gave no batch at all")
        read = self.position.taken
        self.position = Position(self.position.epoch + 1)
        self._epoch = self._open(self.position)
        batch = next(self._epoch, None)
        if batch is None:
            raise DataError(
                f"{self._called} ended after {read} batches and cannot be read again: a generator "
                "serves only once; give a list, a loader, or an object whose __iter__ starts anew"
            )
        return batch

    def _open(self, position: Position) -> Iterator[Batch]:
        if isinstance(self._loader, Seekable):
            return self._loader.batches_from(position.epoch, position.taken)
        return islice(iter(self._loader), position.taken, None)


def _loaders(data: Data) -> dict[str, Loader]:
    """Return the loaders by name, or under the name "" if there is only one."""
    made = data() if callable(data) and not isinstance(data, Iterable) else data
    if not isinstance(made, Mapping):
        return {"": _iterable("the data", made)}
    if not made:
        raise DataError("the data are an empty dict: name at least one loader")
    return {str(name): _iterable(f"the loader {name!r}", part) for name, part in made.items()}


def _sample(loader: Loader) -> Loader:
    return [loader.sample()] if isinstance(loader, Sampled) else loader


def _iterable(called: str, loader: object) -> Loader:
    if isinstance(loader, Tensor):
        raise DataError(
            f"{called} is a tensor, not an iterable of batches: "
            "nvn.data.TensorBatches({name: tensor, …}, batch_size) makes batches of tensors"
        )
    if not isinstance(loader, Iterable):
        raise DataError(
            f"{called}: found {type(loader).__name__}, expected an iterable of dicts of tensors"
        )
    return loader


def _merged(parts: Mapping[str, Batch]) -> Batch:
    merged: dict[str, Any] = {}
    for loader, part in parts.items():
        for name, tensor in part.items():
            if name in merged:
                raise DataError(
                    f"two loaders give {name!r}, the second is {loader!r}: "
                    "each name has to come from one loader"
                )
            merged[name] = tensor
    return merged


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
