"""What is planned: the turns of an iteration, one after the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nvn.game.graph import roots
from nvn.game.schedule import Fresh, Move
from nvn.game.values import Term, Value, WeightedSum


@dataclass(frozen=True)
class Turn:
    """One repetition of a move.

    Attributes:
        move: The move.
        terms: What each mover descends; movers with nothing to descend are left out.
        takes: Whether it begins with a new batch (True), new draws ("noise") or neither.
    """

    move: Move
    terms: Mapping[str, tuple[Term, ...]]
    takes: Fresh

    @property
    def wanted(self) -> tuple[Value, ...]:
        """The energies, and the values that weigh them."""
        return roots(WeightedSum(group) for group in self.terms.values())
