"""Alarms in words: an opponent's judgment that no longer counts, teammates who oppose one another.

Both are told of means over the looks of the last 500 steps at least, never of one look.
"""

from __future__ import annotations

import math
import warnings
from collections import deque
from collections.abc import Mapping
from statistics import mean
from typing import TYPE_CHECKING

from nvn.errors import NvnWarning
from nvn.training.hooks import hook

if TYPE_CHECKING:
    from nvn.pulls import Pull, Pulls
    from nvn.recipe.recipe import Phase

__all__ = ["Balance"]

STEPS = 500  # that a mean is over, at least
LOOKS = 3  # that a mean is over, at least
LOST = 0.01  # of all that pulls at a player, what an opponent's share has come down to
MATTERED = 0.05  # what it must have been before, to be missed
AGAINST = -0.9  # the cosine of teammates' pulls from which on they work against one another
AGAIN = 5000  # steps before the same is told again


class Balance:
    """The plugin that warns (`NvnWarning`) of pulls that are out of balance.

    - An opponent no longer pulls a player: the share of what comes through its calls is less than
      1 % of all that pulls at the player, and was 5 % at least before.
    - A player's strongest pull is opposed to a teammate's whole one, where their gradients meet:
      the cosine is less than −0.9.

    Something is told again only after it had been well in between, and no sooner than after 5000
    steps.
    """

    def __init__(self) -> None:
        self._begin()

    @hook
    def phase_started(self) -> None:
        """Begin anew: another phase, another game."""
        self._begin()

    @hook
    def pulled(self, phase: Phase, pulls: Pulls) -> None:
        """Take a look, and tell what is out of balance."""
        for player, own in pulls.players.items():
            for opponent, share in shares_through(own).items():
                self._share(player, opponent, share, pulls.step)
        for (player, mate, value), cosine in oppositions(pulls).items():
            self._opposed(player, mate, value, cosine, pulls.step)

    def _begin(self) -> None:
        self._means: dict[tuple[str, ...], _Mean] = {}
        self._best: dict[tuple[str, ...], float] = {}
        self._told: dict[tuple[str, ...], int] = {}
        self._well: set[tuple[str, ...]] = set()

    def _share(self, player: str, opponent: str, share: float, step: int) -> None:
        key = ("share", player, opponent)
        now = self._mean(key, share, step)
        if now is None:
            return
        best = self._best[key] = max(now, self._best.get(key, 0.0))
        if self._is_new(key, best >= MATTERED and now < LOST, now >= 2 * LOST, step):
            _warn(
                f"{opponent} no longer pulls {player}: share {100 * now:.2g} % over the last "
                f"{self._means[key].steps} steps (step {step}), of {100 * best:.2g} % before",
            )

    def _opposed(self, player: str, mate: str, value: str, cosine: float, step: int) -> None:
        key = ("opposed", player, mate, value)
        now = self._mean(key, cosine, step)
        if now is not None and self._is_new(key, now < AGAINST, now > AGAINST / 2, step):
            _warn(
                f"{player} and {mate} work against one another at {value}: cosine {now:.2f} over "
                f"the last {self._means[key].steps} steps (step {step})"
            )

    def _mean(self, key: tuple[str, ...], number: float, step: int) -> float | None:
        kept = self._means.setdefault(key, _Mean())
        if math.isfinite(number):
            kept.add(step, number)
        return kept.value

    def _is_new(self, key: tuple[str, ...], bad: bool, well: bool, step: int) -> bool:
        """Tell whether something is bad that is to be told."""
        if well:
            self._well.add(key)
        told = self._told.get(key)
        if not bad or (told is not None and (key not in self._well or step - told < AGAIN)):
            return False
        self._told[key] = step
        self._well.discard(key)
        return True


class _Mean:
    """The mean of some numbers over the last steps."""

    def __init__(self) -> None:
        self._seen: deque[tuple[int, float]] = deque()

    def add(self, step: int, number: float) -> None:
        """Take a number, and forget those that are not needed any more."""
        self._seen.append((step, number))
        while len(self._seen) > LOOKS and step - self._seen[1][0] >= STEPS:
            self._seen.popleft()

    @property
    def steps(self) -> int:
        """How many steps it is over."""
        return self._seen[-1][0] - self._seen[0][0] if self._seen else 0

    @property
    def value(self) -> float | None:
        """The mean; None while there are too few numbers."""
        if len(self._seen) < LOOKS or self.steps < STEPS:
            return None
        return mean(number for _, number in self._seen)


def shares_through(own: Mapping[str, Pull]) -> dict[str, float]:
    """Return the share that each opponent has of what pulls at a player.

    >>> from nvn.pulls import Pull
    >>> shares_through({"fool": Pull(1.0, 0.25, through=("D",)), "mse": Pull(3.0, 0.75)})
    {'D': 0.25}
    """
    found: dict[str, float] = {}
    for pull in own.values():
        for opponent in pull.through:
            found[opponent] = found.get(opponent, 0.0) + pull.share
    return found


def oppositions(pulls: Pulls) -> dict[tuple[str, str, str], float]:
    """Return how teammates are to one another at values where their gradients meet.

    Of two, it is the cosine of one's strongest pull with the other's whole one: the smaller of the
    two cosines, for each may be the one that is worked against.
    """
    found: dict[tuple[str, str, str], float] = {}
    for player, own in pulls.players.items():
        met = [pull for pull in own.values() if pull.teammates]
        if met:
            strongest = max(met, key=lambda pull: pull.norm)
            for mate, at in strongest.teammates.items():
                for value, cosine in at.items():
                    key = (min(player, mate), max(player, mate), value)
                    found[key] = min(cosine, found.get(key, 1.0))
    return found


def _warn(what: str) -> None:
    warnings.warn(f"{what}: see docs/pulls.md", NvnWarning, stacklevel=2)
