"""Turns: the repetitions of moves that an iteration consists of, and what each does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from nvn.game.schedule import Fresh, Move
from nvn.game.traversal import called_players, owner, roots
from nvn.game.values import Energy, Term, Value, WeightedSum
from nvn.planner.backward import BackwardPlan


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

    @cached_property
    def energies(self) -> tuple[Energy, ...]:
        """The energies that anybody descends, each once."""
        return tuple(dict.fromkeys(t.energy for group in self.terms.values() for t in group))

    @cached_property
    def descends(self) -> frozenset[Energy]:
        """The same, to look them up."""
        return frozenset(self.energies)

    def lines(self, names: Mapping[Value, str]) -> tuple[str, ...]:
        """Say who moves, and down what."""
        movers = [
            f"{player} minimizes {_sum(group, names)}" for player, group in self.terms.items()
        ]
        return tuple(" ".join(line.split()) for line in movers) or (f"{self.move}",)

    def optimizer(self, player: str) -> str:
        """Return the name of the optimizer that a mover steps with."""
        return optimizer_key(player, self.move)


def _sum(terms: tuple[Term, ...], names: Mapping[Value, str]) -> str:
    parts = []
    for term in terms:
        weight = replace(term.weight, factor=abs(term.weight.factor))
        sign = "-" if term.weight.factor < 0 else "+"
        number = "" if str(weight) == "1" else f"{weight} "
        parts.append(f"{sign} {number}{names[term.energy]}")
    return " ".join(parts).removeprefix("+ ")


def optimizer_key(player: str, move: Move) -> str:
    """Return the name under which a run keeps what a player steps with in a move."""
    return player if move.optimizer is None else f"{player}:{move.optimizer}"


@dataclass(frozen=True)
class TurnPlan:
    """What a turn of a program does.

    Attributes:
        turn: The turn.
        computed: The values that are computed in it.
        reused: The values that it asks for and that are there already.
        backward_plan: How it goes back.
        through_gradients: How often the gradients that are values (∂y/∂x) go back through a call of
            each player.
    """

    turn: Turn
    computed: tuple[Value, ...]
    reused: tuple[Value, ...]
    backward_plan: BackwardPlan
    through_gradients: Counter[str]

    @property
    def forward(self) -> Counter[str]:
        """How often each player's module is called."""
        return Counter(called_players(self.computed))

    @property
    def backward(self) -> Counter[str]:
        """How often a gradient goes back through a call of each player."""
        passes = Counter(self.through_gradients)
        for node, through in self.backward_plan.passes.items():
            if (player := owner(node)) is not None:
                passes[player] += len(through)
        return passes
