"""What each kind of node computes, once its arguments are there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from nvn.engine.iteration import device_of, standard_normal
from nvn.engine.module_state import mode
from nvn.engine.precision import Precision
from nvn.engine.runtime import NoPathError, detached, gradient
from nvn.engine.seeding import Generators
from nvn.errors import DataError, RunError
from nvn.game.ops import Apply, Batch, Call, Gradient, Item, Noise, Op, Sample, StopGradient
from nvn.game.values import Value

Operation: TypeAlias = Callable[[Any, Any, Mapping[str, Any], int], Any]
"""From arguments, keyword arguments, the batch and a seed to a value."""


class Operations:
    """Computes nodes, on the modules of a game."""

    def __init__(self, modules: Mapping[str, nn.Module], precision: Precision) -> None:
        self._modules = modules
        self._devices = {name: _home(module) for name, module in modules.items()}
        self._precision = precision
        self._generators = Generators()

    def device(self, op: Call, args: Any, kwargs: Any) -> torch.device:
        """Return where a call computes, and draws."""
        return self._devices[op.player] or device_of((args, kwargs))

    @property
    def devices(self) -> frozenset[torch.device]:
        """Where the modules are."""
        return frozenset(device for device in self._devices.values() if device is not None)

    def call(self, op: Call, *, training: bool) -> Callable[[Any, Any], Any]:
        """Return what calls a player's module: a function of arguments and keyword arguments."""
        module, training = self._modules[op.player], training and op.training
        callable_module = self._precision.calling(module)

        def called(args: Any, kwargs: Any) -> Any:
            method = op.method
            function = callable_module if method == "forward" else getattr(callable_module, method)
            with mode(module, training):
                return function(*args, **kwargs)

        return called

    def other(self, op: Op) -> Operation:
        """Return what computes a node that is no call; a sample that the batch gives is that."""
        match op:
            case Apply(fn):
                return self._applying(fn)
            case Batch(name):
                return partial(_of_batch, name)
            case Noise() | Sample():
                return self._drawing(op)
            case Item(index):
                return lambda args, kwargs, batch, seed: args[0][index]
            case StopGradient():
                return lambda args, kwargs, batch, seed: detached(args[0])
            case Gradient():
                return lambda args, kwargs, batch, seed: _slope(*args)
        raise AssertionError(op)

    def _applying(self, fn: Callable[..., Any]) -> Operation:
        function = self._precision.applying(fn)
        return lambda args, kwargs, batch, seed: function(*args, **kwargs)

    def _drawing(self, op: Noise | Sample) -> Operation:
        def drawn(args: Any, kwargs: Any, batch: Mapping[str, Any], seed: int) -> Any:
            if op.name in batch:
                return batch[op.name]
            with self._precision.computing():
                if isinstance(op, Noise):
                    generator = self._generators.at(args[0].device, seed)
                    return standard_normal(op.shape, args[0], generator)
                return op.fn(self._generators.at(device_of(dict(batch)), seed), dict(batch))

        return drawn


def _of_batch(name: str, args: Any, kwargs: Any, batch: Mapping[str, Any], seed: int) -> Any:
    if name not in batch:
        raise DataError(f"the batch has no {name!r}; it has: {', '.join(batch)}")
    return batch[name]


def _slope(y: Tensor, x: Tensor) -> Tensor:
    return slopes(y, [x], create_graph=True)[0]


def slopes(y: Tensor, xs: Sequence[Tensor], *, create_graph: bool) -> tuple[Tensor, ...]:
    """Return ∂(sum of y)/∂x for each of `xs`.

    Raises:
        RunError: y was not computed from one of them.
    """
    try:
        return gradient(y, xs, create_graph=create_graph)
    except NoPathError as error:
        raise RunError(str(error)) from None


def _home(module: nn.Module) -> torch.device | None:
    """Return the device that a module is on; None if it has no tensors, and so is nowhere."""
    return next((t.device for t in chain(module.parameters(), module.buffers())), None)


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
