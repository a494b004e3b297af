"""Where tensors live, and in which precision: Fabric's answers, asked in one place."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from nvn import pytree

if TYPE_CHECKING:
    from lightning_fabric import Fabric


NOTHING: AbstractContextManager[None] = nullcontext()
HALVES = (torch.bfloat16, torch.float16)


class Placement:
    """Puts modules and batches in place. Without a Fabric, everything stays as and where it is.

    Players are placed, not wrapped: a wrapper's hooks know nothing of gradients that are taken
    with torch.autograd.grad, and every call would be cast, gradient penalties' too.
    """

    def __init__(self, fabric: Fabric | None) -> None:
        self._fabric = fabric

    def module(self, module: nn.Module) -> None:
        """Move a module to its device and dtype, in place."""
        if self._fabric is not None:
            self._fabric.strategy.precision.convert_module(module)
            self._fabric.to_device(module)

    def batch(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Return a batch on the device, its floating-point tensors in the run's dtype."""
        if self._fabric is None:
            return dict(batch)
        from lightning_fabric.plugins.precision import MixedPrecision

        moved: dict[str, Any] = self._fabric.to_device(dict(batch))
        precision = self._fabric.strategy.precision
        if not isinstance(precision, MixedPrecision):  # autocast casts what a module wants cast
            moved = precision.convert_input(moved)
        return moved

    def calling(self) -> AbstractContextManager[Any]:
        """Return the context of one module call.

        One context a call: autocast caches the weights it has cast for as long as its context
        lives, and would go on using the old ones after a step.
        """
        return NOTHING if self._fabric is None else self._fabric.autocast()

    def computing(self) -> AbstractContextManager[Any]:
        """Return the context of everything else: never autocast, so losses keep their precision.

        New floating-point tensors, such as noise, are of the run's dtype.
        """
        if self._fabric is None:
            return NOTHING
        context: AbstractContextManager[Any] = self._fabric.strategy.precision.tensor_init_context()
        return context

    @staticmethod
    def output(result: Any) -> Any:
        """Return what a module returned, half precision brought back to float32."""
        if isinstance(result, Tensor):
            return result.float() if result.dtype in HALVES else result
        return pytree.map_leaves(
            lambda x: x.float() if isinstance(x, Tensor) and x.dtype in HALVES else x, result
        )
