"""A torch DataLoader of map-style data, read from any batch of any epoch on.

The same samples, sampler, workers and functions; but the order, and whatever a sample draws from
the global random streams, depend on nothing but the seed, the epoch and the sample's number in it.
So it does not matter how many workers there are, how far ahead they read, where reading begins, or
among how many processes the batches are divided.
"""

from __future__ import annotations

import pickle
import signal
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from typing import Any, NamedTuple, TypeGuard

import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, Sampler, Subset

from nvn.data.loaders import Batch
from nvn.data.share import WHOLE, Share
from nvn.folder_package import made_packages, make_package
from nvn.streams import cpu_streams, keyed, mixed, set_streams, start_streams

__all__ = ["PositionedLoader", "can_be_positioned", "let_be_killed", "with_deaf_workers"]

_IGNORED = ("SIGINT", "SIGHUP", "SIGTERM", "SIGUSR1", "SIGXCPU")


def can_be_positioned(loader: object) -> TypeGuard[DataLoader[Any]]:
    """Whether this is a DataLoader as torch has it, of data with an index."""
    return type(loader) is DataLoader and not isinstance(loader.dataset, IterableDataset)


class PositionedLoader:
    """A DataLoader of map-style data, read from any batch of any epoch on.

    Args:
        loader: The DataLoader.
        key: What the order and the samples' draws depend on.

    >>> squares = [{"x": torch.tensor(i * i)} for i in range(6)]
    >>> loader = PositionedLoader(DataLoader(squares, batch_size=2, shuffle=True), key=0)
    >>> whole = [batch["x"].tolist() for batch in loader.batches_from(epoch=3, start=0)]
    >>> [batch["x"].tolist() for batch in loader.batches_from(epoch=3, start=1)] == whole[1:]
    True
    """

    def __init__(self, loader: DataLoader[Any], key: int) -> None:
        self._given = loader
        self._order = _Order(loader, key)
        # One sample of a dataset of ours is one batch of theirs.
        self._loader: DataLoader[Any] = DataLoader(
            _Keyed(loader, key),
            batch_size=None,
            sampler=self._order,
            collate_fn=_as_it_is,
            num_workers=loader.num_workers,
            pin_memory=loader.pin_memory,
            timeout=loader.timeout,
            worker_init_fn=_Deaf(loader.worker_init_fn),
            multiprocessing_context=loader.multiprocessing_context,
            prefetch_factor=loader.prefetch_factor,
            persistent_workers=loader.persistent_workers,
            in_order=getattr(loader, "in_order", True),
        )

    def batches_from(self, epoch: int, start: int) -> Iterator[Batch]:
        """Iterate over the batches of an epoch, from batch `start` on."""
        return self.share_from(epoch, start, WHOLE)

    def share_from(self, epoch: int, start: int, share: Share) -> Iterator[Batch]:
        """Iterate over one process's batches of an epoch, from batch `start` of all on."""
        self._order.begin(epoch, start, share)
        with keyed(0):  # a DataLoader draws seeds for its workers; ours do not need them
            batches = iter(self._loader)
        let_be_killed(batches)
        return batches


class _Order(Sampler[Any]):
    """The indices of each batch of an epoch, as the DataLoader's own sampler gives them."""

    def __init__(self, loader: DataLoader[Any], key: int) -> None:
        self._loader = loader
        self._key = key
        self._place = (0, 0, WHOLE)
        generators = (getattr(sampler, "generator", None) for sampler in self._samplers())
        # Their own seeds, which tell them apart; each epoch starts them anew.
        self._generators = [
            (generator, generator.initial_seed() % 2**64)
            for generator in generators
            if isinstance(generator, torch.Generator)
        ]

    def begin(self, epoch: int, start: int, share: Share) -> None:
        self._place = (epoch, start, share)

    def __iter__(self) -> Iterator[_Turn]:
        epoch, start, share = self._place
        for sampler in self._samplers():
            if hasattr(sampler, "set_epoch"):
                sampler.set_epoch(epoch)
        for generator, seed in self._generators:
            generator.manual_seed(mixed(seed, epoch))
        sampler = self._loader.batch_sampler
        given = self._loader.sampler if sampler is None else sampler
        turns = islice(self._turns(epoch, self._drawn(given, epoch)), start, None)
        yield from share.of(turns, lambda turn: turn.samples)

    def _turns(self, epoch: int, drawn: Iterator[Any]) -> Iterator[_Turn]:
        batched = self._loader.batch_sampler is not None
        first = 0
        for number, indices in enumerate(drawn):
            turn = _Turn(epoch, number, first, [*indices] if batched else indices, batched)
            yield turn
            first += turn.samples

    def _drawn(self, sampler: Any, epoch: int) -> Iterator[Any]:
        """Iterate over a sampler that draws from global streams of its own, kept between draws."""
        with keyed(self._key, epoch, 0):
            indices = iter(sampler)
            own = cpu_streams()
        while True:
            before = cpu_streams()
            set_streams(own)
            try:
                found = next(indices, _END)
                own = cpu_streams()
            finally:
                set_streams(before)
            if found is _END:
                return
            yield found

    def _samplers(self) -> Iterator[Any]:
        loader = self._loader
        inner = getattr(loader.batch_sampler, "sampler", None)
        found = [loader.sampler, loader.batch_sampler, inner]
        yield from {id(sampler): sampler for sampler in found if sampler is not None}.values()


class _Turn(NamedTuple):
    """What a batch is made of.

    Attributes:
        epoch: The epoch.
        number: The batch's number in the epoch.
        first: The number in the epoch of its first sample.
        indices: The indices of its samples; of a loader without batches, the index.
        batched: Whether there are several.
    """

    epoch: int
    number: int
    first: int
    indices: Any
    batched: bool

    @property
    def samples(self) -> int:
        """How many samples it has."""
        return len(self.indices) if self.batched else 1


class _Keyed(Dataset[Any]):
    """A dataset whose samples are a DataLoader's batches."""

    def __init__(self, loader: DataLoader[Any], key: int) -> None:
        self._dataset: Any = loader.dataset
        self._collate: Callable[[Any], Any] = loader.collate_fn
        self._at_once = _reads_at_once(loader.dataset)
        self._key = key

    def __getitem__(self, turn: _Turn) -> Any:
        with keyed(self._key, turn.epoch, turn.number, _COLLATING):
            samples = self._samples(turn)
            start_streams(self._key, turn.epoch, turn.number, _COLLATING)
            return self._collate(samples)

    def _samples(self, turn: _Turn) -> Any:
        if not turn.batched:
            return self._sample(turn.indices, turn.epoch, turn.first)
        if self._at_once:
            start_streams(self._key, turn.epoch, turn.first, _READING)
            return self._dataset.__getitems__(turn.indices)
        return [
            self._sample(index, turn.epoch, number)
            for number, index in enumerate(turn.indices, turn.first)
        ]

    def _sample(self, index: Any, epoch: int, number: int) -> Any:
        start_streams(self._key, epoch, number, _READING)
        return self._dataset[index]

    def __getstate__(self) -> bytes:
        return _pickled(self.__dict__)

    def __setstate__(self, state: bytes) -> None:
        self.__dict__.update(_unpickled(state))


class _Deaf:
    """What a worker begins with: the signals that end a run are the main process's to handle.

    They reach the whole group of processes. A worker that died of one would end the run with an
    error of its own.
    """

    def __init__(self, then: Callable[[int], None] | None) -> None:
        self._then = then

    def __call__(self, worker: int) -> None:
        for name in _IGNORED:
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), signal.SIG_IGN)
        if self._then is not None:
            self._then(worker)

    def __getstate__(self) -> bytes:
        return _pickled(self.__dict__)

    def __setstate__(self, state: bytes) -> None:
        self.__dict__.update(_unpickled(state))


def with_deaf_workers(loader: DataLoader[Any]) -> DataLoader[Any]:
    """Let a DataLoader's workers, if it has any, leave signals to the main process."""
    if loader.num_workers and not isinstance(loader.worker_init_fn, _Deaf):
        loader.worker_init_fn = _Deaf(loader.worker_init_fn)
    return loader


def let_be_killed(batches: Any) -> None:
    """Let workers that do not end be killed: they do not hear when they are asked to."""
    for worker in getattr(batches, "_workers", ()):
        worker.terminate = worker.kill
        # Of those that are left when the process ends, multiprocessing asks what is behind them.
        behind: Any = getattr(worker, "_popen", None)
        if hasattr(behind, "kill") and hasattr(signal, "SIGCHLD"):
            behind.terminate = partial(_end_quietly, behind.kill)


def _end_quietly(kill: Callable[[], object]) -> None:
    # For torch, a worker that is killed has failed, also while the process ends: it would raise.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    kill()


_END = object()

_READING, _COLLATING = 1, 2  # what the streams of a sample, and of its batch, are started for


def _reads_at_once(dataset: Any) -> bool:
    """Whether a dataset has a way of its own of reading several samples.

    A Subset only passes on that of what it is a part of.
    """
    while isinstance(dataset, Subset):
        dataset = dataset.dataset
    return hasattr(dataset, "__getitems__")


def _as_it_is(batch: Any) -> Any:
    return batch


def _pickled(value: Any) -> bytes:
    """Pickle what a worker gets that does not inherit this process's memory.

    A recipe's folder is a package that only this process knows (nvn/folder_package.py): the
    worker makes it before it reads what refers to it.
    """
    return pickle.dumps((made_packages(), pickle.dumps(value)))


def _unpickled(state: bytes) -> Any:
    packages, value = pickle.loads(state)
    for folder in packages:
        make_package(folder)
    return pickle.loads(value)
