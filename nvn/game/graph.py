"""The loss graph: a game, frozen.

It is what all that follows reads: the checks (nvn/checks), the planner, and the engine's dry run,
which tells what only shapes can.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial

from nvn import pytree
from nvn.game.averages import Average
from nvn.game.game import Game
from nvn.game.modules import may_draw, parameter_count
from nvn.game.past import Past
from nvn.game.players import Player
from nvn.game.schedule import Schedule
from nvn.game.traversal import (
    ancestors,
    differentiable_path,
    gradients_of,
    reach,
    reads,
    roots,
)
from nvn.game.values import Energy, Term, Value, ValueTable, WeightedSum, expressions


@dataclass(frozen=True)
class LossGraph:
    """A frozen game.

    Attributes:
        name: The game's name.
        table: The table of the game's values: a value of another table is of another game.
        players: Every player, frozen ones too, in the order declared.
        objectives: What each player minimizes, by name; frozen players have none.
        nodes: Every value that an objective (or a move's `toward`) is computed from, each after
            its inputs.
        weights: Those of the nodes that serve as weights.
        names: A unique name for each node.
        reach: The players whose parameters a gradient that starts at the node arrives at.
        reads: The players whose parameters the node's value depends on.
        stateful: The players whose modules have buffers, which their calls may change.
        parameters: How many parameters each player has.
        learnable: The players with parameters that require gradients, frozen ones too.
        drawing: The players whose modules may draw random numbers.
        averages: How players' weights follow others', of those that are averages, by name.
        pasts: What players are who are others' earlier selves, by name.
    """

    name: str
    table: ValueTable
    players: tuple[Player, ...]
    objectives: Mapping[str, WeightedSum]
    nodes: tuple[Value, ...]
    weights: frozenset[Value]
    names: Mapping[Value, str]
    reach: Mapping[Value, frozenset[str]]
    reads: Mapping[Value, frozenset[str]]
    stateful: frozenset[str]
    parameters: Mapping[str, int]
    learnable: frozenset[str]
    drawing: frozenset[str]
    averages: Mapping[str, Average] = field(default_factory=dict)
    pasts: Mapping[str, Past] = field(default_factory=dict)

    @property
    def energies(self) -> tuple[Energy, ...]:
        """Every energy of the graph, in the order declared."""
        return tuple(node for node in self.nodes if isinstance(node, Energy))

    @property
    def followers(self) -> dict[str, Average | Past]:
        """How players follow others, of those who do, by name."""
        return {**self.averages, **self.pasts}

    def player(self, name: str) -> Player:
        """Return the player of that name.

        Raises:
            KeyError: There is none.
        """
        return {player.name: player for player in self.players}[name]

    @cached_property
    def gradient_paths(self) -> Mapping[Value, frozenset[Value]]:
        """What lies between x and y, both included, for each ∂y/∂x among the nodes."""
        return {g: differentiable_path(g.args[1], g.args[0]) for g in gradients_of(self.nodes)}

    def moving_terms(self, player: Player, objective: WeightedSum) -> tuple[Term, ...]:
        """Return the terms of `objective` that depend on `player`: the others cannot move it."""
        return tuple(t for t in objective.terms if player.name in self.reach[t.energy])


def freeze(game: Game, schedules: Iterable[Schedule]) -> LossGraph:
    """Return the loss graph of a game that is played by `schedules`, unchecked."""
    players = tuple(game.players.values())
    objectives = {p.name: p.objective for p in players if not p.frozen}
    goals = [m.toward for s in schedules for m in s.moves if m.toward is not None]
    sums = [*objectives.values(), *goals]
    nodes = ancestors(roots(sums))
    return LossGraph(
        name=game.name,
        table=game.table,
        players=players,
        objectives=objectives,
        nodes=nodes,
        weights=frozenset(v for s in sums for t in s.terms for v in t.weight.values),
        names=unique_names(nodes),
        reach=reach(nodes),
        reads=reads(nodes),
        stateful=frozenset(p.name for p in players if any(True for _ in p.module.buffers())),
        parameters={p.name: parameter_count(p.module) for p in players},
        learnable=frozenset(
            p.name for p in players if any(w.requires_grad for w in p.module.parameters())
        ),
        drawing=frozenset(p.name for p in players if may_draw(p.module)),
        averages=dict(game.averages),
        pasts=dict(game.pasts),
    )


def unique_names(nodes: Iterable[Value]) -> dict[Value, str]:
    """Return each node's expression, numbered where two nodes would read the same."""
    nodes = tuple(nodes)
    written = expressions(nodes)
    names: dict[Value, str] = {}
    taken: set[str] = set()
    for node in nodes:
        base = written[node]
        name, count = base, 1
        while name in taken:
            count += 1
            name = f"{base} ({count})"
        taken.add(name)
        names[node] = name
    return names


def fingerprints(nodes: Iterable[Value]) -> dict[Value, int]:
    """Return a 64-bit number for each of the nodes, which come in topological order.

    It depends on how a value is computed, from what, and by whom; not on names given with
    `.named`, nor on the order of declarations. Random seeds are made of it.
    """
    found: dict[Value, int] = {}
    for node in nodes:
        structure = pytree.key(
            (node.args, sorted(node.kwargs.items())), partial(_fingerprint, found)
        )
        found[node] = hashed(f"{node.op.signature()}{structure}")
    return found


def hashed(text: str) -> int:
    """Return a 64-bit number that depends on `text`."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def _fingerprint(found: Mapping[Value, int], leaf: object) -> str:
    if isinstance(leaf, Value):
        return str(found[leaf])
    return repr(leaf) if isinstance(leaf, int | float | str | None) else type(leaf).__name__
