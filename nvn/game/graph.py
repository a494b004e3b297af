"""The loss graph: a game, frozen, and what can be read off it without computing anything.

Its checks stand in nvn/checks (structure) and nvn/dryrun (what only shapes can tell).
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial

from nvn import pytree
from nvn.game.game import Game, Player
from nvn.game.schedule import Schedule
from nvn.game.values import (
    Apply,
    Batch,
    Call,
    Energy,
    Gradient,
    Item,
    Noise,
    Sample,
    StopGradient,
    Term,
    Value,
    WeightedSum,
    expressions,
)


@dataclass(frozen=True)
class LossGraph:
    """A frozen game.

    Attributes:
        name: The game's name.
        players: Every player, frozen ones too, in the order declared.
        objectives: What each player minimises, by name; frozen players have none.
        nodes: Every value that an objective (or a move's `toward`) is computed from, each after
            its inputs.
        weights: Those of the nodes that serve as weights.
        names: A unique name for each node.
        reach: The players whose parameters a gradient that starts at the node arrives at.
        reads: The players whose parameters the node's value depends on.
    """

    name: str
    players: tuple[Player, ...]
    objectives: Mapping[str, WeightedSum]
    nodes: tuple[Value, ...]
    weights: frozenset[Value]
    names: Mapping[Value, str]
    reach: Mapping[Value, frozenset[str]]
    reads: Mapping[Value, frozenset[str]]

    @property
    def energies(self) -> tuple[Energy, ...]:
        """Every energy of the graph, in the order declared."""
        return tuple(node for node in self.nodes if isinstance(node, Energy))

    @cached_property
    def gradient_paths(self) -> Mapping[Value, frozenset[Value]]:
        """What lies between x and y, both included, for each ∂y/∂x among the nodes."""
        return {g: differentiable_path(g.args[1], g.args[0]) for g in gradients_of(self.nodes)}

    def moving_terms(self, player: Player, objective: WeightedSum) -> tuple[Term, ...]:
        """Return the terms of `objective` that depend on `player`: the others cannot move it."""
        return tuple(t for t in objective.terms if player.name in self.reach[t.energy])


def freeze(game: Game, schedules: Iterable[Schedule]) -> LossGraph:
    """Return the loss graph of a game that is played by `schedules`, unchecked."""
    objectives = {p.name: p.objective for p in game.players.values() if not p.frozen}
    goals = [m.toward for s in schedules for m in s.moves if m.toward is not None]
    sums = [*objectives.values(), *goals]
    nodes = ancestors(roots(sums))
    return LossGraph(
        name=game.name,
        players=tuple(game.players.values()),
        objectives=objectives,
        nodes=nodes,
        weights=frozenset(v for s in sums for t in s.terms for v in t.weight.values),
        names=unique_names(nodes),
        reach=reach(nodes),
        reads=reads(nodes),
    )


# --- walking values -------------------------------------------------------------------------


def roots(objectives: Iterable[WeightedSum]) -> tuple[Value, ...]:
    """Return what objectives are computed from directly: energies, and values in weights."""
    found: dict[Value, None] = {}
    for objective in objectives:
        for term in objective.terms:
            found.update(dict.fromkeys((term.energy, *term.weight.values)))
    return tuple(found)


def ancestors(values: Iterable[Value], given: Collection[Value] = frozenset()) -> tuple[Value, ...]:
    """Return `values` and all they are computed from, each after its inputs.

    What the values `given` are computed from is left out.
    """
    found: set[Value] = set()
    waiting = list(values)
    while waiting:
        value = waiting.pop()
        if value not in found:
            found.add(value)
            waiting.extend(() if value in given else value.inputs)
    return tuple(sorted(found, key=lambda v: v.index))


def reach(nodes: Iterable[Value]) -> dict[Value, frozenset[str]]:
    """Return, for nodes in topological order, the players that a gradient from each arrives at."""
    found: dict[Value, frozenset[str]] = {}
    for node in nodes:
        own = {player.name for player in called_players([node]) if not player.frozen}
        inputs = () if is_cut(node) else node.inputs
        found[node] = frozenset(own).union(*(found[v] for v in inputs))
    return found


def reads(nodes: Iterable[Value]) -> dict[Value, frozenset[str]]:
    """Return, for nodes in topological order, the players whose parameters each is made with."""
    found: dict[Value, frozenset[str]] = {}
    for node in nodes:
        own = {player.name for player in called_players([node])}
        found[node] = frozenset(own).union(*(found[v] for v in node.inputs))
    return found


def differentiable_path(start: Value, end: Value) -> frozenset[Value]:
    """Return the nodes between `start` and `end`, both included, on paths gradients can take.

    Empty if `end` does not depend on `start` differentiably.
    """
    after: set[Value] = set()  # what depends on `start`
    for node in ancestors([end]):
        if node is start or (not is_cut(node) and any(v in after for v in node.inputs)):
            after.add(node)
    path: set[Value] = set()
    waiting = [end] if end in after else []
    while waiting:
        node = waiting.pop()
        if node not in path:
            path.add(node)
            waiting += [v for v in node.inputs if v in after]
    return frozenset(path)


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
        found[node] = hashed(f"{_signature(node)}{structure}")
    return found


def hashed(text: str) -> int:
    """Return a 64-bit number that depends on `text`."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def _fingerprint(found: Mapping[Value, int], leaf: object) -> str:
    if isinstance(leaf, Value):
        return str(found[leaf])
    return repr(leaf) if isinstance(leaf, int | float | str | None) else type(leaf).__name__


def _signature(node: Value) -> str:
    match node.op:
        case Batch(name) | Noise(name) | Sample(name) | Apply(_, name):
            detail = name
        case Call(player, method, training):
            detail = f"{player.name}.{method}, {training}"
        case Item(index):
            detail = repr(index)
        case _:
            detail = ""
    return f"{type(node.op).__name__}({detail})"


def batch_names(nodes: Iterable[Value]) -> tuple[str, ...]:
    """Return the names of the batch that `nodes` need."""
    return tuple(node.op.name for node in nodes if isinstance(node.op, Batch))


def gradients_of(nodes: Iterable[Value]) -> tuple[Value, ...]:
    """Return the gradient nodes among `nodes`."""
    return tuple(node for node in nodes if isinstance(node.op, Gradient))


def owner(node: Value) -> Player | None:
    """Return the player whose call `node` is; None if it is no call."""
    return node.op.player if isinstance(node.op, Call) else None


def called_players(nodes: Iterable[Value]) -> Iterator[Player]:
    """Yield the player of each call among `nodes`."""
    return (player for node in nodes if (player := owner(node)) is not None)


def is_cut(node: Value) -> bool:
    """Tell whether no gradient flows from a node to its inputs; noise takes only their shape."""
    return isinstance(node.op, StopGradient | Noise)
