"""Which loops a plan's iterations are, and how an iteration tells which one it is.

`every`, `when` and weights that are zero now and then make patterns (nvn/planner/planner.py), each
with a loop of its own. What tells them apart are a few conditions: on the step, on the caller.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from nvn.game.schedule import Move
from nvn.game.values import Value
from nvn.planner.names import Names
from nvn.planner.planner import Pattern, Plan

LONGEST = 100_000
"""Iterations that are looked at, at most, for the patterns of weights that are functions."""


@dataclass(frozen=True)
class Every:
    """The step is a multiple of a number."""

    number: int

    def holds(self, step: int, moves: frozenset[str]) -> bool:
        """Tell whether it holds in a step in which the caller lets these moves happen."""
        return step % self.number == 0


@dataclass(frozen=True)
class When:
    """The caller lets a move happen.

    Attributes:
        name: What the caller gives it as.
    """

    name: str

    def holds(self, step: int, moves: frozenset[str]) -> bool:
        """Tell whether it holds in a step in which the caller lets these moves happen."""
        return self.name in moves


@dataclass(frozen=True)
class Weighs:
    """A product of functions of the step is not zero."""

    functions: tuple[Callable[[int], float], ...]

    def holds(self, step: int, moves: frozenset[str]) -> bool:
        """Tell whether it holds in a step in which the caller lets these moves happen."""
        return math.prod(float(fn(step)) for fn in self.functions) != 0.0


Condition = Every | When | Weighs


@dataclass(frozen=True)
class Patterns:
    """The patterns of a plan.

    Attributes:
        conditions: What tells them apart.
        of: The pattern of each outcome of the conditions that comes up.
        whens: What the caller says of each move with a condition of its own, by the move's index.
        looked_at: How many iterations were looked at.
    """

    conditions: tuple[Condition, ...]
    of: dict[tuple[bool, ...], Pattern]
    whens: dict[int, str]
    looked_at: int


def patterns(plan: Plan, steps: int) -> Patterns:
    """Find the patterns of a plan's first `steps` iterations.

    Raises:
        RunError: A weight is not finite in one of them.
    """
    moves = [planned.move for planned in plan.moves]
    whens = _whens(moves)
    weights = {
        tuple(s for s in term.weight.symbols if not isinstance(s, Value)): None
        for planned in plan.moves
        for terms in planned.terms.values()
        for term in terms
    }
    conditions: list[Condition] = [Every(n) for n in sorted({m.every for m in moves} - {1})]
    conditions += map(When, whens.values())
    conditions += [Weighs(functions) for functions in weights if functions]
    # A weight may be zero at any step; the rest comes again and again.
    period = math.lcm(*(move.every for move in moves))
    looked_at = min(steps if any(weights) else period, LONGEST)
    found: dict[tuple[bool, ...], Pattern] = {}
    for step, chosen in itertools.product(range(looked_at), _subsets([*whens.values()])):
        outcome = tuple(condition.holds(step, chosen) for condition in conditions)
        if outcome not in found:
            happens = [
                step % move.every == 0 and (i not in whens or whens[i] in chosen)
                for i, move in enumerate(moves)
            ]
            found[outcome] = plan.chosen(step, happens)
    return _simplified(tuple(conditions), found, whens, looked_at)


def _simplified(
    conditions: tuple[Condition, ...],
    found: dict[tuple[bool, ...], Pattern],
    whens: dict[int, str],
    looked_at: int,
) -> Patterns:
    """Leave out conditions that always come out alike."""
    telling = [i for i in range(len(conditions)) if len({outcome[i] for outcome in found}) > 1]
    return Patterns(
        tuple(conditions[i] for i in telling),
        {tuple(outcome[i] for i in telling): pattern for outcome, pattern in found.items()},
        whens,
        looked_at,
    )


def _whens(moves: Sequence[Move]) -> dict[int, str]:
    names, found = Names([]), {}
    known: dict[Any, str] = {}
    for index, move in enumerate(moves):
        if move.when is not None:
            players = "_".join(player.name for player in move.players)
            verb = "moves" if len(move.players) == 1 else "move"
            if move.when not in known:
                known[move.when] = names.fresh(f"{players}_{verb}")
            found[index] = known[move.when]
    return found


def _subsets(names: Sequence[str]) -> list[frozenset[str]]:
    distinct = [*dict.fromkeys(names)]
    sizes = range(len(distinct), -1, -1)
    return [frozenset(c) for size in sizes for c in itertools.combinations(distinct, size)]
