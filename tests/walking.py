"""Two objects compared by all that can be reached from them, whatever it is called."""

from __future__ import annotations

import math
import types
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch

from nvn.records import Record

# What has no state of its own to compare, or none that Python can see.
_OPAQUE = (
    *(types.FunctionType, types.BuiltinFunctionType, types.MethodType, types.ModuleType, type),
    *(types.GeneratorType, types.CodeType, torch.dtype, torch.device, torch.Generator),
)


def differences(
    one: Any, other: Any, path: str = "", seen: set[int] | None = None
) -> Iterator[str]:
    """Yield the paths at which two objects differ."""
    seen = set() if seen is None else seen
    if type(one) is not type(other):
        yield f"{path}: {type(one).__name__} and {type(other).__name__}"
    elif isinstance(one, _OPAQUE) or id(one) in seen:
        return
    elif isinstance(one, Record):  # a value, whose numbers are put together when they are read
        yield from differences(one.state_dict(), other.state_dict(), path, seen)
    elif isinstance(one, torch.Tensor):
        if one.shape != other.shape or not torch.equal(one, other):
            yield path
        seen.add(id(one))
        yield from _entries(vars(one), vars(other), path, seen)
    elif isinstance(one, np.ndarray):
        if not np.array_equal(one, other):
            yield path
    elif isinstance(one, int | float | complex | str | bytes | None):
        if one != other and not (isinstance(one, float) and math.isnan(one) and math.isnan(other)):
            yield f"{path}: {one!r} and {other!r}"
    elif isinstance(one, Mapping):
        seen.add(id(one))
        yield from _entries(_by_name(one), _by_name(other), path, seen)
    elif isinstance(one, list | tuple | set | frozenset) or hasattr(one, "maxlen"):
        seen.add(id(one))
        yield from _entries(dict(enumerate(one)), dict(enumerate(other)), path, seen)
    else:
        seen.add(id(one))
        yield from _entries(_attributes(one), _attributes(other), path, seen)


# Torch's own mark on an optimizer whose step was called before its scheduler's; only warns.
_IGNORED = {"_opt_called"}


def _entries(one: Any, other: Any, path: str, seen: set[int]) -> Iterator[str]:
    for key in (one.keys() ^ other.keys()) - _IGNORED:
        yield f"{path}/{key}: only in one"
    for key in one.keys() & other.keys():
        yield from differences(one[key], other[key], f"{path}/{key}", seen)


def _by_name(mapping: Mapping[Any, Any]) -> dict[str, Any]:
    """Entries by keys that mean the same on both sides; objects, and their ids, by their order."""
    return {
        f"#{i}" if _is_identity(key) else repr(key): value
        for i, (key, value) in enumerate(mapping.items())
    }


def _is_identity(key: Any) -> bool:
    if isinstance(key, int):
        return key > 10**9
    return not isinstance(key, str | float | tuple | None) or "object at" in repr(key)


def _attributes(thing: Any) -> dict[str, Any]:
    found = dict(getattr(thing, "__dict__", {}))
    for kind in type(thing).__mro__:
        slots = getattr(kind, "__slots__", ())
        for name in [slots] if isinstance(slots, str) else slots:
            if name not in ("__dict__", "__weakref__") and hasattr(thing, name):
                found[name] = getattr(thing, name)
    return found
