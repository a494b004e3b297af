"""From a checked game and a schedule to a plan: what each move descends, compiled to least work.

A plan is lowered to a program (lowering.py) for each pattern of moves that happen and of energies
whose weights are not zero: `every`, `when` and weights that reach zero make patterns. Of
`alternating(move(D, toward=r1, every=16), D, G)`, iterations 0, 16, 32, … have one pattern, all
others another. No tensors here.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

from nvn.checks import loss_graph
from nvn.errors import RunError
from nvn.game.game import Game
from nvn.game.graph import LossGraph
from nvn.game.players import Player
from nvn.game.schedule import Fresh, Move, Schedule
from nvn.game.values import Term, Value, WeightedSum
from nvn.planner.ir import Program
from nvn.planner.lowering import LARGE, lower
from nvn.planner.turns import Turn, TurnPlan

if TYPE_CHECKING:
    from nvn.records import Record

Pattern: TypeAlias = tuple[tuple[tuple[bool, ...], ...] | None, ...]
"""For each move, which terms of each of its players are active; None if it does not happen."""


@dataclass(frozen=True)
class MovePlan:
    """A move with the terms that each of its players descends: those that depend on the player."""

    move: Move
    terms: Mapping[str, tuple[Term, ...]]

    def active(self, step: int) -> dict[str, tuple[Term, ...]]:
        """Return the terms whose weights are not zero in iteration `step`.

        Raises:
            RunError: A weight is not finite in this iteration.
        """
        return {
            player: tuple(term for term in terms if _number(player, term, step) != 0.0)
            for player, terms in self.terms.items()
        }


@dataclass(frozen=True)
class Plan:
    """What an engine runs.

    Attributes:
        graph: The game, frozen and checked.
        schedule: Who moves when.
        moves: What each move of the schedule computes.
        large: Parameters from which on a player's passes that share no graph are taken apart.
        nonlinear: The players through whom gradients do not flow linearly, as an engine has found.
            Then no passes are shared: each player's gradient takes its own.
        together: Whether several processes play, each on its share of every batch.

    >>> import nvn, torch
    >>> from nvn import energies as en
    >>> game, adv = nvn.Game("gan"), en.NonSaturating()
    >>> real, z = game.batch("real", "z")
    >>> G, D = (game.player(name, torch.nn.Linear(2, 2)) for name in "GD")
    >>> D.minimizes(adv.real(D(real)) + adv.fake(D(G(z))))
    >>> G.minimizes(adv.fool(D(G(z))))

    >>> plan = nvn.plan(game, nvn.alternating(D, G))
    >>> plan.counts["G"], plan.batches_per_step
    ({'forward': 1, 'backward': 1}, 1)
    """

    graph: LossGraph
    schedule: Schedule
    moves: tuple[MovePlan, ...]
    large: int = LARGE
    nonlinear: tuple[str, ...] = ()
    together: bool = False

    @cached_property
    def whole(self) -> Pattern:
        """The pattern of an iteration in which every move happens and every energy counts."""
        return tuple(tuple((True,) * len(ts) for ts in m.terms.values()) for m in self.moves)

    @cached_property
    def steady(self) -> bool:
        """Whether every iteration has the whole pattern."""
        occasional = any(m.move.every > 1 or m.move.when is not None for m in self.moves)
        terms = [term for m in self.moves for ts in m.terms.values() for term in ts]
        varying = any(not isinstance(s, Value) for term in terms for s in term.weight.symbols)
        return not (occasional or varying)

    def pattern(self, step: int, last: Record | None) -> Pattern:
        """Return the pattern of iteration `step` (from 0), `last` the record of the one before.

        Raises:
            RunError: A weight is not finite in this iteration.
        """
        if self.steady:
            return self.whole
        return self.chosen(step, [m.move.happens(step, last) for m in self.moves])

    def chosen(self, step: int, happens: Sequence[bool]) -> Pattern:
        """Return the pattern of iteration `step` if these of the moves happen.

        Raises:
            RunError: A weight is not finite in this iteration.
        """
        moves = zip(self.moves, happens, strict=True)
        return tuple(_pattern(move, step) if now else None for move, now in moves)

    def program(self, pattern: Pattern) -> Program:
        """Lower the iterations that have a pattern to a program."""
        return self.lowered(pattern)[0]

    def lowered(self, pattern: Pattern) -> tuple[Program, tuple[TurnPlan, ...]]:
        """Return the program of the iterations that have a pattern, and what each turn does."""
        return self.lower(self.turns(pattern))

    def lower(
        self,
        turns: Sequence[Turn],
        *,
        steps: bool = True,
        taken: Collection[str] = (),
        named: Mapping[int, str] | None = None,
    ) -> tuple[Program, tuple[TurnPlan, ...]]:
        """Lower turns as the plan has it (lowering.py says what the arguments are)."""
        return lower(
            self.graph,
            turns,
            steps=steps,
            large=self.large,
            apart=bool(self.nonlinear),
            together=self.together,
            taken=taken,
            named=named,
        )

    @property
    def unshared(self) -> str:
        """Why no passes are shared, in words; "" if they may be."""
        if not self.nonlinear:
            return ""
        return (
            f"each player's gradient takes passes of its own: through {', '.join(self.nonlinear)} "
            "gradients do not flow linearly (a hook or a backward of its own clips them, say)"
        )

    def turns(self, pattern: Pattern) -> list[Turn]:
        """Return who descends what in the iterations that have a pattern, one after the other."""
        turns: list[Turn] = []
        for planned, chosen in zip(self.moves, pattern, strict=True):
            if chosen is None:
                continue
            terms = {
                player: tuple(term for term, active in zip(ts, actives, strict=True) if active)
                for (player, ts), actives in zip(planned.terms.items(), chosen, strict=True)
            }
            terms = {player: ts for player, ts in terms.items() if ts}
            for _ in range(planned.move.times):
                takes: Fresh = planned.move.fresh if turns else True
                turns.append(Turn(planned.move, terms, takes))
        return turns

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """The passes through each player in an iteration in which every move happens.

        `{player: {"forward": n, "backward": n}}`: how often its module is called, and how often a
        gradient flows back through such a call (for its inputs, its parameters, or both at once).
        """
        _, turns = self.lowered(self.whole)
        forward = sum((turn.forward for turn in turns), Counter[str]())
        backward = sum((turn.backward for turn in turns), Counter[str]())
        names = [player.name for player in self.graph.players]
        return {n: {"forward": forward[n], "backward": backward[n]} for n in names}

    @property
    def batches_per_step(self) -> int:
        """How many batches an iteration takes in which every move happens."""
        return self.batches(self.whole)

    def batches(self, pattern: Pattern) -> int:
        """Return how many batches the iterations of a pattern take."""
        moves = [
            m.move for m, chosen in zip(self.moves, pattern, strict=True) if chosen is not None
        ]
        fresh = [move.fresh is True for move in moves for _ in range(move.times)]
        return 1 + sum(fresh[1:])  # whatever comes first takes the iteration's first batch

    def __str__(self) -> str:
        lines = [f"{self.graph.name}: {self.schedule}"]
        for number, planned in enumerate(self.moves, start=1):
            lines.append(f"{number}. {heading(planned.move)}")
            for name, terms in planned.terms.items():
                lines.append(f"   {name} minimizes {WeightedSum(terms)}")
        lines += [self.unshared] if self.unshared else []
        lines += [f"{name}: {follower}" for name, follower in self.graph.followers.items()]
        for name, passes in self.counts.items():
            if name in self.graph.followers and not any(passes.values()):
                continue  # it is there to be evaluated
            lines.append(f"{name}: {passes['forward']} forward, {passes['backward']} backward")
        return "\n".join(lines)


def plan(game: Game, schedule: Schedule, *, partial: bool = False) -> Plan:
    """Check `game` as played by `schedule`, and plan it.

    Args:
        game: The game.
        schedule: Who moves when.
        partial: Whether this is one of several schedules of the game (a phase): players that
            never move in it are then in order.

    Raises:
        GameError: Listing every problem found.

    >>> import nvn, torch
    >>> from nvn import energies as en
    >>> game = nvn.Game("line")
    >>> x, y = game.batch("x", "y")
    >>> f = game.player("f", torch.nn.Linear(1, 1))
    >>> f.minimizes(en.mse(f(x), y))
    >>> print(nvn.plan(game, nvn.alternating(f)))
    line: f
    1. f
       f minimizes mse(f(x), y)
    f: 1 forward, 1 backward
    """
    return plan_checked(loss_graph(game, [schedule], partial=partial), schedule)


def plan_checked(graph: LossGraph, schedule: Schedule) -> Plan:
    """Plan `schedule` on a graph that was checked together with it."""
    return Plan(graph, schedule, tuple(_planned(graph, move) for move in schedule.moves))


def _planned(graph: LossGraph, move: Move) -> MovePlan:
    def terms(player: Player) -> tuple[Term, ...]:
        goal = move.objective(player) * float(move.gain) if move.lazy else move.objective(player)
        found = graph.moving_terms(player, goal)
        return tuple(term for term in found if term.weight.factor != 0.0)  # zero at every step

    return MovePlan(move, {player.name: terms(player) for player in move.players})


def heading(move: Move) -> str:
    """Say who moves, and when."""
    details = [f"{move}"]
    details += [f"{move.times} times"] if move.times > 1 else []
    details += [f"once in {move.every} iterations"] if move.every > 1 else []
    details += ["when its condition holds"] if move.when is not None else []
    fresh = {True: "a new batch each time", "noise": "new samples each time", False: ""}
    details += [fresh[move.fresh]] if move.fresh else []
    details += [f"with the optimizer {move.optimizer!r}"] if move.optimizer else []
    return ", ".join(details)


def _pattern(planned: MovePlan, step: int) -> tuple[tuple[bool, ...], ...]:
    active = planned.active(step)
    return tuple(tuple(t in active[player] for t in ts) for player, ts in planned.terms.items())


def _number(player: str, term: Term, step: int) -> float:
    number = term.weight.known_at(step)
    if not math.isfinite(number):
        raise RunError(
            f"the weight {term.weight} of `{player}` on `{term.energy}` is {number} in "
            f"iteration {step}; expected a finite number"
        )
    return number
