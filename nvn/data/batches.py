"""An endless stream of batches that knows its position."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sized
from typing import Any

from torch import Tensor

from nvn.data.loaders import Batch, Data, Loader, Position, Sampled, Seekable, Stateful
from nvn.data.reading import reading_of
from nvn.data.share import WHOLE, Share, digest
from nvn.errors import DataError, NvnWarning
from nvn.streams import key_of, mixed

__all__ = ["Batches", "batches"]


class Batches:
    """An endless iterator of batches that knows its position.

    In a position, a single loader has the name "".

    Args:
        data: The data.
        position: Where to begin.
        sampled: Whether to read no more than a sample of data that have one.
        seed: What draws from the global random streams depend on, and a DataLoader's order.
        share: What this process takes of the batches, if several read them. Positions are of all.

    Raises:
        DataError: The data are no batches.

    >>> stream = Batches({"photo": [{"x": 1}, {"x": 2}], "sketch": [{"y": 7}]})
    >>> [next(stream) for _ in range(3)]
    [{'x': 1, 'y': 7}, {'x': 2, 'y': 7}, {'x': 1, 'y': 7}]
    """

    def __init__(
        self,
        data: Data,
        position: Mapping[str, Position] | None = None,
        sampled: bool = False,
        *,
        seed: int = 0,
        share: Share = WHOLE,
    ) -> None:
        loaders = _loaders(data)
        if sampled:
            loaders = {name: _sample(loader) for name, loader in loaders.items()}
        self._streams = {
            name: _Stream(name, loader, seed, share) for name, loader in loaders.items()
        }
        for name, place in (position or {}).items():
            self._streams[name].seek(place)
        self._refused: frozenset[str] = frozenset()
        self._ahead: Batch | None = None
        self._before: dict[str, Any] = {}  # the state before the batch ahead was read
        self._torn = False  # whether that was cut short

    @property
    def position(self) -> dict[str, Position]:
        """How far each loader has been read."""
        return {
            name: Position(state["epoch"], state["taken"])
            for name, state in self.state_dict().items()
        }

    def state_dict(self) -> dict[str, Any]:
        """Return how far the data have been read; a batch that was only looked at is to come."""
        if self._ahead is not None or self._torn:
            return self._before
        return {name: stream.state_dict() for name, stream in self._streams.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state_dict` returned, with the same data.

        Warns (`NvnWarning`) if data had to be read again to get there.

        Raises:
            DataError: It is of other loaders, or the data have changed.
        """
        if state.keys() != self._streams.keys():
            known, given = (", ".join(map(repr, names)) for names in (self._streams, state))
            raise DataError(f"the data's state is of the loaders {given}; there are {known}")
        self._ahead, self._torn = None, False
        for name, stream in self._streams.items():
            stream.load_state_dict(state[name])

    def described(self) -> dict[str, str]:
        """Return for each loader how much there is and what it begins with: to compare processes.

        The first batch is read, where that changes nothing.
        """
        return {stream.called: stream.described() for stream in self._streams.values()}

    def refuse(self, names: Iterable[str]) -> None:
        """Let no batch from now on have entries of these names: a game draws them at random."""
        self._refused |= frozenset(names)

    def peek(self) -> Batch:
        """Return the next batch without taking it."""
        if self._ahead is None:
            if self._torn:
                self.load_state_dict(self._before)
            # An interruption may come between two loaders, one of which has been read by then.
            self._before, self._torn = self.state_dict(), True
            self._ahead = self._read()
            self._torn = False
        return self._ahead

    def wait(self) -> None:
        """Wait until the next batch is there, where reading ahead costs nothing.

        (The state of a loader that has its own would have to be taken before each batch.)
        """
        if not any(stream.by_itself for stream in self._streams.values()):
            self.peek()

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        if self._torn:
            self.load_state_dict(self._before)
        if self._ahead is None:
            return self._read()
        batch, self._ahead = self._ahead, None
        return batch

    def _read(self) -> Batch:
        parts = {name: next(stream) for name, stream in self._streams.items()}
        batch = next(iter(parts.values())) if len(parts) == 1 else _merged(parts)
        if self._refused and not self._refused.isdisjoint(batch):
            names = ", ".join(repr(name) for name in sorted(self._refused & batch.keys()))
            raise DataError(
                f"the data yield {names}, which the game draws at random: an entry of a batch "
                "would replace that. Rename one of the two; to take it from the data, declare it "
                "with game.batch(…)"
            )
        return batch


def batches(
    data: Data, position: Mapping[str, Position] | None = None, *, seed: int = 0
) -> Batches:
    """Return an endless stream over data, from a position on.

    >>> stream = batches([{"x": 1}, {"x": 2}, {"x": 3}], {"": Position(epoch=4, taken=2)})
    >>> next(stream), next(stream)
    ({'x': 3}, {'x': 1})
    """
    return Batches(data, position, seed=seed)


class _Stream:
    """One loader, read again and again."""

    def __init__(self, name: str, loader: Loader, seed: int, share: Share) -> None:
        self.called = f"the loader {name!r}" if name else "the data"
        self._reading = reading_of(loader, mixed(seed % 2**64, key_of(name)), share)
        self._share = share
        self._loader = loader
        self._position = Position()
        self._epoch: Iterator[Batch] | None = None  # opened when it is first read
        self.by_itself = isinstance(loader, Stateful) and not isinstance(loader, Seekable)

    def described(self) -> str:
        count = f"{len(self._loader)} batches" if isinstance(self._loader, Sized) else "batches"
        first = self._reading.first()
        return count if first is None else f"{count}, the first one {digest(first)}"

    def state_dict(self) -> dict[str, Any]:
        epoch, taken = self._position.epoch, self._position.taken
        return {"epoch": epoch, "taken": taken, "loader": self._reading.state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.seek(Position(state["epoch"], state["taken"]), state["loader"])

    def seek(self, position: Position, state: Any = None) -> None:
        begun = time.monotonic()
        self._epoch = self._reading.seek(position, state)
        self._position = position
        if self._reading.reads_on and position != Position():
            seconds = time.monotonic() - begun
            warnings.warn(
                f"{self.called} cannot be opened at a position: what came before batch "
                f"{position.taken} of epoch {position.epoch} was read again, in {seconds:.1f} s",
                NvnWarning,
                stacklevel=3,
            )

    def __next__(self) -> Batch:
        if self._epoch is None:
            self._epoch = self._reading.open(0)
        batch = next(self._epoch, None)
        if batch is None:
            batch = self._first_of_next_epoch()
        if not isinstance(batch, Mapping):
            raise DataError(
                f"{self.called}: found a batch of type {type(batch).__name__}, "
                'expected named tensors: yield a dict, e.g. {"real": images}'
            )
        self._position = Position(self._position.epoch, self._position.taken + self._share.count)
        return batch

    def _first_of_next_epoch(self) -> Batch:
        if self._position.taken == 0:
            count = self._share.count
            few = f", or too few of one size for {count} processes" if count > 1 else ""
            raise DataError(f"{self.called} gave no batch at all{few}")
        read = self._position.taken
        self._position = Position(self._position.epoch + 1)
        self._epoch = self._reading.open(self._position.epoch)
        batch = next(self._epoch, None)
        if batch is None:
            raise DataError(
                f"{self.called} ended after {read} batches and cannot be read again: a generator "
                "serves only once; give a list, a loader, or an object whose __iter__ starts anew"
            )
        return batch


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
