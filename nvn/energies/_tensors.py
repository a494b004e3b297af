"""Shared by the energies: precision, and shape checks that refuse to broadcast."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from nvn import pytree


def precise(t: Tensor) -> Tensor:
    """Return `t` in float32 at least: bfloat16, float16 and integers are promoted.

    A mean over a batch of bfloat16 keeps two or three digits: too few for a loss or its record.
    """
    if t.dtype is torch.float32:
        return t
    return t.to(torch.promote_types(t.dtype, torch.float32))


def check_same_shape(energy: str, a: Tensor, b: Tensor) -> None:
    """Raise unless `a` and `b` have the same shape.

    Broadcasting (N, 1) against (N,) would compare every sample with every other, silently.

    Raises:
        ValueError: the shapes differ; both are named.
    """
    if a.shape != b.shape:
        raise _mismatch(energy, a, b, "the same shape twice; nothing is broadcast")


def check_same_features(energy: str, a: Tensor, b: Tensor) -> None:
    """Raise unless `a` (N, …) and `b` (M, …) agree in all but the number of samples.

    Raises:
        ValueError: they don't; both shapes are named.
    """
    if min(a.ndim, b.ndim) == 0 or a.shape[1:] != b.shape[1:]:
        raise _mismatch(energy, a, b, "shapes that differ at most in the number of samples")


def pairs(energy: str, a: Any, b: Any) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the tensors of two trees of the same structure, in pairs.

    Raises:
        ValueError: the trees have different structures; both are named.
    """
    structures = pytree.key(a, _leaf_type), pytree.key(b, _leaf_type)
    if structures[0] != structures[1]:
        raise ValueError(
            f"{energy}: expected two trees of the same structure, "
            f"found {structures[0]} and {structures[1]}"
        )
    yield from zip(pytree.leaves(a), pytree.leaves(b), strict=True)


def _leaf_type(leaf: Any) -> str:
    return type(leaf).__name__


def _mismatch(energy: str, a: Tensor, b: Tensor, expected: str) -> ValueError:
    shapes = f"{tuple(a.shape)} and {tuple(b.shape)}"
    return ValueError(f"{energy}: found the shapes {shapes}; expected {expected}")
