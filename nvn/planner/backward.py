"""How a move backpropagates through the graph: reverse-mode differentiation in the fewest passes.

The planner's heart. One player's move is one backward pass. Several players who move together
each want the gradient of their own objective, a row of the weight matrix W (basis.py); what their
rows have in common is backpropagated through once. A plan is made in these steps, a function each:

1. subgraph.py: which nodes whose gradients pass through, and what has to stay in one piece;
2. `_bases`: which passes go through each node, by the weights on the energies below it;
3. `_settled`: passes that carry one energy alone do so from that energy on;
4. `_mixed`: an edge is cut where rows are made of passes in different ways on its two sides. The
   node gets a leaf in place of the value, the passes end there, and the cotangents that they leave
   are mixed into those of the next passes. Across other edges, autograd goes straight on;
5. segments.py: what autograd goes through in one call, and the order of the calls.

Of the 2 v 2 game, f = E(weak), fake = G(weak, f), with G and E moving together:

    W          fool(D(fake, f))  fool(Dp(fake, f))  mse(fake, peak)  ce(C(fake), label)
    G               0.002              0.002                1              0.1
    E               0.002              0.002                0                1

    node                  needed by  passes  made of them             edges from fake and f
    D(fake, f), fool_D    G, E       G       G: 1·G, E: 1·G           LEAF: at fake, E's row is E's
    Dp(fake, f), fool_Dp  G, E       G       G: 1·G, E: 1·G           LEAF, the same one
    C(fake), ce           G, E       E       G: 0.1·E, E: 1·E         LEAF, another one
    mse                   G          G       G: 1·G                   LIVE: E's pass carries no mse
    fake                  G, E       G, E    G: 1·G, E: 1·E           LIVE (to f)
    f                     E          E       E: 1·E

Three segments, {D, Dp, fool_D, fool_Dp}, {C, ce} and {mse, fake, f}, four calls of autograd:

    d_fake_G, d_f_G = grad([fool_D, fool_Dp], [fake_leaf, f_leaf], [0.002, 0.002])   # for both
    d_fake_E, = grad([ce], [fake_leaf_2], [1])                                       # for both
    g_E = grad([fake, f], E.parameters, [d_fake_E + d_fake_G, d_f_G], retain_graph=True)
    g_G = grad([mse, fake], G.parameters, [1, 0.1 * d_fake_E + d_fake_G])
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import TypeAlias

from nvn.game.graph import LossGraph
from nvn.game.values import Energy, Value, hashable
from nvn.planner.basis import Basis, Coefficient, Pass, WeightMatrix
from nvn.planner.partition import ordered
from nvn.planner.rank_reduction import smallest_basis
from nvn.planner.segments import segmented
from nvn.planner.subgraph import Edge, Region, Subgraph, Terms, subgraph

MakeBasis: TypeAlias = Callable[[Sequence[str], Set[Energy], Set[str]], Basis]


class EdgeKind(Enum):
    """What a node that a move backpropagates through takes in place of a value."""

    LIVE = "the value itself: autograd goes straight on"
    LEAF = "a leaf: the passes through the node end here, and are mixed into others"
    CONSTANT = "a constant: no gradient of the move goes this way"


@dataclass(frozen=True)
class BackwardPlan:
    """How a move backpropagates.

    Attributes:
        matrix: The movers' weights.
        needed_by: The movers whose gradients pass through each node; other nodes are absent.
        energies_below: The movers' energies that each node is made into, differentiably.
        bases: The passes through each node that is needed; of a region, through all of it.
        passes: What passes through the node itself: in a region, other passes may go by.
        live_edges: The edges that gradients take, cut ones too.
        cut_edges: The edges at which passes end.
        segments: The nodes that autograd goes through in one call, in backward order.
    """

    matrix: WeightMatrix
    needed_by: Mapping[Value, tuple[str, ...]]
    energies_below: Mapping[Value, frozenset[Energy]]
    bases: Mapping[Value, Basis]
    passes: Mapping[Value, tuple[Pass, ...]]
    live_edges: frozenset[Edge]
    cut_edges: frozenset[Edge]
    segments: tuple[tuple[Value, ...], ...]

    def carries(self, player: str, node: Value, energy: Energy) -> bool:
        """Tell whether a player descends an energy below a node."""
        return energy in self.energies_below[node] and bool(self.matrix.row(player).weight(energy))

    def coefficients(self, node: Value, wanted: Pass) -> Mapping[Pass, Coefficient]:
        """Return how what a pass carries is made of the passes through `node`; empty if it is not.

        Of `matrix.row(player)`: how the player's gradient is.
        """
        return self.bases[node].coefficients.get(wanted, {})

    def kind(self, value: Value, node: Value) -> EdgeKind:
        """Return what `node` takes in place of `value`."""
        if (value, node) in self.cut_edges:
            return EdgeKind.LEAF
        if (value, node) in self.live_edges:
            return EdgeKind.LIVE
        return EdgeKind.CONSTANT

    @cached_property
    def segment_of(self) -> Mapping[Value, int]:
        """The number of each node's segment."""
        return {node: i for i, segment in enumerate(self.segments) for node in segment}

    @cached_property
    def cut_takers(self) -> Mapping[Value, tuple[Value, ...]]:
        """The nodes that take a leaf in place of each value, in order."""
        found: dict[Value, list[Value]] = {}
        for value, node in sorted(self.cut_edges, key=lambda edge: edge[1].index):
            found.setdefault(value, []).append(node)
        return {value: tuple(nodes) for value, nodes in found.items()}

    @cached_property
    def leaf_of(self) -> Mapping[Edge, int]:
        """The number of the leaf at each cut edge.

        Nodes of one segment at which everybody's row is made of passes in one way share a leaf:
        autograd adds up what they leave there.
        """
        numbers: dict[object, int] = {}
        found: dict[Edge, int] = {}
        for value, nodes in self.cut_takers.items():
            rows = [self.matrix.row(player) for player in self.needed_by[value]]
            for node in nodes:
                ways = frozenset(
                    (row, x, _key(coefficient))
                    for row in rows
                    for x, coefficient in self.coefficients(node, row).items()
                )
                key = (value, self.segment_of[node], ways)
                found[value, node] = numbers.setdefault(key, len(numbers))
        return found


def _key(coefficient: Coefficient) -> tuple[object, ...]:
    return tuple((w.factor, *map(hashable, w.symbols)) for w in coefficient)


def backward_plan(graph: LossGraph, terms: Terms, *, apart: bool = False) -> BackwardPlan:
    """Plan how the players of a move who descend `terms` get their gradients.

    Args:
        graph: The game.
        terms: What each player descends.
        apart: Whether each player's gradient takes passes of its own, from its objective down:
            sharing them needs backward passes that are linear.
    """
    terms = {player: group for player, group in terms.items() if group}
    matrix = WeightMatrix(terms, graph.names)
    part = subgraph(graph, matrix, terms)
    if apart:
        bases = {region: matrix.per_player(region.players) for region in part.regions}
    else:
        bases = _settled(matrix, part, _bases(matrix, part))
    segments, cut_edges = segmented(matrix, part, bases, _mixed(matrix, part, bases))
    return BackwardPlan(
        matrix=matrix,
        needed_by=part.needed_by,
        energies_below=part.energies_below,
        bases={node: bases[part.region_of[node]] for node in part.needed_by},
        passes={node: _passes(matrix, part, bases, node) for node in part.needed_by},
        live_edges=part.live_edges,
        cut_edges=cut_edges,
        segments=segments,
    )


def _passes(
    matrix: WeightMatrix, part: Subgraph, bases: Mapping[Region, Basis], node: Value
) -> tuple[Pass, ...]:
    region = part.region_of[node]
    basis = bases[region]
    if len(region.nodes) == 1:
        return basis.passes
    rows = (matrix.row(player) for player in part.needed_by[node])
    used = {x for row in rows for x in basis.coefficients[row]}
    return tuple(x for x in basis.passes if x in used)


# --- bases --------------------------------------------------------------------------------------


def _bases(matrix: WeightMatrix, part: Subgraph) -> dict[Region, Basis]:
    """Return the fewest passes through each region."""

    def smallest(players: Sequence[str], energies: Set[Energy], preferred: Set[str]) -> Basis:
        return smallest_basis(matrix, players, energies, preferred)

    known: dict[object, Basis] = {}  # neighbors often agree: an energy and the call it judges
    found: dict[Region, Basis] = {}
    for region in part.regions:
        if len(region.nodes) > 1:
            found[region] = _sound(matrix, part, region, smallest)
            continue
        preferred = region.owners & {*region.players}
        key = (region.players, region.energies, preferred)
        if key not in known:
            known[key] = smallest(region.players, region.energies, preferred)
        found[region] = known[key]
    return found


def _sound(matrix: WeightMatrix, part: Subgraph, region: Region, basis: MakeBasis) -> Basis:
    """Return a basis of a region that what takes its values can make something of.

    Of rows of the owners, if that will do; of those who are upstream of all the region, as for a
    slope beside what it is compared with (tests/games/test_planned.py); else each player's own, as
    for slopes side by side of two players' calls (tests/planner/test_backward.py, `goes_by`).
    """
    upstream = {p for p in region.players if all(p in part.needed_by[n] for n in region.nodes)}
    for preferred in (region.owners, upstream):
        found = basis(region.players, region.energies, preferred)
        if _is_sound(matrix, part, region, found):
            return found
    return matrix.per_player(region.players)


def _is_sound(matrix: WeightMatrix, part: Subgraph, region: Region, basis: Basis) -> bool:
    """Tell whether whatever takes a value of a region can give all its passes their due.

    It can't where a pass goes by that carries the row of a player further downstream, who has
    nothing to do with what takes the value, and that serves others too.
    """
    return len(region.nodes) == 1 or all(
        x.player in (None, player, *part.needed_by[node])
        or not x.touches(part.energies_below[node])
        for value, node in part.edges
        if part.region_of[value] is region
        for player in part.needed_by[value]
        for x in basis.coefficients[matrix.row(player)]
    )


def _settled(
    matrix: WeightMatrix, part: Subgraph, bases: Mapping[Region, Basis]
) -> dict[Region, Basis]:
    """Where energies pass one by one, let them do so from the energies on, if that is free.

    A pass that carries one energy cannot be made of passes that carry several. Where it would
    take more passes further down than the rows' number, the players' rows pass instead.

    Before: A descends e1 + e2, B e1 - e2, C e1 + 2·e2; e1 and e2 pass through what they make
    together, A's row through e1. After: e1's pass through e1. (Of random games, one in fifty needs
    this; "weights of two values" in tests/games/test_planned.py does.)
    """
    single = {r for r, basis in bases.items() if all(x.player is None for x in basis.passes)}
    if not single:  # there are never fewer energies than directions
        return {**bases}
    after: dict[Region, set[Region]] = {region: set() for region in part.regions}
    for value, node in part.edges:
        after[part.region_of[value]].add(part.region_of[node])
    downstream_first = ordered(after, key=lambda region: -region.nodes[-1].index)
    free: dict[Region, bool] = {}
    for region in downstream_first:
        count = len(matrix.energies(region.players, region.energies))
        free[region] = count <= len(bases[region].passes) and all(free[r] for r in after[region])
    found = {**bases}
    settled: set[Region] = set()
    for region in reversed(downstream_first):
        if region in settled or (region in single and free[region]):
            settled |= {region, *after[region]}
            found[region] = matrix.per_energy(region.players, region.energies)
        elif region in single:
            found[region] = _sound(matrix, part, region, matrix.per_direction)
    return found


# --- cuts ---------------------------------------------------------------------------------------


def _mixed(matrix: WeightMatrix, part: Subgraph, bases: Mapping[Region, Basis]) -> set[Edge]:
    """Return the edges at which a player's row is made of passes differently on the two sides.

    Before: through D(fake) goes D's row, of which G's is -1 times; through fake goes G's own.
    After: the edge from fake to D(fake) is cut. D's pass ends at a leaf, what it leaves there is
    taken times -1, and G's pass goes on with it: a gradient-reversal layer.
    """
    found: set[Edge] = set()
    for value, node in part.edges:
        above, below = bases[part.region_of[value]], bases[part.region_of[node]]
        energies = part.region_of[node].energies
        carried = {x for x in above.passes if x.touches(energies)}
        for player in part.needed_by[value]:
            row = matrix.row(player)
            way = {x: c for x, c in above.coefficients[row].items() if x in carried}
            if way != below.coefficients.get(row, {}):
                found.add((value, node))
                break
    return found
