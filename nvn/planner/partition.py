"""Groups of things: which overlap, in which order they come, and whether there is any."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from heapq import heappop, heappush
from itertools import count
from typing import TypeVar

T = TypeVar("T", bound=Hashable)


def united(groups: Iterable[Collection[T]]) -> list[tuple[T, ...]]:
    """Join groups that overlap. None may be empty.

    >>> united([(1, 2), (3,), (2, 4)])
    [(1, 2, 4), (3,)]
    """
    parent: dict[T, T] = {}

    def root(x: T) -> T:
        while parent.setdefault(x, x) != x:
            parent[x] = x = parent[parent[x]]  # halves the way for whoever asks next
        return x

    for group in groups:
        first, *others = (root(x) for x in group)
        for other in others:
            parent[root(other)] = root(first)
    found: dict[T, list[T]] = {}
    for x in parent:
        found.setdefault(root(x), []).append(x)
    return [tuple(group) for group in found.values()]


def cycle(before: Mapping[T, Iterable[T]]) -> tuple[T, ...]:
    """Return things that wait for one another in a circle; empty if there are none.

    Args:
        before: What each thing has to come after.

    >>> cycle({"a": ["b"], "b": ["a"], "c": ["a"]})
    ('a', 'b')
    """
    try:
        TopologicalSorter(before).prepare()
    except CycleError as error:
        first, *others = error.args[1]
        return tuple(dict.fromkeys((first, *others)))
    return ()


def ordered(before: Mapping[T, Iterable[T]], key: Callable[[T], int]) -> list[T]:
    """Return things in order: of those that may come next, that with the smallest key.

    >>> ordered({1: [3], 2: [], 3: []}, key=lambda x: x)
    [2, 3, 1]
    """
    sorter = TopologicalSorter(before)
    sorter.prepare()
    ready: list[tuple[int, int, T]] = []
    ticket = count()  # so that things are never compared
    found: list[T] = []
    while sorter.is_active():
        for x in sorter.get_ready():
            heappush(ready, (key(x), next(ticket), x))
        *_, x = heappop(ready)
        found.append(x)
        sorter.done(x)
    return found
