"""Reading a loader from a position: each kind of loader in its own way.

| loader | how it gets to a position |
|---|---|
| `Seekable`, such as `TensorBatches` | opened there |
| `Stateful`, such as torchdata's StatefulDataLoader | by its own state |
| a torch DataLoader of map-style data | nvn draws the order, and begins there (torch_loader.py) |
| a list or tuple | from that element on |
| anything else | read again up to there |

Whatever a batch draws from the global random streams depends on the seed and on its place alone.

Of several processes, each reads its share: of what can be divided (`Divisible`) that alone, of
anything else all, and keeps its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, islice
from typing import Any, Protocol

from torch.utils.data import DataLoader, DistributedSampler

from nvn.data.loaders import Batch, Divisible, Loader, Position, Seekable, Stateful
from nvn.data.share import WHOLE, Share, samples_in
from nvn.data.torch_loader import (
    PositionedLoader,
    can_be_positioned,
    let_be_killed,
    with_deaf_workers,
)
from nvn.errors import DataError
from nvn.streams import keyed

__all__ = ["Reading", "reading_of"]


class Reading(Protocol):
    """How one loader is read.

    Attributes:
        reads_on: Whether it gets to a position only by reading up to it.
    """

    reads_on: bool

    def open(self, epoch: int) -> Iterator[Batch]:
        """Iterate over an epoch, the one after that which was opened before."""
        ...

    def seek(self, position: Position, state: Any) -> Iterator[Batch]:
        """Iterate over the rest of an epoch, from a position on, at which `state` was kept."""
        ...

    def state(self) -> Any:
        """Return what `seek` needs beside the position."""
        ...

    def first(self) -> Batch | None:
        """Return the first batch of all, without having read it; None where that cannot be."""
        ...


def reading_of(loader: Loader, key: int, share: Share = WHOLE) -> Reading:
    """Return how a loader is read.

    Args:
        loader: The loader.
        key: What its draws from the global random streams depend on.
        share: What this process takes of it.

    Raises:
        DataError: It divides its samples among processes itself.
    """
    if share.count > 1:
        _refuse_divided(loader)
    if isinstance(loader, Seekable):
        return _Positioned(loader, share)
    if isinstance(loader, Stateful):
        return _ByItself(loader, share)
    if isinstance(loader, list | tuple):
        return _Listed(loader, share)
    if can_be_positioned(loader):
        return _Positioned(PositionedLoader(loader, key), share)
    readable = with_deaf_workers(loader) if isinstance(loader, DataLoader) else loader
    return _ReadOn(readable, key, share)


def _refuse_divided(loader: Loader) -> None:
    samplers = (getattr(loader, name, None) for name in ("sampler", "batch_sampler"))
    if any(isinstance(sampler, DistributedSampler) for sampler in samplers):
        raise DataError(
            "the data's loader has a DistributedSampler, and its batches would be divided among "
            "the processes twice: nvn divides them; leave the sampler out"
        )


class _Positioned:
    reads_on = False

    def __init__(self, loader: Seekable, share: Share) -> None:
        self._loader = loader
        self._share = share

    def open(self, epoch: int) -> Iterator[Batch]:
        return self.seek(Position(epoch), None)

    def seek(self, position: Position, state: Any) -> Iterator[Batch]:
        if isinstance(self._loader, Divisible):
            return self._loader.share_from(position.epoch, position.taken, self._share)
        batches = self._loader.batches_from(position.epoch, position.taken)
        return self._share.of(batches, samples_in)

    def state(self) -> Any:
        return None

    def first(self) -> Batch | None:
        return next(self._loader.batches_from(0, 0), None)


class _Listed:
    reads_on = False

    def __init__(self, batches: list[Batch] | tuple[Batch, ...], share: Share) -> None:
        self._batches = batches
        self._share = share

    def open(self, epoch: int) -> Iterator[Batch]:
        return self.seek(Position(epoch), None)

    def seek(self, position: Position, state: Any) -> Iterator[Batch]:
        return self._share.of(islice(self._batches, position.taken, None), samples_in)

    def state(self) -> Any:
        return None

    def first(self) -> Batch | None:
        return next(iter(self._batches), None)


class _ByItself:
    reads_on = False

    def __init__(self, loader: Stateful, share: Share) -> None:
        self._loader = loader
        self._share = share

    def open(self, epoch: int) -> Iterator[Batch]:
        return self._share.of(iter(self._loader), samples_in)

    def seek(self, position: Position, state: Any) -> Iterator[Batch]:
        if state is not None:
            self._loader.load_state_dict(state)
        return self.open(position.epoch)

    def state(self) -> Any:
        return self._loader.state_dict()

    def first(self) -> Batch | None:
        return None


class _ReadOn:
    """Reads from the very beginning: what a loader draws by itself goes on as it would have."""

    reads_on = True

    def __init__(self, loader: Loader, key: int, share: Share) -> None:
        self._loader = loader
        self._key = key
        self._share = share
        self._begun = False

    def open(self, epoch: int) -> Iterator[Batch]:
        return self._share.of(self._read(epoch), samples_in)

    def _read(self, epoch: int) -> Iterator[Batch]:
        with keyed(self._key, epoch, 0):
            batches = iter(self._loader)
        let_be_killed(batches)
        self._begun = True
        for index in count(1):
            with keyed(self._key, epoch, index):
                batch = next(batches, None)
            if batch is None:
                return
            yield batch

    def seek(self, position: Position, state: Any) -> Iterator[Batch]:
        if self._begun and isinstance(self._loader, Iterator):
            raise DataError("the data are an iterator, which cannot go back: it serves only once")
        for epoch in range(position.epoch):
            for _ in self._read(epoch):
                pass
        batches = self._read(position.epoch)
        read = sum(1 for _ in islice(batches, position.taken))
        if read < position.taken:
            raise DataError(
                f"epoch {position.epoch} of the data ended after {read} batches, and "
                f"{position.taken} had been taken from it: the data have changed"
            )
        return self._share.of(batches, samples_in)

    def state(self) -> Any:
        return None

    def first(self) -> Batch | None:
        return None
