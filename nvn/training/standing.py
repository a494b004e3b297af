"""How a run is going, from a reading now and then: courses of numbers, speed, who is ahead.

A player is ahead by how far its objective lies below where it has been in this phase: by the mean
of all readings less the mean of the last eight, in standard deviations. A team's lead is the mean
of its players'. That needs no knowledge of the energies, and is 0 where nobody gains: what one
gains in an adversarial game, another loses. Of all teams, the one with the largest lead is ahead,
if that is half a standard deviation more than the next one's.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence

__all__ = ["Course", "Speed", "furthest", "mean_lead"]

_POINTS = 18  # of a course, at least, once there have been as many
_RECENT = 8  # readings that say where a number is now
_ENOUGH = 16  # readings before anything is said of a lead
_AHEAD = 0.5  # standard deviations between the first and the next


class Course:
    """A number in the course of time, however long: a few dozen means, and the last value.

    >>> course = Course()
    >>> for value in range(100):
    ...     course.add(float(value))
    >>> len(course.values), course.values[0], course.values[-1], course.lead < 0
    (26, 1.5, 99.0, True)
    """

    def __init__(self) -> None:
        self._means: list[float] = []
        self._size = 1  # readings that each of them is over
        self._waiting: list[float] = []
        self._recent: deque[float] = deque(maxlen=_RECENT)
        self._last = math.nan
        self._count, self._mean, self._squares = 0, 0.0, 0.0

    def add(self, value: float) -> None:
        """Take a reading."""
        self._last = value
        if not math.isfinite(value):
            return
        self._recent.append(value)
        self._count += 1
        before = value - self._mean
        self._mean += before / self._count
        self._squares += before * (value - self._mean)
        self._waiting.append(value)
        if len(self._waiting) == self._size:
            self._means.append(sum(self._waiting) / self._size)
            self._waiting.clear()
        if len(self._means) == 2 * _POINTS:  # half as many, each over twice as long
            pairs = zip(self._means[::2], self._means[1::2], strict=True)
            self._means = [(a + b) / 2 for a, b in pairs]
            self._size *= 2

    @property
    def values(self) -> tuple[float, ...]:
        """Means over equal spans of time, and the last reading."""
        return (*self._means, self._last) if self._count or math.isnan(self._last) else ()

    @property
    def lead(self) -> float | None:
        """How far it is below where it has been, in standard deviations; None if not yet known."""
        if self._count < _ENOUGH:
            return None
        deviation = math.sqrt(self._squares / self._count)
        now = sum(self._recent) / len(self._recent)
        return (self._mean - now) / deviation if deviation > 0 else 0.0


class Speed:
    """How fast steps are taken, over the last readings."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int, int]] = deque(maxlen=40)

    def add(self, now: float, step: int, samples: int) -> None:
        """Take a reading: the time, and the steps and samples so far."""
        self._seen.append((now, step, samples))

    @property
    def steps(self) -> float | None:
        """Steps a second; None while that is not known."""
        return self._rate(1)

    @property
    def samples(self) -> float | None:
        """Samples a second; None while that is not known."""
        return self._rate(2)

    def _rate(self, of: int) -> float | None:
        if len(self._seen) < 2:
            return None
        first, last = self._seen[0], self._seen[-1]
        took = last[0] - first[0]
        gained = last[of] - first[of]
        return gained / took if took > 0 and gained > 0 else None


def mean_lead(courses: Iterable[Course]) -> float | None:
    """Return a team's lead, its players' mean; None while none is known."""
    leads = [lead for course in courses if (lead := course.lead) is not None]
    return sum(leads) / len(leads) if leads else None


def furthest(leads: Sequence[float | None]) -> int | None:
    """Return which of the leads is ahead; None if it is close.

    >>> furthest([0.1, 0.9]), furthest([0.1, 0.2]), furthest([None, 0.9])
    (1, None, None)
    """
    known = [lead for lead in leads if lead is not None]
    if len(known) < 2:
        return None
    first, second = sorted(known, reverse=True)[:2]
    return leads.index(first) if first > 0 and first - second >= _AHEAD else None
