"""Computing without leaving a trace: buffers, modes, gradients and random streams are lent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

Slot = tuple[nn.Module, str]  # a submodule and the name of one of its buffers
Container = dict[Any, Any] | list[Any] | set[Any]


@contextmanager
def lent_buffers(modules: Mapping[str, nn.Module]) -> Iterator[Callable[[Iterable[str]], None]]:
    """Let modules work on copies of their buffers; put the originals back at the end.

    Yields `keep(names)`: the named modules' originals take over what the copies have become. The
    originals are not written to before, so a graph that saved one of them stays valid.
    """
    originals = {name: _buffers(module) for name, module in modules.items()}

    def keep(names: Iterable[str]) -> None:
        for name in names:
            for (owner, key), buffer in originals.get(name, {}).items():
                _overwrite(buffer, getattr(owner, key))

    everyones = {slot: b for buffers in originals.values() for slot, b in buffers.items()}
    with with_buffers(_copied(everyones)):
        yield keep


def copied_buffers(module: nn.Module) -> dict[Slot, Tensor]:
    """Return copies of a module's buffers as they are now."""
    return _copied(_buffers(module))


@contextmanager
def with_buffers(buffers: Mapping[Slot, Tensor]) -> Iterator[None]:
    """Let modules work on other buffers; put those back at the end that they had before."""
    before = {(owner, key): getattr(owner, key) for owner, key in buffers}
    _put(buffers)
    try:
        yield
    finally:
        _put(before)


def _put(buffers: Mapping[Slot, Tensor]) -> None:
    for (owner, key), buffer in buffers.items():
        setattr(owner, key, buffer)


def _buffers(module: nn.Module) -> dict[Slot, Tensor]:
    return {
        (owner, key): buffer
        for owner in module.modules()
        for key, buffer in owner.named_buffers(recurse=False, remove_duplicate=False)
    }


def _copied(buffers: Mapping[Slot, Tensor]) -> dict[Slot, Tensor]:
    """Copy each buffer once, also if it has several owners."""
    copies = {buffer: buffer.clone() for buffer in dict.fromkeys(buffers.values())}
    return {slot: copies[buffer] for slot, buffer in buffers.items()}


@torch.no_grad()
def _overwrite(buffer: Tensor, new: Tensor) -> None:
    if buffer.shape != new.shape:
        buffer.resize_(new.shape)  # a buffer that grows, such as a queue being filled
    buffer.copy_(new)


@contextmanager
def lent_attributes(modules: Iterable[nn.Module]) -> Iterator[None]:
    """Put the attributes of modules back at the end: caches filled meanwhile are forgotten."""
    parts = [part for module in modules for part in module.modules()]
    attributes = [(vars(part), dict(vars(part))) for part in parts]
    inside = [x for _, before in attributes for x in before.values()]
    containers = [(x, x.copy()) for x in inside if type(x) in (dict, list, set)]
    try:
        yield
    finally:
        for present, before in attributes + containers:
            _restore(present, before)


def _restore(present: Container, before: Container) -> None:
    if isinstance(present, list):
        present[:] = before
    else:
        present.clear()
        present.update(before)


@contextmanager
def mode(module: nn.Module, training: bool) -> Iterator[None]:
    """Run `module` in training or in eval mode; each submodule's own mode comes back at the end."""
    if module.training == training:
        yield
        return
    before = {part: part.training for part in module.modules()}
    module.train(training)
    try:
        yield
    finally:
        for part, flag in before.items():
            part.training = flag


@contextmanager
def learning(
    parameters: Mapping[str, Iterable[nn.Parameter]], movers: Iterable[str]
) -> Iterator[None]:
    """Let only the movers' parameters require gradients: autograd then stores no one else's."""
    movers = set(movers)
    idle = [p for name, group in parameters.items() if name not in movers for p in group]
    for parameter in idle:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in idle:
            parameter.requires_grad_(True)


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Run with the global random streams started from `seed`; they continue as before after."""
    streams = [torch.default_generator]
    if device.type == "cuda":
        streams.append(torch.cuda.default_generators[device.index or 0])
    before = [stream.get_state() for stream in streams]
    for stream in streams:
        stream.manual_seed(seed)
    try:
        yield
    finally:
        for stream, state in zip(streams, before, strict=True):
            stream.set_state(state)
