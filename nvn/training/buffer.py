"""Records put aside until it is time to read them.

Reading a record waits for the device. A run that read every record at once would never let the
device work ahead of the loop; so readers keep what they are given, and read it in one go.
"""

from __future__ import annotations

import time
from typing import Generic, TypeVar

__all__ = ["RecordBuffer"]

T = TypeVar("T")


class RecordBuffer(Generic[T]):
    """Things kept until there are enough of them, or until the first has waited long enough."""

    def __init__(self, enough: int = 50, seconds: float = 1.0) -> None:
        self._enough = enough
        self._seconds = seconds
        self._kept: list[T] = []
        self._since = 0.0

    def add(self, item: T) -> bool:
        """Keep an item, and tell whether it is time to take them all."""
        if not self._kept:
            self._since = time.monotonic()
        self._kept.append(item)
        waited = time.monotonic() - self._since
        return len(self._kept) >= self._enough or waited >= self._seconds

    def take(self) -> list[T]:
        """Return what was kept, in order, and keep nothing."""
        kept, self._kept = self._kept, []
        return kept
