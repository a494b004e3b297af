"""The counters of a run: what random draws, and functions of the step, depend on."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from nvn.streams import mixed


@dataclass
class Counters:
    """How far a run has come. A run's state owns one; it is advanced here and nowhere else.

    Attributes:
        seed: The run's seed.
        batches: How many batches have been taken.
        draws: How often samples have been drawn.
        steps: How many steps each player has taken.

    >>> counters = Counters(seed=0)
    >>> before = counters.copy()
    >>> counters.next_batch()
    >>> counters.stepped("D")
    >>> counters
    Counters(seed=0, batches=1, draws=1, steps={'D': 1})
    >>> before
    Counters(seed=0, batches=0, draws=0, steps={})
    """

    seed: int
    batches: int = 0
    draws: int = 0
    steps: dict[str, int] = field(default_factory=dict)

    def next_batch(self) -> None:
        """Count a batch that was taken: its samples are drawn anew, too."""
        self.batches += 1
        self.draws += 1

    def next_draws(self) -> None:
        """Count samples drawn anew for the same batch."""
        self.draws += 1

    def stepped(self, player: str) -> None:
        """Count a step of a player."""
        self.steps[player] = self.steps.get(player, 0) + 1

    def copy(self) -> Counters:
        """Return the counters as they are now; advancing either leaves the other alone."""
        return replace(self, steps=dict(self.steps))

    def call_seed(self, key: int, *players: str) -> int:
        """Return what a call draws from, of a `key` of its own, that reads these players."""
        steps = [self.steps.get(player, 0) for player in players]
        return mixed(self.seed % 2**64, key, self.batches, self.draws, *steps)

    def draw_seed(self, key: int) -> int:
        """Return what noise or a sample with a `key` of its own is drawn from."""
        return mixed(self.seed % 2**64, key, self.draws)
