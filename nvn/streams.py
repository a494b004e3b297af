"""The global random streams of a process: Python's, NumPy's and torch's.

nvn's own draws do not depend on them (nvn/engine/seeding.py). Data, evaluations and plugins may
draw from them: what they draw is made a function of what it is drawn for, or saved.

Those who let them continue as before are classes, not generators: a generator whose `with` is
interrupted just before it begins would turn them back whenever it is collected.
"""

from __future__ import annotations

import hashlib
import random
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

__all__ = [
    "cpu_streams",
    "key_of",
    "keyed",
    "mixed",
    "moved",
    "preserved",
    "python_and_numpy",
    "seed_all",
    "set_streams",
    "start_streams",
    "streams",
]


def mixed(*numbers: int) -> int:
    """Return a 63-bit number that depends on all of `numbers`, each of 0 to 2⁶⁴ − 1.

    >>> mixed(0, 1) == mixed(0, 1), mixed(0, 1) == mixed(1, 0)
    (True, False)
    """
    packed = struct.pack(f"<{len(numbers)}Q", *numbers)
    return int.from_bytes(hashlib.blake2b(packed, digest_size=8).digest(), "little") >> 1


def key_of(text: str) -> int:
    """Return a 63-bit number that depends on a text.

    >>> key_of("a") == key_of("a"), key_of("a") == key_of("b")
    (True, False)
    """
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def seed_all(seed: int) -> None:
    """Start all streams from a seed, of 0 to 2⁶³ − 1; those of CUDA devices too."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def streams() -> dict[str, Any]:
    """Return how far the streams have come.

    >>> before = streams()
    >>> drawn = random.random(), np.random.rand(), torch.rand(()).item()
    >>> set_streams(before)
    >>> (random.random(), np.random.rand(), torch.rand(()).item()) == drawn
    True
    """
    started = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    cuda = torch.cuda.get_rng_state_all() if started else []
    return {**cpu_streams(), "cuda": cuda}


def set_streams(state: Mapping[str, Any]) -> None:
    """Let the streams continue from what `streams` or `cpu_streams` returned."""
    random.setstate(state["python"])
    np.random.set_state(state["numpy"])
    torch.set_rng_state(state["torch"])
    # A machine with fewer devices goes on with those that it has.
    for device, stream in zip(
        range(torch.cuda.device_count()), state.get("cuda", ()), strict=False
    ):
        torch.cuda.set_rng_state(stream, device)


def moved(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Return which streams were drawn from between two states, in words.

    >>> before = cpu_streams()
    >>> drawn = random.random(), torch.rand(())
    >>> moved(before, cpu_streams())
    ["Python's", "torch's"]
    """
    arrays = zip(before["numpy"]["state"].values(), after["numpy"]["state"].values(), strict=True)
    cuda = zip(before.get("cuda", ()), after.get("cuda", ()), strict=False)
    same = {
        "Python's": before["python"] == after["python"],
        "NumPy's": all(np.array_equal(x, y) for x, y in arrays),
        "torch's": torch.equal(before["torch"], after["torch"])
        and all(torch.equal(x, y) for x, y in cuda),
    }
    return [name for name, is_same in same.items() if not is_same]


class preserved:
    """Lets the streams continue afterwards as before."""

    def __enter__(self) -> None:
        self._before = streams()

    def __exit__(self, *_: object) -> None:
        set_streams(self._before)


class python_and_numpy:
    """Lets Python's and NumPy's streams continue afterwards as before; from a seed on, if any.

    >>> with python_and_numpy(3):
    ...     first = random.random()
    >>> with python_and_numpy(3):
    ...     random.random() == first
    True
    """

    def __init__(self, seed: int | None = None) -> None:
        self._seed = seed

    def __enter__(self) -> None:
        self._before = random.getstate(), np.random.get_state(legacy=False)
        if self._seed is not None:
            random.seed(self._seed)
            np.random.seed(self._seed % 2**32)

    def __exit__(self, *_: object) -> None:
        python, numpy = self._before
        random.setstate(python)
        np.random.set_state(numpy)


def start_streams(*key: int) -> None:
    """Start the CPU's streams from a key, inside `keyed`: ten times as fast as another one."""
    _start(mixed(*key))


def _start(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.default_generator.manual_seed(seed)


class keyed:
    """Runs with the CPU's streams started from a key; they continue as before after.

    >>> with keyed(3, 4):
    ...     first = random.random(), torch.rand(()).item()
    >>> with keyed(3, 4):
    ...     (random.random(), torch.rand(()).item()) == first
    True
    """

    def __init__(self, *key: int) -> None:
        self._seed = mixed(*key)

    def __enter__(self) -> None:
        self._before = cpu_streams()
        _start(self._seed)

    def __exit__(self, *_: object) -> None:
        set_streams(self._before)


def cpu_streams() -> dict[str, Any]:
    """Return how far the streams of the CPU have come.

    >>> sorted(cpu_streams())
    ['numpy', 'python', 'torch']
    """
    return {
        "python": random.getstate(),
        "numpy": np.random.get_state(legacy=False),
        "torch": torch.default_generator.get_state(),
    }
