"""The processes that play one game together, each on its share of every batch.

Players are placed in each of them, not wrapped: gradients are averaged where the program says, when
a player's are complete. Every process sees the same averages, so that players stay the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
import torch.distributed as dist
from torch import Tensor

from nvn import pytree
from nvn.data.share import Share
from nvn.streams import mixed

if TYPE_CHECKING:
    from lightning_fabric import Fabric

__all__ = ["ALONE", "Arriving", "Processes"]

BUCKET = 25 * 2**20
"""Bytes that are averaged in one message, at most (but one tensor is never cut)."""

Gradients: TypeAlias = Sequence[Tensor | None]


@dataclass(frozen=True)
class Processes:
    """Who plays along.

    Attributes:
        rank: The number of this process, from 0.
        count: How many there are.
    """

    rank: int = 0
    count: int = 1

    @staticmethod
    def of(fabric: Fabric | None) -> Processes:
        """Return the processes that a Fabric has launched."""
        return ALONE if fabric is None else Processes(fabric.global_rank, fabric.world_size)

    @property
    def together(self) -> bool:
        """Whether there are several."""
        return self.count > 1

    # --- draws ---

    def own(self, seed: int) -> int:
        """Return a seed of this process's own: dropout of two must not be the same."""
        return mixed(seed, self.rank) if self.rank else seed

    def share(self, whole: Any, length: int) -> Any:
        """Return this process's part of what was drawn for all.

        Args:
            whole: A tree of tensors; those of `count · length` samples are divided.
            length: How many samples a process has.
        """
        return Share(self.rank, self.count).part(whole, self.count * length)

    def gathered(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Return the batches of all processes as one: entries (B, …) become (count · B, …)."""

        def joined(x: Any) -> Any:
            if not (isinstance(x, Tensor) and x.ndim):
                return x
            parts = [torch.empty_like(x) for _ in range(self.count)]
            dist.all_gather(parts, x.contiguous())
            return torch.cat(parts)

        return {name: pytree.map_leaves(joined, value) for name, value in batch.items()}

    # --- averages ---

    def mean(self, x: Tensor) -> Tensor:
        """Return the mean of a constant over all processes."""
        if not self.together:
            return x.detach()
        total = x.detach().clone()
        dist.all_reduce(total)
        return total / self.count

    def means(self, numbers: Sequence[Tensor]) -> list[Tensor]:
        """Return the means of scalar constants over all processes, in one message."""
        if not self.together:
            return [x.detach() for x in numbers]
        if not numbers:
            return []
        total = torch.stack([x.detach().to(torch.float64) for x in numbers])
        dist.all_reduce(total)
        return [*(total / self.count).unbind()]

    def averaging(self, parameters: Sequence[Tensor], gradients: Gradients) -> Arriving:
        """Begin to average the gradients of parameters; they have arrived after its `wait`."""
        return Arriving(self.count, parameters, gradients)

    def copy_first(self, tensors: Sequence[Tensor]) -> None:
        """Let tensors become those of the first process, in place."""
        with torch.no_grad():
            for bucket in _buckets(tensors):
                flat = _flat(bucket)
                dist.broadcast(flat, src=0)
                for mine, first in zip(bucket, _parts(flat, bucket), strict=True):
                    mine.copy_(first)


ALONE = Processes()


class Arriving:
    """Gradients on their way to the average over all processes.

    Those that no process has stay None; where some have one, it counts as zero in the others.

    Args:
        count: How many processes there are.
        parameters: The parameters.
        gradients: One for each of them.
    """

    def __init__(self, count: int, parameters: Sequence[Tensor], gradients: Gradients) -> None:
        self._count = count
        self._parameters = parameters
        self._there = torch.tensor(
            [gradient is not None for gradient in gradients],
            dtype=torch.int32,
            device=parameters[0].device if parameters else None,
        )
        self._sparse = {i: g for i, g in enumerate(gradients) if g is not None and g.is_sparse}
        dense = {
            i: torch.zeros_like(p) if g is None else g.detach()
            for i, (p, g) in enumerate(zip(parameters, gradients, strict=True))
            if i not in self._sparse
        }
        self._places = {id(gradient): i for i, gradient in dense.items()}
        self._buckets = [(bucket, _flat(bucket)) for bucket in _buckets([*dense.values()])]
        flats = [flat for _, flat in self._buckets]
        self._works = [dist.all_reduce(x, async_op=True) for x in (self._there, *flats)]

    def wait(self) -> list[Tensor | None]:
        """Return the averages, once all have arrived."""
        for work in self._works:
            work.wait()
        found: list[Tensor | None] = [None] * len(self._parameters)
        for bucket, flat in self._buckets:
            flat /= self._count
            for mine, mean in zip(bucket, _parts(flat, bucket), strict=True):
                found[self._places[id(mine)]] = mean
        for i, gradient in self._sparse.items():
            found[i] = _sparse_mean(gradient, self._count)
        there = self._there.tolist()
        return [x if n else None for x, n in zip(found, there, strict=True)]


def _sparse_mean(gradient: Tensor, count: int) -> Tensor:
    """Average sparse gradients, which have rows of their own in each process."""
    mine = gradient.detach().coalesce()
    lengths = [torch.zeros((), dtype=torch.int64, device=mine.device) for _ in range(count)]
    dist.all_gather(lengths, torch.tensor(mine.values().shape[0], device=mine.device))
    longest = max(int(length) for length in lengths)
    indices = _gathered(mine.indices().t(), longest, count)
    values = _gathered(mine.values(), longest, count)
    parts = [
        torch.sparse_coo_tensor(i[: int(n)].t(), v[: int(n)], mine.shape)
        for i, v, n in zip(indices, values, lengths, strict=True)
    ]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return (total / count).coalesce()


def _gathered(rows: Tensor, longest: int, count: int) -> list[Tensor]:
    """Return the rows of all processes, (longest, …) each: what lacks is anything."""
    padded = rows.new_zeros((longest, *rows.shape[1:]))
    padded[: len(rows)] = rows
    parts = [torch.empty_like(padded) for _ in range(count)]
    dist.all_gather(parts, padded)
    return parts


def _flat(tensors: Sequence[Tensor]) -> Tensor:
    """Return tensors in one dimension, one after the other: a copy. Complex ones as pairs."""
    return torch.cat([_real(tensor).reshape(-1) for tensor in tensors])


def _parts(flat: Tensor, like: Sequence[Tensor]) -> Iterator[Tensor]:
    """Yield views of a flat tensor, shaped as those that it was made of."""
    sizes = [_real(tensor).numel() for tensor in like]
    for part, tensor in zip(torch.split(flat, sizes), like, strict=True):
        shaped = part.view(_real(tensor).shape)
        yield torch.view_as_complex(shaped) if tensor.is_complex() else shaped


def _real(tensor: Tensor) -> Tensor:
    return torch.view_as_real(tensor) if tensor.is_complex() else tensor


def _buckets(tensors: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Yield tensors in groups of one dtype and device, each of `BUCKET` bytes at most."""
    kinds: dict[tuple[torch.dtype, torch.device], list[Tensor]] = {}
    for tensor in tensors:
        kinds.setdefault((tensor.dtype, tensor.device), []).append(tensor)
    for group in kinds.values():
        bucket: list[Tensor] = []
        size = 0
        for tensor in group:
            if bucket and size + tensor.nbytes > BUCKET:
                yield bucket
                bucket, size = [], 0
            bucket.append(tensor)
            size += tensor.nbytes
        yield bucket
