"""The part of a graph that a move backpropagates through, and what of it must stay in one piece.

Of `G.minimizes(fool(D(fake)) + mse(fake, peak))`, G moving: fake is needed by G, and so are
D(fake), mse and fool; peak and D's parameters are not. Where a gradient is a value, ∂D(x)/∂x, what
lies between x and D(x) is one region, which no cut may part.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import TypeAlias

from nvn.game.graph import LossGraph
from nvn.game.traversal import ancestors, called_players, is_cut, roots
from nvn.game.values import Energy, Term, Value, WeightedSum
from nvn.planner.basis import WeightMatrix
from nvn.planner.partition import cycle, united

Edge: TypeAlias = tuple[Value, Value]  # a value, and a node that takes it
Terms: TypeAlias = Mapping[str, tuple[Term, ...]]


@dataclass(frozen=True, eq=False)
class Region:
    """Nodes between which no edge may be cut: nearly always one node.

    Attributes:
        nodes: The nodes, in order.
        players: The movers whose gradients pass through any of them.
        energies: The movers' energies below any of them.
        owners: The players whose calls are among them.
    """

    nodes: tuple[Value, ...]
    players: tuple[str, ...]
    energies: frozenset[Energy]
    owners: frozenset[str]


@dataclass(frozen=True)
class Subgraph:
    """What a move backpropagates through.

    Attributes:
        needed_by: The movers whose gradients pass through each node; other nodes are absent.
        energies_below: The movers' energies that each node is made into, differentiably.
        live_edges: The edges that gradients of the move take.
        edges: Those of them between regions, in order.
        regions: What must stay in one piece.
        region_of: The region of each node.
    """

    needed_by: Mapping[Value, tuple[str, ...]]
    energies_below: Mapping[Value, frozenset[Energy]]
    live_edges: frozenset[Edge]
    edges: tuple[Edge, ...]
    regions: tuple[Region, ...]
    region_of: Mapping[Value, Region]


def subgraph(graph: LossGraph, matrix: WeightMatrix, terms: Terms) -> Subgraph:
    """Return what players who descend `terms` backpropagate through."""
    nodes = ancestors(roots(WeightedSum(group) for group in terms.values()))
    energies = _energies_below(nodes, terms)
    needed_by = _needed_by(graph, matrix, terms, energies)
    possible = [(v, n) for n in needed_by if not is_cut(n) for v in n.inputs if v in needed_by]
    groups = _uncut(graph, possible, needed_by)
    regions = tuple(_region(group, terms, needed_by, energies) for group in groups)
    region_of = {node: region for region in regions for node in region.nodes}
    edges = [
        (v, n)
        for v, n in possible
        if region_of[v] is region_of[n] or _is_taken(matrix, needed_by[v], region_of[n].energies)
    ]
    between = tuple((v, n) for v, n in edges if region_of[v] is not region_of[n])
    return Subgraph(needed_by, energies, frozenset(edges), between, regions, region_of)


def _is_taken(matrix: WeightMatrix, players: Sequence[str], energies: frozenset[Energy]) -> bool:
    """Tell whether any of the players who need a value has a weight on what a taker makes of it.

    Of D(peak, f), f = E(weak), where D and E move together: E needs f, for what else is made of it,
    but has nothing to do with what D says of peaks. D is given a constant there.
    """
    return any(matrix.row(player).touches(energies) for player in players)


def _energies_below(nodes: Sequence[Value], terms: Terms) -> dict[Value, frozenset[Energy]]:
    wanted = {term.energy for group in terms.values() for term in group}
    below: dict[Value, set[Energy]] = {node: set() for node in nodes}
    for node in reversed(nodes):
        if isinstance(node, Energy) and node in wanted:
            below[node].add(node)
        if not is_cut(node):
            for value in node.inputs:
                below[value] |= below[node]
    frozen = ((node, frozenset(energies)) for node, energies in below.items())
    # Equal sets become one object: what is found out about it is looked up at once.
    known: dict[frozenset[Energy], frozenset[Energy]] = {}
    return {node: known.setdefault(energies, energies) for node, energies in frozen}


def _needed_by(
    graph: LossGraph,
    matrix: WeightMatrix,
    terms: Terms,
    energies_below: Mapping[Value, frozenset[Energy]],
) -> dict[Value, tuple[str, ...]]:
    order = {player: i for i, player in enumerate(terms)}

    def movers(node: Value, energies: Set[Energy]) -> Iterator[str]:
        upstream = graph.reach[node] & order.keys()
        # A mover may have no weight on any energy below: then it needs nothing of the node.
        return (
            p for p in sorted(upstream, key=order.__getitem__) if matrix.row(p).touches(energies)
        )

    found = ((node, tuple(movers(node, below))) for node, below in energies_below.items())
    return {node: players for node, players in found if players}


def _uncut(
    graph: LossGraph, edges: Sequence[Edge], needed_by: Mapping[Value, object]
) -> list[tuple[Value, ...]]:
    """Group nodes between which nothing may be cut: the way from x to y of each ∂y/∂x.

    Before: x → D(x) → r1(D(x)/∂x), x → D(x) → mean. After: {D(x), ∂D(x)/∂x} is one group; x, which
    may be a leaf, stands alone, as does everything else.

    All gradients of the graph count, whoever descends them: a value that this move backpropagates
    through may have been computed for one of them too.
    """
    groups: dict[Value, set[Value]] = {}
    for node, path in graph.gradient_paths.items():
        x = node.args[1]  # what is between any y and x takes the same tensor x
        groups.setdefault(x, set()).update(n for n in (*path - {x}, node) if n in needed_by)
    found = united([*((n,) for n in needed_by), *filter(None, groups.values())])
    # What lies between nodes of a group belongs to it too, and groups that lie between one another
    # are one, for else no order of going through them one by one would do. The latter takes four
    # slopes: two by f and two by g, of values made of each other's (test_backward.py).
    while circle := cycle(_waits(found, edges)):
        joined = tuple(node for i in circle for node in found[i])
        found = [*(group for i, group in enumerate(found) if i not in circle), joined]
    return found


def _waits(groups: Sequence[Sequence[Value]], edges: Sequence[Edge]) -> dict[int, set[int]]:
    """Return, by number, which groups each group gets cotangents from."""
    home = {node: i for i, group in enumerate(groups) for node in group}
    waits: dict[int, set[int]] = {i: set() for i in range(len(groups))}
    for value, node in edges:
        if home[value] != home[node]:
            waits[home[value]].add(home[node])
    return waits


def _region(
    nodes: Sequence[Value],
    movers: Iterable[str],
    needed_by: Mapping[Value, tuple[str, ...]],
    energies_below: Mapping[Value, frozenset[Energy]],
) -> Region:
    owners = frozenset(called_players(nodes))
    if len(nodes) == 1:
        (node,) = nodes
        return Region((node,), needed_by[node], energies_below[node], owners)
    nodes = sorted(nodes, key=lambda n: n.index)
    # In the movers' order, as at every node: so that the same player represents a direction.
    met = {p for n in nodes for p in needed_by[n]}
    players = tuple(p for p in movers if p in met)
    energies = frozenset[Energy]().union(*(energies_below[n] for n in nodes))
    return Region(tuple(nodes), players, energies, owners)
