"""Where in a module a failure was: in which of its parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn
from torch.utils.hooks import RemovableHandle

from nvn.engine.operations import describe


@contextmanager
def innermost(module: nn.Module | None) -> Iterator[Callable[[], str]]:
    """Note which part of a module is running; yields a function that says where a failure was."""
    running: list[tuple[str, nn.Module, Any]] = []
    handles: list[RemovableHandle] = []

    def enter(name: str) -> Callable[..., None]:
        return lambda module, args: running.append((name, module, args))

    def leave(*_: Any) -> None:
        running.pop()

    for name, part in () if module is None else module.named_modules():
        if name:
            handles += _hooked(part, enter(name), leave)

    def failing() -> str:
        if not running:
            return ""
        name, part, args = running[-1]
        kind = repr(part).splitlines()[0].rstrip("(")
        return f" (in its part {name!r}, {kind}, given {describe(args)})"

    try:
        yield failing
    finally:
        for handle in handles:
            handle.remove()


def _hooked(
    part: nn.Module, enter: Callable[..., None], leave: Callable[..., None]
) -> list[RemovableHandle]:
    """Call `enter` and `leave` around a part's forward, where it takes hooks (scripted: none)."""
    handles: list[RemovableHandle] = []
    try:
        handles.append(part.register_forward_pre_hook(enter))
        handles.append(part.register_forward_hook(leave))
    except Exception:  # noqa: BLE001  (both or none; without, a failure is told less precisely)
        for handle in handles:
            handle.remove()
        return []
    return handles
