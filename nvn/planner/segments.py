"""Which nodes autograd goes through in one call, and in which order the calls come.

A segment is made of regions that uncut edges connect. Passes of other segments reach it through
leaves at cut edges, so it comes after those segments.

Before: fake → D(fake) → fool and fake → mse, with the edge from fake to D(fake) cut. After: the
segments {D(fake), fool}, {mse, fake}, in this order: the first leaves a cotangent at its leaf, and
the second goes on from there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from typing import TypeAlias

from nvn.game.traversal import owner
from nvn.game.values import Value
from nvn.planner.basis import Basis, Coefficient, Pass, WeightMatrix
from nvn.planner.partition import cycle, ordered, united
from nvn.planner.subgraph import Edge, Region, Subgraph

Segment: TypeAlias = tuple[Region, ...]
Bases: TypeAlias = Mapping[Region, Basis]


def segmented(
    matrix: WeightMatrix, part: Subgraph, bases: Bases, cut_edges: Set[Edge]
) -> tuple[tuple[tuple[Value, ...], ...], frozenset[Edge]]:
    """Return the segments, in backward order, and the edges that are cut between them."""
    cut_edges = {*cut_edges}
    segments = _connected(part, cut_edges)
    while tangled := _tangled(matrix, part, bases, segments, cut_edges):
        cut_edges |= {
            (value, node)
            for value, node in part.edges
            if part.region_of[value] in tangled and part.region_of[node] in tangled
        }
        segments = _connected(part, cut_edges)
    segments = _joined(matrix, part, bases, segments, cut_edges)
    waits = _waits(part, segments, cut_edges)
    # The latest first: what was computed last is backpropagated through, and forgotten, first.
    order = ordered(waits, key=lambda i: -max(r.nodes[-1].index for r in segments[i]))
    return tuple(_nodes(segments[i]) for i in order), frozenset(cut_edges)


def _connected(part: Subgraph, cut_edges: Set[Edge]) -> list[Segment]:
    whole = (
        (part.region_of[v], part.region_of[n]) for v, n in part.edges if (v, n) not in cut_edges
    )
    return united([*((region,) for region in part.regions), *whole])


def _nodes(segment: Segment) -> tuple[Value, ...]:
    return tuple(sorted((n for region in segment for n in region.nodes), key=lambda n: n.index))


def _waits(part: Subgraph, segments: Sequence[Segment], cut: Set[Edge]) -> dict[int, set[int]]:
    """Return, by number, which segments each segment gets cotangents from."""
    home = {node: i for i, segment in enumerate(segments) for r in segment for node in r.nodes}
    waits: dict[int, set[int]] = {i: set() for i in range(len(segments))}
    for value, node in cut:
        waits[home[value]].add(home[node])
    return waits


def _tangled(
    matrix: WeightMatrix,
    part: Subgraph,
    bases: Bases,
    segments: Sequence[Segment],
    cut_edges: Set[Edge],
) -> set[Region]:
    """Return regions that cannot be gone through in the pieces they are in, if there are any.

    Two reasons. Segments wait for one another, or a segment for itself: as in x → f → g, x → g,
    with f → g alone cut. One call would go through all three, but f's part of it starts from what
    the call leaves at g's leaf. After cutting, f is a segment, and x waits for f and g. Or one call
    would have to give a player's parameters gradients that are made of passes in two ways.
    """
    if circle := cycle(_waits(part, segments, cut_edges)):
        return {region for i in circle for region in segments[i]}
    twofold = (s for s in segments if _in_two_ways(matrix, part, bases, s))
    return {*next(twofold, ())}


def _in_two_ways(
    matrix: WeightMatrix, part: Subgraph, bases: Bases, segment: Iterable[Region]
) -> bool:
    """Tell whether a player's calls in a segment make its row of passes in different ways.

    As when G descends e1 + e2, D 1e-30·e1 + 1e-20·e2, on two calls of D: G's pass stands for D's
    at both, times 1e-30 at one and 1e-20 at the other; one call would give D the unscaled sum.
    """
    ways: dict[str, Mapping[Pass, Coefficient]] = {}
    for region in segment:
        for node in region.nodes if region.owners else ():
            player = owner(node)
            if player is not None and player in part.needed_by[node]:
                way = bases[region].coefficients[matrix.row(player)]
                if ways.setdefault(player, way) != way:
                    return True
    return False


def _joined(
    matrix: WeightMatrix,
    part: Subgraph,
    bases: Bases,
    segments: Sequence[Segment],
    cut_edges: Set[Edge],
) -> list[Segment]:
    """Join segments that the same passes go through, where one call of autograd can do them all.

    Before: D(x) and D(fake), not connected, D's row through each: two calls. After: one.
    """
    waits = _waits(part, segments, cut_edges)
    alike: dict[frozenset[Pass], list[int]] = {}
    for i, segment in enumerate(segments):
        passes = frozenset(x for region in segment for x in bases[region].passes)
        alike.setdefault(passes, []).append(i)
    home = {i: i for i in waits}  # where a segment that was joined to another is now
    for group in alike.values():
        whole = [region for i in group for region in segments[i]]
        if (
            len(group) > 1
            and not _wait_for_one_another(waits, home, group)
            and not _in_two_ways(matrix, part, bases, whole)
        ):
            first, *others = group
            home |= dict.fromkeys(others, first)
            waits[first] = {*waits[first]}.union(*(waits.pop(i) for i in others))
    found: dict[int, list[Region]] = {}
    for i, segment in enumerate(segments):
        found.setdefault(home[i], []).extend(segment)
    return [tuple(regions) for regions in found.values()]


def _wait_for_one_another(
    waits: Mapping[int, Set[int]], home: Mapping[int, int], group: Sequence[int]
) -> bool:
    """Tell whether any segment of a group waits for another, itself or by way of others."""
    seen: set[int] = set()
    waiting = [home[j] for i in group for j in waits[i]]
    while waiting:
        i = waiting.pop()
        if i in group:
            return True
        if i not in seen:
            seen.add(i)
            waiting += (home[j] for j in waits[i])
    return False
