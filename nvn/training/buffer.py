"""A buffer of records, so that they are read several at a time.

Reading a record waits for the device. A run that read each record at once would never let the
device run ahead of the loop.
"""

from __future__ import annotations

import time
from typing import Generic, TypeVar

__all__ = ["RecordBuffer"]

T = TypeVar("T")


class RecordBuffer(Generic[T]):
    """Buffers items until there are `enough`, or until the first has waited for `seconds`."""

    def __init__(self, enough: int = 50, seconds: float = 1.0) -> None:
        self._enough = enough
        self._seconds = seconds
        self._items: list[T] = []
        self._since = 0.0

    def add(self, item: T) -> bool:
        """Add an item, and return whether it is time to take them all."""
        if not self._items:
            self._since = time.monotonic()
        self._items.append(item)
        waited = time.monotonic() - self._since
        return len(self._items) >= self._enough or waited >= self._seconds

    def take(self) -> list[T]:
        """Return all items in order, and empty the buffer."""
        items, self._items = self._items, []
        return items
