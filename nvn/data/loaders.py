"""What data may be: loaders of batches, and what some of them can do besides."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable

from nvn.data.share import Share

__all__ = ["Batch", "Data", "Divisible", "Loader", "Position", "Sampled", "Seekable", "Stateful"]

Batch: TypeAlias = Mapping[str, Any]
Loader: TypeAlias = Iterable[Batch]
Data: TypeAlias = Loader | Mapping[str, Loader] | Callable[[], Loader | Mapping[str, Loader]]


@runtime_checkable
class Seekable(Protocol):
    """Data without a state of their own: any epoch can be read, from any batch on.

    >>> import nvn, torch
    >>> isinstance(nvn.data.TensorBatches({"x": torch.zeros(4, 1)}, batch_size=2), Seekable)
    True
    """

    def batches_from(self, epoch: int, start: int) -> Iterator[Batch]:
        """Iterate over the batches of an epoch, from batch `start` on."""
        ...


@runtime_checkable
class Divisible(Protocol):
    """Data of which several processes read a share each, without reading all of it.

    >>> import nvn, torch
    >>> numbers = nvn.data.TensorBatches({"x": torch.arange(8)}, batch_size=2, shuffle=False)
    >>> [batch["x"].tolist() for batch in numbers.share_from(0, 0, Share(rank=1, count=2))]
    [[2, 3], [6, 7]]
    """

    def share_from(self, epoch: int, start: int, share: Share) -> Iterator[Batch]:
        """Iterate over one process's batches of an epoch, from batch `start` of all on."""
        ...


@runtime_checkable
class Sampled(Protocol):
    """Data that are slow to make, but of which one batch is quickly made, for `nvn check`.

    >>> import nvn, torch
    >>> class Rendered:
    ...     def __iter__(self) -> Iterator[Batch]:
    ...         raise RuntimeError("minutes of rendering")
    ...
    ...     def sample(self) -> Batch:
    ...         return {"x": torch.zeros(2, 3)}
    >>> nvn.data.Batches(Rendered(), sampled=True).peek()["x"].shape
    torch.Size([2, 3])
    """

    def sample(self) -> Batch:
        """Return a batch like those that iterating gives."""
        ...


@runtime_checkable
class Stateful(Protocol):
    """A loader that says by itself how far it has been read, as torchdata's StatefulDataLoader.

    >>> import nvn, torch
    >>> isinstance(nvn.data.TensorBatches({"x": torch.zeros(4, 1)}, batch_size=2), Stateful)
    False
    """

    def __iter__(self) -> Iterator[Batch]:
        """Iterate over the batches of an epoch, or over the rest of the one that was loaded."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Return how far it has been read."""
        ...

    def load_state_dict(self, state_dict: dict[str, Any], /) -> None:
        """Let the next iteration go on from there."""
        ...


@dataclass(frozen=True, slots=True)
class Position:
    """How far one loader has been read: the epoch, and the batches already taken from it.

    (By all processes together, if several read it.)

    >>> import nvn, torch
    >>> stream = nvn.data.batches([{"x": torch.zeros(2)}, {"x": torch.ones(2)}])
    >>> _ = next(stream), next(stream), next(stream)
    >>> stream.position
    {'': Position(epoch=1, taken=1)}
    """

    epoch: int = 0
    taken: int = 0
