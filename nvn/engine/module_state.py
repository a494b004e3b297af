"""Computing without leaving a trace: buffers, modes, gradients and random streams are lent."""

from __future__ import annotations

from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from typing import Any

import torch
from torch import Tensor, nn

Place = tuple[nn.Module, str]  # a submodule and the name of one of its buffers
Buffers = dict[Place, Tensor | None]
Container = dict[Any, Any] | list[Any] | set[Any] | deque[Any] | tuple[Any, ...]
CONTAINERS = (dict, OrderedDict, defaultdict, Counter, list, set, deque, tuple)


@contextmanager
def lent_buffers(modules: Mapping[str, nn.Module]) -> Iterator[Callable[[Iterable[str]], None]]:
    """Let modules work on copies of their buffers; put the originals back at the end.

    Yields `keep(names)`: the named modules' originals take over what the copies have become. The
    originals are not written to before, so a graph that saved one of them stays valid.
    """
    originals = {name: buffers_at(places_of(module)) for name, module in modules.items()}
    kept: list[tuple[Buffers, Buffers]] = []

    def keep(names: Iterable[str]) -> None:
        wanted = [originals[name] for name in names if name in originals]
        kept.extend((buffers, buffers_at(buffers)) for buffers in wanted)

    everyones = {place: b for buffers in originals.values() for place, b in buffers.items()}
    with with_buffers(copied(everyones)):
        yield keep
    for buffers, new in kept:
        overwrite(buffers, new)


def places_of(module: nn.Module) -> tuple[Place, ...]:
    """Return where a module has buffers, also where one is None so far."""
    return tuple((part, name) for part in module.modules() for name in _names(part))


def _names(part: nn.Module) -> Iterable[str]:
    if isinstance(part, torch.jit.ScriptModule):  # its buffers are no dict
        return [name for name, _ in part.named_buffers(recurse=False, remove_duplicate=False)]
    return part._buffers


def buffers_at(places: Iterable[Place]) -> Buffers:
    """Return the buffers that are there now."""
    return {(owner, name): getattr(owner, name) for owner, name in places}


def copied(buffers: Mapping[Place, Tensor | None]) -> Buffers:
    """Copy buffers: what was one tensor is one copy, views of one memory are so again."""
    distinct = {id(b): b for b in buffers.values() if b is not None}
    shared = Counter(map(_memory, distinct.values()))
    memories: dict[int, torch.UntypedStorage] = {}
    copies: dict[int, Tensor] = {}
    for key, buffer in distinct.items():
        memory = _memory(buffer)
        if buffer.is_contiguous() and (shared[memory] == 1 or not memory):
            copies[key] = buffer.detach().clone()
            continue
        if memory not in memories:
            memories[memory] = buffer.untyped_storage().clone()  # type: ignore[no-untyped-call]
        copy = torch.empty(0, dtype=buffer.dtype, device=buffer.device)
        place = (buffer.storage_offset(), buffer.shape, buffer.stride())
        copies[key] = copy.set_(memories[memory], *place)
    return {place: None if b is None else copies[id(b)] for place, b in buffers.items()}


def _memory(buffer: Tensor) -> int:
    return buffer.untyped_storage().data_ptr()


def overwrite(buffers: Mapping[Place, Tensor | None], new: Mapping[Place, Tensor | None]) -> None:
    """Let buffers become what others are now, in place where that can be."""
    with torch.no_grad():
        for (owner, name), buffer in buffers.items():
            value = new[owner, name]
            if buffer is None or value is None:
                setattr(owner, name, value)
                continue
            if buffer.shape != value.shape:
                buffer.resize_(value.shape)  # a buffer that grows, such as a queue being filled
            _once(buffer).copy_(_once(value))


def _once(buffer: Tensor) -> Tensor:
    """Return the part of an expanded tensor that is in memory, which can be written to."""
    if 0 not in buffer.stride():
        return buffer
    return buffer[tuple(slice(0, 1) if step == 0 else slice(None) for step in buffer.stride())]


@contextmanager
def with_buffers(buffers: Mapping[Place, Tensor | None]) -> Iterator[None]:
    """Let modules work on other buffers; put those back at the end that they had before."""
    before = buffers_at(buffers)
    _put(buffers)
    try:
        yield
    finally:
        _put(before)


def _put(buffers: Mapping[Place, Tensor | None]) -> None:
    for (owner, name), buffer in buffers.items():
        setattr(owner, name, buffer)


@contextmanager
def lent_attributes(modules: Iterable[nn.Module]) -> Iterator[None]:
    """Put back at the end what modules keep as attributes: what they cache meanwhile is gone.

    Containers are restored at any depth, and tensors changed in place; parameters and buffers are
    not looked at, nor what other objects keep.
    """
    parts = [part for module in modules for part in module.modules()]
    containers = [(held, copy(held)) for held in _held(map(vars, parts))]
    buffers = {id(buffer) for part in parts for buffer in part.buffers(recurse=False)}
    inside = [x for _, before in containers for x in _items(before) if isinstance(x, Tensor)]
    caches = [x for x in inside if not (isinstance(x, nn.Parameter) or id(x) in buffers)]
    tensors = [(x, x._version, x.detach().clone()) for x in caches if not x.is_inference()]
    try:
        yield
    finally:
        for present, before in containers:
            _restore(present, before)
        with torch.no_grad():
            for tensor, version, values in tensors:
                if tensor._version != version:
                    tensor.copy_(values)


def _held(containers: Iterable[Container]) -> list[Container]:
    """Return containers and all the containers in them, each once."""
    found: dict[int, Container] = {}
    waiting: list[Any] = list(containers)
    while waiting:
        held = waiting.pop()
        if id(held) not in found:
            found[id(held)] = held
            waiting += [x for x in _items(held) if type(x) in CONTAINERS]
    return [held for held in found.values() if not isinstance(held, tuple)]


def _items(container: Any) -> Iterable[Any]:
    return container.values() if isinstance(container, dict) else container


def _restore(present: Any, before: Any) -> None:
    present.clear()
    if isinstance(present, list | deque):
        present.extend(before)
    else:
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


class Streams:
    """The global random streams, lent to modules that draw from them."""

    def __init__(self, devices: Iterable[torch.device]) -> None:
        cuda = [device.index or 0 for device in devices if device.type == "cuda"]
        self._streams = [torch.default_generator]
        self._streams += [torch.cuda.default_generators[index] for index in cuda]
        self._states: list[Tensor] = []

    def start(self, seed: int) -> None:
        """Let what is drawn from now on depend on `seed` alone."""
        for stream in self._streams:
            stream.manual_seed(seed)

    @contextmanager
    def lent(self) -> Iterator[None]:
        """Let the streams continue afterwards as before."""
        self.leave()
        try:
            yield
        finally:
            self.come_back()

    @contextmanager
    def back(self) -> Iterator[None]:
        """Give the streams back for a while, in the midst of lending them."""
        self.come_back()
        try:
            yield
        finally:
            self.leave()

    def leave(self) -> None:
        """Note how far the streams have come."""
        self._states = [stream.get_state() for stream in self._streams]

    def come_back(self) -> None:
        """Let them continue from there."""
        for stream, state in zip(self._streams, self._states, strict=True):
            stream.set_state(state)


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Run with the global random streams started from `seed`; they continue as before after."""
    streams = Streams([device])
    with streams.lent():
        streams.start(seed)
        yield
