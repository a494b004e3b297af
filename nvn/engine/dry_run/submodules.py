"""Where in a module a failure was: in which of its parts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn
from torch.utils.hooks import RemovableHandle

from nvn.engine.operations import describe


class innermost:
    """Notes which part of a module is running; its value is a function that says where it failed.

    (A class, as in nvn/engine/module_state.py.)
    """

    def __init__(self, module: nn.Module | None) -> None:
        self._parts = [] if module is None else [*module.named_modules()][1:]
        self._running: list[tuple[str, nn.Module, Any]] = []
        self._handles: list[RemovableHandle] = []

    def __enter__(self) -> Callable[[], str]:
        for name, part in self._parts:
            self._handles += _hooked(part, self._entering(name), self._leave)
        return self._failing

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()

    def _entering(self, name: str) -> Callable[..., None]:
        return lambda module, args: self._running.append((name, module, args))

    def _leave(self, *_: Any) -> None:
        self._running.pop()

    def _failing(self) -> str:
        if not self._running:
            return ""
        name, part, args = self._running[-1]
        kind = repr(part).splitlines()[0].rstrip("(")
        return f" (in its part {name!r}, {kind}, given {describe(args)})"


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
