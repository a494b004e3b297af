"""What the entries of a batch are, in words; and what is of another kind than in an earlier one."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from typing import Any

import numpy as np
from torch import Tensor

from nvn import pytree
from nvn.errors import DataError

__all__ = ["Kinds", "kind_of", "require_samples", "with_article"]


class Kinds:
    """What the entries of a batch are, kept to compare a later one with.

    >>> import torch
    >>> kinds = Kinds({"x": torch.zeros(8, 2)})
    >>> [*kinds.changes({"x": torch.zeros(5, 2)})]
    []
    >>> [*kinds.changes({"x": torch.zeros(8, 3)})]
    ["'x' is a float32 tensor of shape (8, 3), and was a float32 tensor of shape (8, 2)"]
    """

    def __init__(self, batch: Mapping[str, Any]) -> None:
        self._was = {name: (_key(value), kind_of(value)) for name, value in batch.items()}
        self._lengths = _lengths(batch)
        self._even = len({*self._lengths.values()}) <= 1

    def changes(self, batch: Mapping[str, Any]) -> Iterator[str]:
        """Yield what is of another kind now: type, dtype, device, or the shape of a sample."""
        for name, value in batch.items():
            key, kind = self._was.get(name, ((), "not there"))
            if _key(value) != key:
                yield f"{name!r} is {kind_of(value)}, and was {kind}"
        lengths = _lengths(batch)
        if 1 in lengths.values() and 1 not in self._lengths.values():
            name = next(name for name, length in lengths.items() if length == 1)
            yield f"{name!r} has one sample, and had {self._lengths.get(name, 'none')}"
        if self._even and len({*lengths.values()}) > 1:
            told = ", ".join(f"{length} ({name!r})" for name, length in lengths.items())
            yield f"its entries have {told} samples, and had one number"


def _lengths(batch: Mapping[str, Any]) -> dict[str, int]:
    return {n: len(x) for n, x in batch.items() if isinstance(x, Tensor) and x.ndim}


def _key(value: Any) -> Hashable:
    return pytree.key(value, _traits)


def _traits(leaf: Any) -> Hashable:
    if isinstance(leaf, Tensor | np.ndarray):
        return (type(leaf), str(leaf.dtype), str(leaf.device), leaf.ndim, (*leaf.shape[1:],))
    return type(leaf).__name__


def kind_of(value: Any) -> str:
    """Say what an entry of a batch is.

    >>> import torch
    >>> kind_of(torch.zeros(2, 3, dtype=torch.float64)), kind_of("cat"), kind_of(np.zeros((2, 3)))
    ('a float64 tensor of shape (2, 3)', 'a str', 'a NumPy array of float64, of shape (2, 3)')
    """
    if isinstance(value, Tensor):
        place = "" if value.device.type == "cpu" else f" on {value.device}"
        dtype = str(value.dtype).removeprefix("torch.")
        article = "an" if dtype.startswith("int") else "a"
        return f"{article} {dtype} tensor of shape {tuple(value.shape)}{place}"
    if isinstance(value, np.ndarray):
        return f"a NumPy array of {value.dtype}, of shape {value.shape}"
    if isinstance(value, list | tuple | dict) and value:
        inside = [*(value.values() if isinstance(value, dict) else value)]
        kinds = [*dict.fromkeys(type(x).__name__ for x in inside)]
        return f"a {type(value).__name__} of {len(inside)} ({', '.join(kinds[:3])})"
    return "nothing (None)" if value is None else with_article(type(value).__name__)


def with_article(name: str) -> str:
    """Return a type's name with its article.

    >>> with_article("Out"), with_article("Normal")
    ('an Out', 'a Normal')
    """
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


def require_samples(batch: Mapping[str, Any], names: tuple[str, ...]) -> int:
    """Return how many samples a batch has: of none, the means that energies are would be none.

    Args:
        batch: The batch.
        names: The entries that a game uses.

    Raises:
        DataError: There are none.
    """
    empty = ""
    for name in names:
        entry = batch.get(name)
        if isinstance(entry, Tensor) and entry.ndim:
            if entry.shape[0]:  # nearly always the first one
                return entry.shape[0]
            empty = empty or name
    if empty:
        raise DataError(
            f"the batch has no samples: its {empty!r} is {kind_of(batch[empty])}; expected one at "
            "least. Let the data yield no such batch"
        )
    return 0  # a game of noise alone
