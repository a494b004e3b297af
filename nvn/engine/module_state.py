"""Context managers that save and restore the state of modules: buffers, attributes, modes.

They are classes, and what they restore they have noted: a generator whose `with` is interrupted
just before it begins, or as it ends, would restore whenever it is collected, and so lose what has
become of modules since. What is not restored then, the engine restores (nvn/engine/before.py).
"""

from __future__ import annotations

from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from typing import Any

import torch
from torch import Tensor, nn

from nvn.engine.runtime import Buffers, buffers_at, copied, overwrite, places_of, put

Modes = Sequence[tuple[nn.Module, bool]]  # of parts of modules: whether they train
Container = dict[Any, Any] | list[Any] | set[Any] | deque[Any] | tuple[Any, ...]
CONTAINERS = (dict, OrderedDict, defaultdict, Counter, list, set, deque, tuple)


class preserved_buffers:
    """Lets modules work on copies of their buffers; restores the originals at the end.

    Its value is `keep(names)`: the named modules' originals take over what the copies have become.
    The originals are not written to before, so a graph that saved one of them stays valid.
    """

    def __init__(self, modules: Mapping[str, nn.Module]) -> None:
        self._originals = {n: buffers_at(places_of(module)) for n, module in modules.items()}
        self._all = {p: b for buffers in self._originals.values() for p, b in buffers.items()}
        self._kept: list[tuple[Buffers, Buffers]] = []

    def __enter__(self) -> Callable[[Iterable[str]], None]:
        put(copied(self._all))
        return self._keep

    def _keep(self, names: Iterable[str]) -> None:
        wanted = [self._originals[name] for name in names if name in self._originals]
        self._kept.extend((buffers, buffers_at(buffers)) for buffers in wanted)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        put(self._all)
        if kind is None:
            for buffers, new in self._kept:
                overwrite(buffers, new)


class with_buffers:
    """Lets modules work on other buffers; at the end, restores those that they had before."""

    def __init__(self, buffers: Buffers) -> None:
        self._before = buffers_at(buffers)
        self._buffers = buffers

    def __enter__(self) -> None:
        put(self._buffers)

    def __exit__(self, *_: object) -> None:
        put(self._before)


class Attributes:
    """Modules' attributes as they are now, to be restored; what is cached meanwhile is lost.

    Containers are restored at any depth, and tensors changed in place; parameters and buffers are
    not looked at, nor what other objects keep.
    """

    def __init__(self, modules: Iterable[nn.Module]) -> None:
        parts = [part for module in modules for part in module.modules()]
        self._containers = [(held, copy(held)) for held in _held(map(vars, parts))]
        buffers = {id(buffer) for part in parts for buffer in part.buffers(recurse=False)}
        inside = [x for _, was in self._containers for x in _items(was) if isinstance(x, Tensor)]
        caches = [x for x in inside if not (isinstance(x, nn.Parameter) or id(x) in buffers)]
        kept = [(x, x._version, x.detach().clone()) for x in caches if not x.is_inference()]
        self._tensors = kept

    def restore(self) -> None:
        """Let the attributes be as they were."""
        for present, before in self._containers:
            _restore(present, before)
        with torch.no_grad():
            for tensor, version, values in self._tensors:
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


class mode:
    """Runs a module in training or in eval mode; each submodule's own mode is restored."""

    def __init__(self, module: nn.Module, training: bool) -> None:
        # One that is in its mode is left alone: parts of it may be in another, on purpose.
        switched = module.training is not training
        self._module = module if switched else None
        self._training = training
        self._before = modes_of([module]) if switched else []

    def __enter__(self) -> None:
        if self._module is not None:
            self._module.train(self._training)

    def __exit__(self, *_: object) -> None:
        set_modes(self._before)


class modes:
    """Runs parts of modules in the modes that are given; their own are restored."""

    def __init__(self, wanted: Modes) -> None:
        self._wanted = wanted
        self._before = [(part, part.training) for part, _ in wanted]

    def __enter__(self) -> None:
        set_modes(self._wanted)

    def __exit__(self, *_: object) -> None:
        set_modes(self._before)


def modes_of(modules: Iterable[nn.Module]) -> Modes:
    """Return the mode that each part of modules is in."""
    return [(part, part.training) for module in modules for part in module.modules()]


def set_modes(wanted: Modes) -> None:
    """Set the modes of parts, each by itself."""
    for part, training in wanted:
        part.training = training


class learning:
    """Lets only the movers' parameters require gradients: autograd then stores no one else's.

    Those that did not before still don't.
    """

    def __init__(
        self, parameters: Mapping[str, Iterable[nn.Parameter]], movers: Iterable[str]
    ) -> None:
        movers = set(movers)
        idle = (p for name, own in parameters.items() if name not in movers for p in own)
        self._idle = [p for p in idle if p.requires_grad]

    def __enter__(self) -> None:
        for parameter in self._idle:
            parameter.requires_grad_(False)

    def __exit__(self, *_: object) -> None:
        for parameter in self._idle:
            parameter.requires_grad_(True)
