"""From a checked game and a schedule to a plan: what each move computes. No tensors here.

This is the plain planner: every move computes what it needs from the batch up, and goes back
through the graph once for each player who moves.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from nvn.checks import loss_graph
from nvn.game import Game, Player
from nvn.graph import (
    LossGraph,
    ancestors,
    called_players,
    differentiable_path,
    gradients_of,
    owner,
    roots,
)
from nvn.schedule import Move, Schedule
from nvn.values import Term, Value, WeightedSum


@dataclass(frozen=True)
class MovePlan:
    """A move with the terms that each of its players descends: those that depend on the player."""

    move: Move
    terms: Mapping[str, tuple[Term, ...]]

    def active(self, step: int) -> dict[str, tuple[Term, ...]]:
        """Return the terms whose weights are not zero in iteration `step`."""
        return {
            player: tuple(term for term in terms if term.weight.known_at(step) != 0.0)
            for player, terms in self.terms.items()
        }


@dataclass(frozen=True)
class Plan:
    """What an engine runs.

    Attributes:
        graph: The game, frozen and checked.
        schedule: Who moves when.
        moves: What each move of the schedule computes.
    """

    graph: LossGraph
    schedule: Schedule
    moves: tuple[MovePlan, ...]

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """The passes through each player in an iteration in which every move happens.

        `{player: {"forward": n, "backward": n}}`: how often its module is called, and how often a
        gradient goes back through such a call (for its inputs, its parameters, or both at once).
        """
        forward: Counter[str] = Counter()
        backward: Counter[str] = Counter()
        for planned in self.moves:
            for _ in range(planned.move.times):
                forward.update(_forward_passes(planned))
                backward.update(_backward_passes(planned))
        names = [player.name for player in self.graph.players]
        return {n: {"forward": forward[n], "backward": backward[n]} for n in names}

    @property
    def batches_per_step(self) -> int:
        """How many batches an iteration takes in which every move happens."""
        fresh = [m.move.fresh is True for m in self.moves for _ in range(m.move.times)]
        return 1 + sum(fresh[1:])  # whatever comes first takes the iteration's first batch

    def __str__(self) -> str:
        lines = [f"{self.graph.name}: {self.schedule}"]
        for number, planned in enumerate(self.moves, start=1):
            lines.append(f"{number}. {_heading(planned.move)}")
            for name, terms in planned.terms.items():
                lines.append(f"   {name} minimises {WeightedSum(terms)}")
        for name, passes in self.counts.items():
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


def demanded(terms: Iterable[tuple[Term, ...]]) -> tuple[Value, ...]:
    """Return all that must be computed for the gradients of these terms, in order."""
    return ancestors(roots(WeightedSum(t) for t in terms))


def _heading(move: Move) -> str:
    details = [f"{move}"]
    details += [f"{move.times} times"] if move.times > 1 else []
    details += [f"once in {move.every} iterations"] if move.every > 1 else []
    details += ["when its condition holds"] if move.when is not None else []
    fresh = {True: "a new batch each time", "noise": "new samples each time", False: ""}
    details += [fresh[move.fresh]] if move.fresh else []
    details += [f"with the optimizer {move.optimizer!r}"] if move.optimizer else []
    return ", ".join(details)


# --- counting passes --------------------------------------------------------------------------


def _forward_passes(planned: MovePlan) -> Counter[str]:
    return Counter(player.name for player in called_players(demanded(planned.terms.values())))


def _backward_passes(planned: MovePlan) -> Counter[str]:
    passes: Counter[str] = Counter()
    for name, terms in planned.terms.items():
        passes.update(player.name for player in called_players(_walked_back(name, terms)))
    for node in gradients_of(demanded(planned.terms.values())):
        y, x = node.args
        passes.update(p.name for p in called_players(differentiable_path(x, y) - {x}))
    return passes


def _walked_back(player: str, terms: tuple[Term, ...]) -> frozenset[Value]:
    """Return what the gradient of these terms for `player` passes through."""
    ends = {term.energy for term in terms}
    starts = [n for n in ancestors(ends) if (p := owner(n)) is not None and p.name == player]
    paths = (differentiable_path(start, end) for start in starts for end in ends)
    return frozenset[Value]().union(*paths)
