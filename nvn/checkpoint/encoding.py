"""A state as JSON and named tensors, and back: nothing is pickled, so reading runs no code.

    {"lr": 0.1, "exp_avg": tensor([1., 2.])}
    ⇄  {"lr": 0.1, "exp_avg": {"$": "tensor", "at": "exp_avg"}}  and  {"exp_avg": tensor([1., 2.])}

What JSON has no word for is an object with the key "$", which says what it is. What neither JSON
nor a safetensors file can hold is refused, by its path in the state.
"""

from __future__ import annotations

import base64
import math
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from torch import Tensor

from nvn.errors import RunError

__all__ = ["Encoded", "EncodingError", "decode", "encode"]

JSON: TypeAlias = Any
_TAG = "$"
_MAPPINGS: tuple[type, ...] = (dict, OrderedDict, Counter)
_SEQUENCES: tuple[type, ...] = (tuple, torch.Size, set, frozenset, deque)


class EncodingError(RunError):
    """Part of a state that cannot be written.

    Attributes:
        problems: One line for each part.
    """

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class Encoded(NamedTuple):
    """An encoded state.

    Attributes:
        tree: JSON, with a reference where a tensor is.
        tensors: Copies of the tensors, contiguous and on the CPU, by what refers to them.
    """

    tree: JSON
    tensors: dict[str, Tensor]


def encode(state: object) -> Encoded:
    """Encode a state: numbers, texts, tensors, and mappings and sequences of them.

    A tensor is named after its path: those of a module's `state_dict` keep their names.

    Raises:
        EncodingError: Naming every part that cannot be written.

    >>> encode({"step": 3, "betas": (0.5, 0.9), "average": torch.ones(2)}).tree["average"]
    {'$': 'tensor', 'at': 'average'}
    >>> encode({"schedule": [print]})
    Traceback (most recent call last):
    nvn.checkpoint.encoding.EncodingError: schedule/0: cannot save a builtin_function_or_method
    """
    encoder = _Encoder()
    tree = encoder.encoded(state, ())
    if encoder.problems:
        raise EncodingError(encoder.problems)
    return Encoded(tree, encoder.tensors)


def decode(tree: JSON, tensors: Mapping[str, Tensor]) -> Any:
    """Return the state that was encoded.

    Raises:
        ValueError: This is not what `encode` returned.

    >>> decode(*encode({"step": 3, "betas": (0.5, math.inf), 7: torch.ones(2)}))
    {'step': 3, 'betas': (0.5, inf), 7: tensor([1., 1.])}
    """
    if isinstance(tree, list):
        return [decode(part, tensors) for part in tree]
    if not isinstance(tree, dict):
        return tree
    if _TAG not in tree:
        return {key: decode(part, tensors) for key, part in tree.items()}
    try:
        return _READ[tree[_TAG]](tree, tensors)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"no encoded value: {tree!s:.80}") from error


class _Encoder:
    """Encodes the parts of one state, and collects its tensors and what cannot be written."""

    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}
        self.problems: list[str] = []

    def encoded(self, value: object, path: tuple[str, ...]) -> JSON:
        if value is None or isinstance(value, bool | int | str):
            return value
        if isinstance(value, float):
            # JSON has neither NaN nor infinity; every other number is read back to the bit.
            return value if math.isfinite(value) else {_TAG: "float", "value": str(value)}
        if isinstance(value, Tensor):
            return self._tensor(value, path)
        if isinstance(value, Mapping) and type(value) in _MAPPINGS:
            return self._mapping(value, path)
        if isinstance(value, list):
            return self._parts(value, path)
        if type(value) in _SEQUENCES:
            assert isinstance(value, Iterable)
            return {_TAG: type(value).__name__, "parts": self._parts(value, path)}
        return self._other(value, path)

    def _tensor(self, value: Tensor, path: tuple[str, ...]) -> JSON:
        value = value.detach().resolve_conj().resolve_neg()
        if value.is_quantized or value.is_nested or value.layout not in _LAYOUTS:
            kind = "quantized" if value.is_quantized else "nested" if value.is_nested else "sparse"
            return self._refused(path, f"a {kind} tensor of {value.dtype}, layout {value.layout}")
        if value.layout is torch.sparse_coo:
            parts = [value._indices(), value._values()]
            # Not coalesced: an optimizer goes on from the very numbers that were there.
            more = {"shape": list(value.shape), "coalesced": value.is_coalesced()}
            return {_TAG: "sparse", "parts": self._parts(parts, path), **more}
        if value.layout is torch.sparse_csr:
            parts = [value.crow_indices(), value.col_indices(), value.values()]
            more = {"shape": list(value.shape)}
            return {_TAG: "csr", "parts": self._parts(parts, path), **more}
        if value.dtype in _COMPLEX:  # safetensors has complex64 alone, and not everywhere
            return {_TAG: "complex", "parts": self._tensor(torch.view_as_real(value), path)}
        name = self._name(path)
        # A copy even of a contiguous tensor on the CPU: training goes on while files are written.
        copy = value.to("cpu", copy=True)
        self.tensors[name] = copy.contiguous()
        if copy.is_contiguous():
            return {_TAG: "tensor", "at": name}
        # Fused optimizers read their averages as the parameter lies in memory.
        return {_TAG: "tensor", "at": name, "strides": list(copy.stride())}

    def _mapping(self, value: Mapping[object, object], path: tuple[str, ...]) -> JSON:
        plain = all(isinstance(key, str) for key in value) and _TAG not in value
        if plain and type(value) in (dict, OrderedDict):
            return {k: self.encoded(part, (*path, k)) for k, part in value.items()}  # type: ignore[arg-type]
        entries = [
            [self.encoded(key, (*path, "key")), self.encoded(part, (*path, str(key)))]
            for key, part in value.items()
        ]
        return {_TAG: type(value).__name__, "entries": entries}

    def _parts(self, values: Iterable[object], path: tuple[str, ...]) -> list[JSON]:
        return [self.encoded(part, (*path, str(i))) for i, part in enumerate(values)]

    def _other(self, value: object, path: tuple[str, ...]) -> JSON:
        if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "biuf":
            kind = "array" if isinstance(value, np.ndarray) else "number"
            tensor = torch.from_numpy(np.array(value))  # copied, and writable
            return {_TAG: kind, "parts": self._tensor(tensor, path)}
        if isinstance(value, complex):
            return {_TAG: "complex number", "parts": self._parts([value.real, value.imag], path)}
        if isinstance(value, bytes):
            return {_TAG: "bytes", "value": base64.b64encode(value).decode("ascii")}
        if isinstance(value, torch.dtype):
            return {_TAG: "dtype", "value": str(value).removeprefix("torch.")}
        if isinstance(value, torch.device):
            return {_TAG: "device", "value": str(value)}
        return self._refused(path, f"a {type(value).__name__}")

    def _refused(self, path: tuple[str, ...], what: str) -> None:
        self.problems.append(f"{'/'.join(path) or 'the state'}: cannot save {what}")

    def _name(self, path: tuple[str, ...]) -> str:
        name = "/".join(path) or "value"
        while name in self.tensors:  # {"a/b": …, "a": {"b": …}}
            name += "'"
        return name


_LAYOUTS = (torch.strided, torch.sparse_coo, torch.sparse_csr)
_COMPLEX = (torch.complex32, torch.complex64, torch.complex128)


def _entries(tree: JSON, tensors: Mapping[str, Tensor]) -> Iterator[tuple[Any, Any]]:
    for key, part in tree["entries"]:
        yield decode(key, tensors), decode(part, tensors)


def _dense(tree: JSON, tensors: Mapping[str, Tensor]) -> Tensor:
    tensor = tensors[tree["at"]]
    if "strides" not in tree:
        return tensor
    return torch.empty_strided(tensor.shape, tree["strides"], dtype=tensor.dtype).copy_(tensor)


def _sparse(tree: JSON, tensors: Mapping[str, Tensor]) -> Tensor:
    indices, values = decode(tree["parts"], tensors)
    # It was one, so the indices fit: checking them costs a pass.
    return torch.sparse_coo_tensor(
        indices, values, tree["shape"], is_coalesced=tree["coalesced"], check_invariants=True
    )


def _csr(tree: JSON, tensors: Mapping[str, Tensor]) -> Tensor:
    rows, columns, values = decode(tree["parts"], tensors)
    return torch.sparse_csr_tensor(rows, columns, values, tree["shape"], check_invariants=True)


def _dtype(name: str) -> torch.dtype:
    found = getattr(torch, name)
    if not isinstance(found, torch.dtype):
        raise TypeError(name)
    return found


_Reader: TypeAlias = Callable[[JSON, Mapping[str, Tensor]], Any]

_READ: Mapping[str, _Reader] = {
    "tensor": _dense,
    "float": lambda tree, tensors: float(tree["value"]),
    "sparse": _sparse,
    "csr": _csr,
    "complex": lambda tree, tensors: torch.view_as_complex(decode(tree["parts"], tensors)),
    "complex number": lambda tree, tensors: complex(*decode(tree["parts"], tensors)),
    "array": lambda tree, tensors: decode(tree["parts"], tensors).numpy(),
    "number": lambda tree, tensors: decode(tree["parts"], tensors).numpy()[()],
    "bytes": lambda tree, tensors: base64.b64decode(tree["value"]),
    "dtype": lambda tree, tensors: _dtype(tree["value"]),
    "device": lambda tree, tensors: torch.device(tree["value"]),
    "dict": lambda tree, tensors: dict(_entries(tree, tensors)),
    "OrderedDict": lambda tree, tensors: OrderedDict(_entries(tree, tensors)),
    "Counter": lambda tree, tensors: Counter(dict(_entries(tree, tensors))),
    "tuple": lambda tree, tensors: tuple(decode(tree["parts"], tensors)),
    "Size": lambda tree, tensors: torch.Size(decode(tree["parts"], tensors)),
    "set": lambda tree, tensors: set(decode(tree["parts"], tensors)),
    "frozenset": lambda tree, tensors: frozenset(decode(tree["parts"], tensors)),
    "deque": lambda tree, tensors: deque(decode(tree["parts"], tensors)),
}
