"""Context managers that save and restore the state of modules: buffers, attributes, modes."""

from __future__ import annotations

from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from copy import copy
from typing import Any

import torch
from torch import Tensor, nn

from nvn.engine.runtime import Buffers, buffers_at, copied, overwrite, places_of, put

Container = dict[Any, Any] | list[Any] | set[Any] | deque[Any] | tuple[Any, ...]
CONTAINERS = (dict, OrderedDict, defaultdict, Counter, list, set, deque, tuple)


@contextmanager
def preserved_buffers(
    modules: Mapping[str, nn.Module],
) -> Iterator[Callable[[Iterable[str]], None]]:
    """Let modules work on copies of their buffers; restore the originals at the end.

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


@contextmanager
def with_buffers(buffers: Buffers) -> Iterator[None]:
    """Let modules work on other buffers; at the end, restore those that they had before."""
    before = buffers_at(buffers)
    put(buffers)
    try:
        yield
    finally:
        put(before)


@contextmanager
def preserved_attributes(modules: Iterable[nn.Module]) -> Iterator[None]:
    """Save modules' attributes and restore them at the end; what they cache meanwhile is lost.

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
    # Nothing of what was there is ever missing: this may be interrupted, and the next thing read.
    if isinstance(present, list):
        present[:] = before
    elif isinstance(present, deque):
        if present != before:
            present.clear()
            present.extend(before)
    elif isinstance(present, set):
        present |= before
        present &= before
    else:
        present.update(before)
        for name in [name for name in present if name not in before]:
            del present[name]


@contextmanager
def mode(module: nn.Module, training: bool) -> Iterator[None]:
    """Run `module` in training or in eval mode; each submodule's own mode is restored."""
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
def modes(wanted: Iterable[tuple[nn.Module, bool]]) -> Iterator[None]:
    """Run modules in training or in eval mode, each as `wanted`; their own modes are restored."""
    with ExitStack() as stack:
        for module, training in wanted:
            stack.enter_context(mode(module, training))
        yield
