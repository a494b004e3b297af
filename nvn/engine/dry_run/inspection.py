"""Looking at the tensors of a value: who changed them, what is behind them, where they hide."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from types import FunctionType, MethodType
from typing import Any

import torch
from torch import Tensor

from nvn import pytree
from nvn.engine.runtime import detached


def is_tensor(x: Any) -> bool:
    """Tell whether something is a tensor."""
    return isinstance(x, Tensor)


def dense(tensor: Tensor) -> Tensor:
    """Return a tensor's numbers, zeros that a sparse one leaves out among them."""
    return tensor if tensor.layout is torch.strided else tensor.to_dense()


def constant(value: Any) -> Any:
    """Return a tree with its tensors cut off from autograd's graph."""
    return detached(value)


def versions(value: Any) -> list[int]:
    """Return how often each tensor of a tree was changed in place."""
    tensors = (leaf for leaf in pytree.leaves(value) if is_tensor(leaf))
    return [tensor._version for tensor in tensors if not tensor.is_inference()]


def leaves_behind(value: Any) -> list[Tensor]:
    """Return the leaves of autograd's graph behind `value`."""
    results = [leaf for leaf in pytree.leaves(value) if is_tensor(leaf) and leaf.requires_grad]
    found = [result for result in results if result.grad_fn is None]
    waiting = [result.grad_fn for result in results]
    seen: set[Any] = {None}
    while waiting:
        function = waiting.pop()
        if function not in seen:
            seen.add(function)
            waiting += [before for before, _ in function.next_functions]
            found += [function.variable] if hasattr(function, "variable") else []
    return found


def hides_tensors(leaf: Any, depth: int = 4) -> bool:
    """Tell whether a leaf of a tree, which is no tensor, has tensors inside that could learn."""
    if isinstance(leaf, type) or is_tensor(leaf):
        return False
    inside = [x for part in _inside(leaf) for x in pytree.leaves(part)]
    learning = (x for x in inside if is_tensor(x))
    if any(x.is_floating_point() or x.is_complex() for x in learning):
        return True
    return depth > 0 and any(hides_tensors(x, depth - 1) for x in inside)


def _inside(x: Any) -> Iterator[Any]:
    """Yield what an object is made of."""
    if isinstance(x, FunctionType):
        yield from (cell.cell_contents for cell in x.__closure__ or ())
    elif isinstance(x, MethodType):
        yield x.__self__
    elif isinstance(x, partial):
        yield from (x.func, x.args, x.keywords)
    elif isinstance(x, set | frozenset):
        yield from x
    yield from getattr(x, "__dict__", {}).values()
    slots = [name for kind in type(x).__mro__ for name in getattr(kind, "__slots__", ())]
    yield from (getattr(x, name) for name in slots if hasattr(x, name))
