"""What computing a node does beside its result: what it changes, and where it draws from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from nvn import pytree
from nvn.engine.dry_run.inspection import dense, is_tensor
from nvn.engine.module_state import Attributes, with_buffers
from nvn.engine.runtime import buffers_at, copied, places_of
from nvn.streams import moved, streams

_CLOSE = 1e-2  # of the largest: what operations of a GPU that add up in any order stay far below


class Untouched:
    """How a module and the random streams are before a node is computed.

    Args:
        module: The module that the node calls, if it is a call.
    """

    def __init__(self, module: nn.Module | None) -> None:
        modules = [] if module is None else [module]
        self._attributes = Attributes(modules)
        self._buffers = copied(buffers_at(place for m in modules for place in places_of(m)))
        self._parameters = {
            name: (parameter, parameter.detach().clone())
            for m in modules
            for name, parameter in m.named_parameters()
            if not nn.parameter.is_lazy(parameter)
        }
        self._streams = streams()

    def drawn(self) -> list[str]:
        """Return which global streams have been drawn from since, in words."""
        return moved(self._streams, streams())

    def changed(self) -> list[str]:
        """Return which parameters have changed since, in whatever way; they are as before now."""
        found = [
            name
            for name, (parameter, before) in self._parameters.items()
            if not same(parameter.detach(), before, close=0.0)
        ]
        with torch.no_grad():
            for name in found:
                parameter, before = self._parameters[name]
                parameter.copy_(before)
        return found

    def again(self) -> with_buffers:
        """Let a second computation begin with what the first one began with."""
        self._attributes.restore()
        return with_buffers(self._buffers)


def same(one: Any, other: Any, *, close: float = _CLOSE) -> bool:
    """Whether two results are the same, but for what rounding may make.

    >>> same(torch.ones(2), torch.ones(2) + 1e-6), same(torch.ones(2), torch.zeros(2))
    (True, False)
    """
    pairs = [[x for x in pytree.leaves(value) if is_tensor(x)] for value in (one, other)]
    if len(pairs[0]) != len(pairs[1]):
        return False
    return all(_same(x, y, close) for x, y in zip(*pairs, strict=True))


def _same(x: Tensor, y: Tensor, close: float) -> bool:
    if x.shape != y.shape or x.dtype is not y.dtype:
        return False
    x, y = dense(x.detach()), dense(y.detach())
    if not (x.is_floating_point() or x.is_complex()) or not x.numel():
        return bool(torch.equal(x, y))
    scale = float(x.abs().nan_to_num(nan=0.0, posinf=0.0).max())
    return bool(torch.allclose(x, y, rtol=close, atol=close * scale, equal_nan=True))


def floating(values: Mapping[Any, Any] | Any) -> Iterator[Tensor]:
    """Yield the tensors of a value through which gradients can flow."""
    for leaf in pytree.leaves(values):
        if is_tensor(leaf) and (leaf.is_floating_point() or leaf.is_complex()):
            yield leaf
