"""Entries of a batch as people have them, and as modules want them: what to write in between."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["Conversion", "conversions", "looks_like_bytes"]

_CASTS = {
    torch.float32: ".float()",
    torch.float64: ".double()",
    torch.float16: ".half()",
    torch.bfloat16: ".bfloat16()",
}
_BYTE = 255


@dataclass(frozen=True, slots=True)
class Conversion:
    """What an entry may have to become.

    Attributes:
        written: How to write it, of the entry's name.
        value: What it is then.
    """

    written: str
    value: Tensor


def conversions(name: str, value: Any, like: Tensor) -> Iterator[Conversion]:
    """Yield what a batch's entry could be made into, the likeliest first.

    Args:
        name: The entry's name.
        value: What the batch has there.
        like: A parameter of who takes it: its device, and its dtype if that is a floating one.

    >>> pictures = torch.tensor([[0, 51, 255]], dtype=torch.uint8)
    >>> for conversion in conversions("x", pictures, torch.zeros(1)):
    ...     print(conversion.written, conversion.value.tolist()[0])
    x.float() / 255 [0.0, 0.20000000298023224, 1.0]
    x.float() [0.0, 51.0, 255.0]
    x.long() [0, 51, 255]
    """
    found = _as_tensor(name, value)
    if found is None:
        return
    written, tensor = found.written, found.value
    away = tensor.device != like.device
    if away and tensor.device.type == "meta":  # there is nothing to be moved
        return
    dtype = like.dtype if like.dtype in _CASTS else torch.get_default_dtype()
    for cast in _casts(written, tensor, dtype, changed=away or written != name):
        if away:
            yield Conversion(f"{cast.written}.to({str(like.device)!r})", cast.value.to(like.device))
        else:
            yield cast


def _as_tensor(name: str, value: Any) -> Conversion | None:
    """Return how an entry is made a tensor; None if it can't be."""
    if isinstance(value, Tensor):
        return Conversion(name, value)
    try:
        if isinstance(value, np.ndarray):
            return Conversion(f"torch.from_numpy({name})", torch.from_numpy(value.copy()))
        if isinstance(value, list | tuple) and all(isinstance(x, Tensor) for x in value):
            if len(value) == 1:
                return Conversion(f"{name}[0]", value[0])
            return Conversion(f"torch.stack({name})", torch.stack([*value]))
        if isinstance(value, list | tuple) and all(isinstance(x, np.ndarray) for x in value):
            stacked = torch.from_numpy(np.stack([*value]))
            return Conversion(f"torch.from_numpy(numpy.stack({name}))", stacked)
        if isinstance(value, list | tuple | np.generic | int | float):
            return Conversion(f"torch.tensor({name})", torch.tensor(value))
    except (TypeError, ValueError, RuntimeError):
        pass  # texts, objects, samples of several sizes
    return None


def _casts(
    written: str, tensor: Tensor, dtype: torch.dtype, *, changed: bool
) -> Iterator[Conversion]:
    """Yield what a tensor could be made into; itself too, if it was `changed` or is to be."""
    asis = [Conversion(written, tensor)] if changed else []
    floating = Conversion(f"{written}{_CASTS[dtype]}", tensor.to(dtype))
    whole = Conversion(f"{written}.long()", tensor if tensor.is_complex() else tensor.long())
    if tensor.is_complex():
        yield from asis
    elif tensor.is_floating_point():
        # Another precision is never meant; whole numbers may be labels.
        if tensor.dtype != dtype:
            yield floating
        yield from asis
        if tensor.dtype == dtype and _is_whole(tensor):
            yield whole
    else:
        yield from asis  # labels, as often as not
        if tensor.ndim > 1 and _are_bytes(tensor):
            yield Conversion(f"{floating.written} / {_BYTE}", floating.value / _BYTE)
        either = [floating] if tensor.dtype is torch.int64 else [floating, whole]
        yield from either if tensor.ndim > 1 or tensor.dtype is torch.bool else reversed(either)


def _is_whole(tensor: Tensor) -> bool:
    return bool((tensor == tensor.round()).all())


def _are_bytes(tensor: Tensor) -> bool:
    """Tell whether integers look like those of pictures."""
    if tensor.dtype is torch.bool or not tensor.numel():
        return False
    low, high = (int(x) for x in tensor.aminmax())
    return low >= 0 and (1 if tensor.dtype is torch.uint8 else _BYTE // 2) < high <= _BYTE


def looks_like_bytes(value: Any) -> bool:
    """Tell whether an entry is pictures whose floating-point numbers are those of their bytes.

    >>> looks_like_bytes(torch.full((1, 3, 2, 2), 200.0))
    True
    >>> looks_like_bytes(torch.rand(1, 3, 2, 2))
    False
    """
    if not isinstance(value, Tensor) or value.ndim != 4 or not value.is_floating_point():
        return False
    if not value.numel() or value.device.type == "meta":
        return False
    low, high = (float(x) for x in value.aminmax())
    return low >= 0 and _BYTE / 2 < high <= _BYTE and _is_whole(value)
