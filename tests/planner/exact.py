"""Is a backward plan right? What has to hold of it, node by node and edge by edge, exactly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping
from fractions import Fraction
from typing import TypeAlias

from nvn.game.graph import LossGraph
from nvn.game.traversal import is_cut, owner
from nvn.game.values import Energy, Value, hashable
from nvn.planner.backward import BackwardPlan, EdgeKind
from nvn.planner.basis import Coefficient, Pass

# What is carried: a number for each energy and product of symbols.
Carried: TypeAlias = dict[tuple[Energy, Hashable], Fraction]


def faults(graph: LossGraph, back: BackwardPlan) -> Iterator[str]:
    """Yield what is wrong with how a move goes back."""
    yield from _at_nodes(back)
    yield from _at_edges(back)
    yield from _in_segments(back)
    for gradient, path in graph.gradient_paths.items():
        whole = {n for n in (*path - {gradient.args[1]}, gradient) if n in back.needed_by}
        if len({back.segment_of[n] for n in whole}) > 1:
            yield f"{gradient} is not in one segment with its way"
        yield from (
            f"{value} -> {node} is cut inside {gradient}"
            for value, node in back.cut_edges
            if value in whole and node in whole
        )


def _at_nodes(back: BackwardPlan) -> Iterator[str]:
    """What a player needs at a node is what its mixture of the passes there carries."""
    for node, players in back.needed_by.items():
        below = back.energies_below[node]
        for row in map(back.matrix.row, players):
            if not _equal(_mixed(back, node, row, below), _carried([(row, None)], below)):
                yield f"{row} is not made of the passes at {node}"


def _at_edges(back: BackwardPlan) -> Iterator[str]:
    """What a pass carries at a value, the nodes that take it give it, each its energies' part."""
    for node, below in back.energies_below.items():
        for value in node.inputs if node in back.needed_by and not is_cut(node) else ():
            for x in back.passes.get(value, ()):
                wanted = _carried([(x, None)], below)
                if back.kind(value, node) is EdgeKind.LIVE:
                    if back.segment_of[value] != back.segment_of[node]:
                        yield f"{value} -> {node} is live between segments"
                    if wanted and x not in back.bases[node].passes:
                        yield f"{x} does not come through {node} to {value}"
                elif back.kind(value, node) is EdgeKind.CONSTANT:
                    if value in back.needed_by and wanted:
                        yield f"{x} at {value} gets nothing from {node}"
                else:
                    if back.segment_of[value] <= back.segment_of[node]:
                        yield f"{value} is gone through before {node}"
                    if not _equal(_mixed(back, node, x, below), wanted):
                        yield f"{x} at {value} is not made of the passes at {node}"


def _in_segments(back: BackwardPlan) -> Iterator[str]:
    """Each call of autograd asks for a player's gradient in one way."""
    nodes = [node for segment in back.segments for node in segment]
    if sorted(nodes, key=id) != sorted(back.needed_by, key=id):
        yield "the segments are not the nodes"
    for segment in back.segments:
        ways: dict[str, Mapping[Pass, Coefficient]] = {}
        for node in segment:
            player = owner(node)
            if player is not None and player in back.needed_by[node]:
                way = back.coefficients(node, back.matrix.row(player))
                if ways.setdefault(player, way) != way:
                    yield f"{player} is asked for in two ways, at {node} too"


def _mixed(back: BackwardPlan, node: Value, x: Pass, below: frozenset[Energy]) -> Carried:
    return _carried(back.coefficients(node, x).items(), below)


def _carried(parts: Iterable[tuple[Pass, Coefficient | None]], below: frozenset[Energy]) -> Carried:
    found: Carried = {}
    for x, coefficient in parts:
        for energy in below:
            for seed in x.weight(energy):
                for by in coefficient or (None,):
                    symbols = (*seed.symbols, *(by.symbols if by else ()))
                    key = energy, frozenset(Counter(map(hashable, symbols)).items())
                    factor = Fraction(seed.factor) * Fraction(by.factor if by else 1.0)
                    found[key] = found.get(key, Fraction(0)) + factor
    return found


def _equal(found: Carried, wanted: Carried) -> bool:
    """Tell whether two are the same, but for the rounding of coefficients to floats."""
    return all(
        abs(found.get(key, Fraction(0)) - wanted.get(key, Fraction(0)))
        <= abs(wanted.get(key, Fraction(0))) / 2**50
        for key in {*found, *wanted}
    )
