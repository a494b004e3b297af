"""A compiled iteration: its instructions, and what they mean turn by turn."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from nvn.game.graph import called_players, differentiable_path, gradients_of, owner
from nvn.game.values import Value
from nvn.planner.backward import BackwardPlan
from nvn.planner.instructions import Instruction
from nvn.planner.turns import Turn


@dataclass(frozen=True)
class Played:
    """What a turn of a program does.

    Attributes:
        turn: The turn.
        computed: The values that are computed in it.
        reused: The values that it asks for and that are there already.
        backward_plan: How it goes back.
    """

    turn: Turn
    computed: tuple[Value, ...]
    reused: tuple[Value, ...]
    backward_plan: BackwardPlan

    @property
    def forward(self) -> Counter[str]:
        """How often each player's module is called."""
        return Counter(player.name for player in called_players(self.computed))

    @property
    def backward(self) -> Counter[str]:
        """How often a gradient goes back through a call of each player."""
        passes: Counter[str] = Counter()
        for node, through in self.backward_plan.passes.items():
            if (player := owner(node)) is not None:
                passes[player.name] += len(through)
        for node in gradients_of(self.computed):
            y, x = node.args
            passes.update(p.name for p in called_players(differentiable_path(x, y) - {x}))
        return passes


@dataclass(frozen=True)
class Program:
    """A compiled iteration.

    Attributes:
        instructions: What to do, in order.
        names: What each slot holds, in words.
        turns: The same, turn by turn, for people.
    """

    instructions: tuple[Instruction, ...]
    names: tuple[str, ...]
    turns: tuple[Played, ...]
