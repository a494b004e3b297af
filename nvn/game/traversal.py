"""Walking values: what they are computed from, and what a gradient arrives at.

Nothing here computes a value, or looks at a module: nodes and players' names are all it takes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from nvn.game.ops import Batch, Call, Gradient, Noise, StopGradient
from nvn.game.values import Value, WeightedSum


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
    """Return the players whose parameters a gradient that starts at each node arrives at.

    Nodes come in topological order. A gradient passes through frozen players, and reaches none.
    """
    found: dict[Value, frozenset[str]] = {}
    for node in nodes:
        learns = isinstance(node.op, Call) and not node.op.frozen
        own = called_players([node]) if learns else ()
        inputs = () if is_cut(node) else node.inputs
        found[node] = frozenset(own).union(*(found[v] for v in inputs))
    return found


def reads(nodes: Iterable[Value]) -> dict[Value, frozenset[str]]:
    """Return the players whose parameters each node's value depends on.

    Nodes come in topological order.
    """
    found: dict[Value, frozenset[str]] = {}
    for node in nodes:
        own = frozenset(called_players([node]))
        found[node] = own.union(*(found[v] for v in node.inputs))
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


def is_cut(node: Value) -> bool:
    """Tell whether no gradient flows from a node to its inputs; noise takes only their shape."""
    return isinstance(node.op, StopGradient | Noise)


def owner(node: Value) -> str | None:
    """Return the name of the player whose call `node` is; None if it is no call."""
    return node.op.player if isinstance(node.op, Call) else None


def called_players(nodes: Iterable[Value]) -> Iterator[str]:
    """Yield the name of the player of each call among `nodes`."""
    return (player for node in nodes if (player := owner(node)) is not None)


def gradients_of(nodes: Iterable[Value]) -> tuple[Value, ...]:
    """Return the gradient nodes among `nodes`."""
    return tuple(node for node in nodes if isinstance(node.op, Gradient))


def batch_names(nodes: Iterable[Value]) -> tuple[str, ...]:
    """Return the names of the batch that `nodes` need."""
    return tuple(node.op.name for node in nodes if isinstance(node.op, Batch))
