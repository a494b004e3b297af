"""What computing costs: exact floating-point operations, and the bytes that are held."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from nvn import pytree


@dataclass(frozen=True)
class Costs:
    """What something cost.

    Attributes:
        flops: Floating-point operations, as `Meter` counts them.
        peak: The most bytes held at once, beyond what was there before.
    """

    flops: int
    peak: int


class Meter(TorchDispatchMode):
    """Counts what is computed while it is on.

    Attributes:
        flops: Floating-point operations of matrix products and convolutions, forward and backward
            (what torch.utils.flop_counter knows); elementwise operations are not among them.
        peak: The most bytes held at once, in tensors made since it is on.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.flops = 0
        self.peak = 0
        self._held: dict[int, tuple[StorageWeakRef, int]] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Count one operation, and do it."""
        known = {*_storages((args, dict(kwargs or {})))}
        result = func(*args, **(kwargs or {}))
        count = flop_registry.get(func._overloadpacket)
        if count is not None:
            self.flops += count(*args, **(kwargs or {}), out_val=result)
        self._note(result, known)
        return result

    def _note(self, result: Any, known: set[int]) -> None:
        self._held = {key: kept for key, kept in self._held.items() if not _is_gone(kept[0])}
        for tensor in _tensors(result):
            storage = tensor.untyped_storage()
            if storage._cdata not in self._held and storage._cdata not in known:
                reference = StorageWeakRef(storage)  # type: ignore[no-untyped-call]
                self._held[storage._cdata] = (reference, storage.nbytes())
        self.peak = max(self.peak, sum(size for _, size in self._held.values()))


def _is_gone(reference: StorageWeakRef) -> bool:
    return bool(reference.expired())  # type: ignore[no-untyped-call]


def _tensors(part: Any) -> Iterator[Tensor]:
    return (leaf for leaf in pytree.leaves(part) if isinstance(leaf, Tensor))


def _storages(part: Any) -> Iterator[int]:
    return (tensor.untyped_storage()._cdata for tensor in _tensors(part))


def measured(run: Callable[[], object]) -> Costs:
    """Run something, and return what it cost."""
    meter = Meter()
    with meter:
        run()
    return Costs(meter.flops, meter.peak)
