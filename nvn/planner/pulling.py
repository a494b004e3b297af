"""Which passes tell each energy's pull at each player: planned, not yet run. No tensors here.

Of the 2 v 2 game, fake = G(weak, f), f = E(weak), everything is computed once, and each energy is
gone back from once, for all players who weigh it:

    from mse(fake, peak)    to G
    from fool(D(fake, f))   to G, E, and to fake, where the two teammates' gradients meet
    from real(D(peak, f))   to D
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from typing import TypeAlias

from nvn.game.graph import LossGraph
from nvn.game.traversal import ancestors, called_players, differentiable_path, gradients_of, roots
from nvn.game.values import Energy, Term, Value, WeightedSum
from nvn.planner.basis import WeightMatrix
from nvn.planner.planner import Plan
from nvn.planner.subgraph import Subgraph, Terms, subgraph

__all__ = ["PullPlan", "Weighed", "interval", "pull_plan", "weighed"]

Weighed: TypeAlias = Mapping[Energy, tuple[Term, ...]]
"""A player's energies, each with the terms that weigh it: one, most often."""

_SHARE = 0.01  # of an iteration's passes, at most, for pulls: not all passes cost the same
_SELDOM = 100  # iterations between two looks, at least
_ROUND = 50  # what the iterations between two looks are a multiple of


@dataclass(frozen=True)
class PullPlan:
    """How pulls are found.

    Attributes:
        graph: The game.
        terms: What each player weighs.
        passes: The energies to go back from, and the players to go back to.
        meetings: The values at which teammates' gradients meet first, and the players who do.
        through: For each player and energy, the players through whose calls the pull comes.
        apart: Whether each pass is one player's alone, and starts with its weight: where gradients
            do not flow linearly.
    """

    graph: LossGraph
    terms: Mapping[str, Weighed]
    passes: tuple[tuple[Energy, tuple[str, ...]], ...]
    meetings: Mapping[Value, tuple[str, ...]]
    through: Mapping[tuple[str, Energy], tuple[str, ...]]
    apart: bool = False

    @property
    def wanted(self) -> tuple[Value, ...]:
        """What is computed: energies, and the values that weigh them."""
        return roots(WeightedSum(terms) for own in self.terms.values() for terms in own.values())

    @cached_property
    def counts(self) -> dict[str, dict[str, int]]:
        """The passes through each player: `{player: {"forward": n, "backward": n}}`."""
        nodes = ancestors(self.wanted)
        forward, backward = Counter(called_players(nodes)), Counter[str]()
        for slope in gradients_of(nodes):
            backward.update(called_players(differentiable_path(slope.args[1], slope.args[0])))
        for energy, players in self.passes:
            backward.update(called_players(self._back(energy, players).needed_by))
        names = [player.name for player in self.graph.players]
        return {n: {"forward": forward[n], "backward": backward[n]} for n in names}

    @cached_property
    def alone(self) -> Mapping[str, Energy]:
        """The players with one energy and nobody to meet: their gradient is its pull."""
        meeting = {player for players in self.meetings.values() for player in players}
        one = {p: next(iter(own)) for p, own in self.terms.items() if len(own) == 1}
        return {p: energy for p, energy in one.items() if p not in meeting}

    def without(self, players: Collection[str]) -> PullPlan:
        """Return this plan without some players."""
        terms = {p: own for p, own in self.terms.items() if p not in players}
        passes = [(e, tuple(p for p in group if p in terms)) for e, group in self.passes]
        return replace(self, terms=terms, passes=tuple(x for x in passes if x[1]))

    def _back(self, energy: Energy, players: Collection[str]) -> Subgraph:
        return _subgraph(self.graph, {p: self.terms[p][energy] for p in players})


def weighed(plan: Plan, step: int, players: Collection[str] | None = None) -> dict[str, Weighed]:
    """Return the energies that players weigh in iteration `step`: all players who move, if None.

    A player's energies are those of all its moves, each with the weight that it has in the first
    move with it. A lazy regularizer counts as it does on average: without its gain.
    """
    terms: dict[str, dict[Energy, tuple[Term, ...]]] = {}
    for move in plan.schedule.moves:
        for player in move.players:
            if players is None or player.name in players:
                own = terms.setdefault(player.name, {})
                found = plan.graph.moving_terms(player, move.objective(player))
                for energy, group in _by_energy(found, step).items():
                    own.setdefault(energy, group)
    return {player: own for player, own in terms.items() if own}


def pull_plan(plan: Plan, terms: Mapping[str, Weighed]) -> PullPlan:
    """Plan to find the pulls of energies at the players who weigh them."""
    every = dict.fromkeys(energy for own in terms.values() for energy in own)
    passes = [(e, tuple(p for p in terms if e in terms[p])) for e in every]
    apart = bool(plan.nonlinear)
    if apart:
        passes = [(energy, (player,)) for energy, together in passes for player in together]
    return PullPlan(
        plan.graph,
        terms,
        tuple(passes),
        _meetings(plan.graph, terms),
        dict(_through(plan.graph, terms)),
        apart,
    )


def interval(plan: Plan, step: int = 0) -> int:
    """Return after how many iterations each to look, so that it costs 1 % of the passes at most.

    A pass back counts as two forward: it is to inputs and to parameters, most often.

    Args:
        plan: What is played.
        step: An iteration like most: one whose weights are the usual ones.
    """
    look = pull_plan(plan, weighed(plan, step))
    look = look.without(look.alone)
    usual = plan.chosen(step, [m.move.every == 1 for m in plan.moves])
    turns = plan.lowered(usual if any(usual) else plan.whole)[1]
    iteration = sum(turn.forward.total() + 2 * turn.backward.total() for turn in turns)
    passes = sum(n["forward"] + 2 * n["backward"] for n in look.counts.values())
    return max(_SELDOM, _ROUND * math.ceil(passes / (_SHARE * _ROUND * max(1, iteration))))


# --- helpers --------------------------------------------------------------------------------------


def _by_energy(terms: tuple[Term, ...], step: int) -> dict[Energy, tuple[Term, ...]]:
    found: dict[Energy, tuple[Term, ...]] = {}
    for term in terms:
        if term.weight.factor != 0.0 and term.weight.known_at(step) != 0.0:
            found[term.energy] = (*found.get(term.energy, ()), term)
    return found


def _subgraph(graph: LossGraph, terms: Terms) -> Subgraph:
    return subgraph(graph, WeightMatrix(terms, graph.names), terms)


def _meetings(graph: LossGraph, terms: Mapping[str, Weighed]) -> dict[Value, tuple[str, ...]]:
    """Return the values at which gradients of teammates meet, and not earlier on the way forward.

    Energies are left out: there, a gradient is a number.
    """
    teams = {player.name: player.team for player in graph.players}
    needed = _subgraph(graph, {p: sum(own.values(), ()) for p, own in terms.items()}).needed_by
    found: dict[Value, dict[str, None]] = {}
    for p, q in combinations(terms, 2):
        if teams[p] is None or teams[p] != teams[q]:
            continue
        both = {node for node, players in needed.items() if {p, q} <= {*players}}
        for node in both:
            if not isinstance(node, Energy) and both.isdisjoint(node.inputs):
                found.setdefault(node, {}).update({p: None, q: None})
    return {node: tuple(found[node]) for node in sorted(found, key=lambda n: n.index)}


def _through(
    graph: LossGraph, terms: Mapping[str, Weighed]
) -> Iterator[tuple[tuple[str, Energy], tuple[str, ...]]]:
    """Yield the players through whose calls each pull comes, but for the player's own team."""
    teams = {player.name: player.team for player in graph.players}
    for player, own in terms.items():
        team = {p for p, name in teams.items() if name is not None and name == teams[player]}
        for energy, group in own.items():
            passed = called_players(_subgraph(graph, {player: group}).needed_by)
            yield (
                (player, energy),
                tuple(dict.fromkeys(p for p in passed if p not in {player, *team})),
            )
