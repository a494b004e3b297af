"""What each kind of node computes, once its arguments are there."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from nvn import tree
from nvn.errors import DataError, RunError
from nvn.isolation import mode, seeded
from nvn.placement import Placement
from nvn.values import Apply, Batch, Call, Gradient, Item, Noise, Op, Sample, StopGradient, Value


class Operations:
    """Computes nodes, on the modules of a game."""

    def __init__(self, modules: Mapping[str, nn.Module], placement: Placement) -> None:
        self._modules = modules
        self._devices = {name: _home(module) for name, module in modules.items()}
        self._placement = placement

    def call(self, op: Call, args: Any, kwargs: Any, seed: int, training: bool) -> Any:
        """Call a player's module, all that it draws at random starting from `seed`."""
        name = op.player.name
        module = self._modules[name]
        with (
            mode(module, training and op.training),
            seeded(seed, self._devices[name] or device_of((args, kwargs))),
            self._placement.calling(),
        ):
            function = module if op.method == "forward" else getattr(module, op.method)
            return self._placement.output(function(*args, **kwargs))

    def other(
        self,
        op: Op,
        args: Any,
        kwargs: Any,
        batch: Mapping[str, Any],
        seed: int,
        onward: bool = True,
    ) -> Any:
        """Compute what is no call; a sample that the batch gives is that."""
        match op:
            case Noise(name) | Sample(name) if name in batch:
                return batch[name]
            case Batch(name):
                if name not in batch:
                    raise DataError(f"the batch has no {name!r}; it has: {', '.join(batch)}")
                return batch[name]
            case Noise(_, shape):
                with self._placement.computing():
                    return _noise(shape, args[0], seed)
            case Sample(_, fn):
                with self._placement.computing():
                    return _sample(fn, batch, seed)
            case Apply(fn):
                with self._placement.computing():
                    return fn(*args, **kwargs)
            case Item(index):
                return args[0][index]
            case StopGradient():
                return tree.map_leaves(detached, args[0])
            case Gradient():
                return _slope(*args, onward=onward)
        raise AssertionError(op)


def _slope(y: Tensor, x: Tensor, *, onward: bool) -> Tensor:
    found = (
        torch.autograd.grad(y.sum(), x, retain_graph=True, create_graph=onward, allow_unused=True)
        if y.requires_grad
        else (None,)
    )
    if found[0] is None:
        raise RunError(
            "the gradient of y with respect to x is asked for, but y was not computed from x: a "
            "module ignores this input, or detaches it"
        )
    return found[0]


# --- randomness -------------------------------------------------------------------------------


def _noise(shape: tuple[int, ...], like: Tensor, seed: int) -> Tensor:
    generator = torch.Generator(like.device).manual_seed(seed)
    dtype = like.dtype if like.dtype.is_floating_point else torch.get_default_dtype()
    size = (len(like), *shape)
    return torch.randn(size, generator=generator, dtype=dtype, device=like.device)


def _sample(fn: Any, batch: Mapping[str, Any], seed: int) -> Any:
    return fn(torch.Generator(device_of(dict(batch))).manual_seed(seed), dict(batch))


def mixed(*numbers: int) -> int:
    """Return a 63-bit number that depends on all of `numbers`."""
    packed = struct.pack(f"<{len(numbers)}Q", *(n % 2**64 for n in numbers))
    return int.from_bytes(hashlib.blake2b(packed, digest_size=8).digest(), "little") >> 1


# --- tensors ----------------------------------------------------------------------------------


def detached(leaf: Any) -> Any:
    """Return a tensor as a constant; anything else as it is."""
    return leaf.detach() if isinstance(leaf, Tensor) else leaf


def differentiable(value: Tensor) -> Tensor:
    """Return `value` as something that a gradient can be taken with respect to.

    As a tensor of its own: a module's other outputs may be made from this one inside the module,
    and a gradient with respect to it follows the game's values, not what goes on in a module.
    """
    return value.view_as(value) if value.requires_grad else value.detach().requires_grad_()


def _home(module: nn.Module) -> torch.device | None:
    """Return the device that a module is on; None if it has no tensors, and so is nowhere."""
    return next((t.device for t in chain(module.parameters(), module.buffers())), None)


def device_of(tensors: Any) -> torch.device:
    """Return the device of a tree of tensors; the CPU if it has none."""
    found = (x.device for x in tree.leaves(tensors) if isinstance(x, Tensor))
    return next(found, torch.device("cpu"))


# --- what is said -----------------------------------------------------------------------------


def where(node: Value, values: Mapping[Value, Any]) -> str:
    """Say which node failed, and what it was given."""
    shapes = ", ".join(f"{v}: {describe(values.get(v))}" for v in node.inputs)
    return f"while computing `{node}` ({node.where})" + (f" from {shapes}" if shapes else "")


def describe(value: Any) -> str:
    """Return the shape of a tensor, or the shapes in a tree of them."""
    if isinstance(value, Tensor):
        return str(tuple(value.shape))
    if isinstance(value, dict):
        return f"{{{', '.join(f'{k!r}: {describe(v)}' for k, v in value.items())}}}"
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(describe, value))}]"
    return type(value).__name__


def no_path(player: str) -> str:
    """Say that a player's objective has no gradient."""
    return (
        f"the objective of `{player}` has no gradient: something between its calls of `{player}` "
        "and its energies detaches (a module that calls .detach(), .item() or torch.no_grad(), or "
        "parameters that do not require gradients)"
    )
