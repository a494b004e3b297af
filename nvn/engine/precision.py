"""Where tensors are, and in which precision: Fabric's answers, asked in one place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from itertools import chain
from operator import call
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from nvn import pytree

if TYPE_CHECKING:
    from lightning_fabric import Fabric


NOTHING: AbstractContextManager[None] = nullcontext()
HALVES = (torch.bfloat16, torch.float16)


class Precision:
    """Puts modules and batches in place. Without a Fabric, everything stays as and where it is.

    Players are placed, not wrapped: a wrapper's hooks know nothing of gradients that are taken
    with torch.autograd.grad, and every call would be cast, gradient penalties' too.
    """

    def __init__(self, fabric: Fabric | None) -> None:
        self._fabric = fabric
        # Nothing to place nor to cast: then modules and functions are called as they are.
        self.trivial = fabric is None or fabric.strategy.precision.precision == "32-true"

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

    def calling(self, module: nn.Module, forward: Callable[..., Any] | None = None) -> Any:
        """Return what to call instead of a module: the module itself, where nothing is to be done.

        Args:
            module: The module.
            forward: What to call for its forward; the module, if None.
        """
        forward = module if forward is None else forward
        if self.trivial and not any(t.dtype in HALVES for t in _tensors(module)):
            return forward
        return CastModule(module, forward, self._fabric)

    def computing(self) -> AbstractContextManager[Any]:
        """Return the context of everything else: never autocast, so losses keep their precision.

        New floating-point tensors, such as noise, are of the run's dtype.
        """
        if self._fabric is None:
            return NOTHING
        context: AbstractContextManager[Any] = self._fabric.strategy.precision.tensor_init_context()
        return context

    def back(self) -> tuple[Callable[[], None], ...]:
        """Return what restores what Fabric's contexts change, as it is now."""
        return () if self._fabric is None or self.trivial else (_Casting(self._fabric).restore,)

    def applying(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return what to call instead of a pure function: itself, where nothing is to be done."""
        if self.trivial:
            return function

        def applied(*args: Any, **kwargs: Any) -> Any:
            with self.computing():
                return function(*args, **kwargs)

        return applied


class _Casting:
    """How torch casts now: its default dtype, and autocast, whose contexts may be cut short.

    One whose end is missing leaves autocast's depth too high: it would keep the weights that it
    has cast for good, and so compute with old ones after a step.
    """

    def __init__(self, fabric: Fabric) -> None:
        self._device = fabric.device.type
        self._default = torch.get_default_dtype()
        self._enabled = torch.is_autocast_enabled(self._device)
        self._dtype = torch.get_autocast_dtype(self._device)
        self._caches = torch.is_autocast_cache_enabled()
        self._depth = _depth()

    def restore(self) -> None:
        """Let torch cast as it did."""
        torch.set_default_dtype(self._default)
        torch.set_autocast_enabled(self._device, self._enabled)
        torch.set_autocast_dtype(self._device, self._dtype)
        torch.set_autocast_cache_enabled(self._caches)
        while _depth() > self._depth:
            torch.autocast_decrement_nesting()
        torch.clear_autocast_cache()


def _depth() -> int:
    """Return how many of autocast's contexts there are around this."""
    # In one call, so that no KeyboardInterrupt comes in between.
    *_, depth = map(call, (torch.autocast_increment_nesting, torch.autocast_decrement_nesting))
    return depth


class CastModule:
    """A module whose calls run in Fabric's autocast, half precision brought back to float32.

    One context a call: autocast caches the weights it has cast for as long as its context lives,
    and would go on using the old ones after a step.
    """

    def __init__(
        self, module: nn.Module, forward: Callable[..., Any], fabric: Fabric | None
    ) -> None:
        self._module = module
        self._forward = forward
        self._fabric = fabric

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the module's forward."""
        return self._cast(self._forward, *args, **kwargs)

    def modules(self) -> Iterator[nn.Module]:
        """Yield the module and its parts."""
        return self._module.modules()

    def eval(self) -> None:
        """Set the module to eval mode."""
        self._module.eval()

    def __getattr__(self, method: str) -> Any:
        return partial(self._cast, getattr(self._module, method))

    def _cast(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        with NOTHING if self._fabric is None else self._fabric.autocast():
            return pytree.map_leaves(_raised, function(*args, **kwargs))


def _raised(x: Any) -> Any:
    return x.float() if isinstance(x, Tensor) and x.dtype in HALVES else x


def _tensors(module: nn.Module) -> Iterator[Tensor]:
    return chain(module.parameters(), module.buffers())
