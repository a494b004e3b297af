"""Which values of an iteration carry a graph, and for whom.

Each value is computed in the first turn that asks for its version (value_numbering.py), with a
graph only if a later or the same turn backpropagates through it. There is at most one such turn:
whoever backpropagates steps, and the version is past. All other turns get a constant.

Of D, then G, in a GAN (`D.minimizes(real(D(x)) + fake(D(G(z))))`, `G.minimizes(fool(D(G(z))))`):

    value    computed in  differentiated in  so
    G(z)     D's turn     G's turn           it has a graph from the start, of G's parameters; D's
                                             call takes a constant in its place
    D(x)     D's turn     D's turn           it has a graph of D's parameters
    D(G(z))  D's turn     D's turn           the same; D has stepped when G asks for it, so that is
             G's turn     G's turn           another version, with a graph of G's parameters alone
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nvn.game.graph import LossGraph
from nvn.game.traversal import gradients_of, owner
from nvn.game.values import Value
from nvn.planner.backward import BackwardPlan, EdgeKind, backward_plan
from nvn.planner.partition import united
from nvn.planner.turns import Turn
from nvn.planner.value_numbering import Number, Versions, versions


@dataclass(frozen=True)
class Part:
    """Nodes that autograd goes through in one piece.

    Attributes:
        number: Its place in backward order.
        nodes: Its nodes, each after its inputs.
    """

    number: int
    nodes: tuple[Value, ...]


class IterationAnalysis:
    """What the turns of an iteration compute, and what of it carries a graph.

    Attributes:
        graph: The game.
        turns: Who descends what, one after the other.
        steps: Whether players step.
        versions: The numbers of each turn.
        backward_plans: How each turn backpropagates.
        computed: What each turn computes.
        differentiated_in: For each version that has backward passes, the turn that they are in.
        paths: What lies between x and y, both included, for each ∂y/∂x.
        double_backward: The versions that an inner gradient flows back through.
        buffers_needed: The buffers that are asked for after the call that makes them.
        parts: What each turn backpropagates through in one piece.
        home: The part of each node, by turn.
    """

    def __init__(
        self, graph: LossGraph, turns: Sequence[Turn], *, steps: bool, large: int, apart: bool
    ) -> None:
        self.graph = graph
        self.turns = turns
        self.steps = steps
        self.versions = versions(turns, graph.stateful)
        self.backward_plans = [backward_plan(graph, turn.terms, apart=apart) for turn in turns]
        self.computed = [*_computed(turns, self.versions)]
        self.differentiated_in = self._differentiated_in()
        self.paths = graph.gradient_paths
        self.double_backward = self._double_backward()
        self.buffers_needed = self._buffers_needed()
        whole = None if apart else large
        self.parts = [_parts(graph, back, whole) for back in self.backward_plans]
        self.home = [{n: part for part in parts for n in part.nodes} for parts in self.parts]

    def computed_by_turn(self) -> Iterator[tuple[Versions, dict[Value, None]]]:
        """Yield each turn's versions with what it computes."""
        yield from zip(self.versions, self.computed, strict=True)

    def _differentiated_in(self) -> dict[Number, int]:
        found: dict[Number, int] = {}
        for index, (back, version) in enumerate(
            zip(self.backward_plans, self.versions, strict=True)
        ):
            for node in back.needed_by:
                assert found.setdefault(version.numbers[node], index) == index
        return found

    def _double_backward(self) -> set[Number]:
        """Return the versions between x and y of each ∂y/∂x that is computed: y with a graph."""
        return {
            version.numbers[node]
            for version, now in self.computed_by_turn()
            for gradient in gradients_of(now)
            for node in self.paths[gradient] - {gradient.args[1]}
        }

    def _buffers_needed(self) -> set[Number]:
        """Return the buffers that are asked for after the call that makes them."""
        starts = {
            version.starts[node]
            for version, now in self.computed_by_turn()
            for node in now
            if node in version.starts
        }
        return starts.union(*(version.kept.values() for version in self.versions if self.steps))

    def is_traced(self, value: Value, node: Value) -> bool:
        """Tell whether the edge from `value` to `node` lies on the way from an x to a y."""
        return any(
            value in path and value is not g.args[1] and (node in path or node is g)
            for g, path in self.paths.items()
        )

    def is_source(self, value: Value, node: Value) -> bool:
        """Tell whether `value` is an x, and `node` on the way to its y, or ∂y/∂x itself."""
        return any(
            value is g.args[1] and (node in path or node is g) for g, path in self.paths.items()
        )

    def has_graph(self, number: Number) -> bool:
        """Tell whether a version carries a graph."""
        return number in self.differentiated_in or number in self.double_backward


def _parts(graph: LossGraph, back: BackwardPlan, large: int | None) -> list[Part]:
    """Return what a turn backpropagates through in one piece; in several, where nothing is shared.

    Passes of large players are taken apart where they share no graph: `real(D(real))` can be gone
    back through, and forgotten, before the fake is made.
    """
    groups: list[Sequence[Value]] = []
    for whole in back.segments:
        players = {player for node in whole if (player := owner(node)) is not None}
        if large is None or sum(graph.parameters[player] for player in players) < large:
            groups.append(whole)
        else:
            groups += _components(whole, back)
    return [Part(number, tuple(nodes)) for number, nodes in enumerate(groups)]


def _components(nodes: Sequence[Value], back: BackwardPlan) -> list[list[Value]]:
    """Return nodes in groups between which gradients flow, or which share the x of a ∂y/∂x."""
    inside = {*nodes}
    live = [
        (value, node)
        for node in nodes
        for value in node.inputs
        if value in inside and back.kind(value, node) is EdgeKind.LIVE
    ]
    by_origin: dict[Value, list[Value]] = {}
    for gradient in gradients_of(nodes):
        by_origin.setdefault(gradient.args[1], []).append(gradient)
    groups = united([*((node,) for node in nodes), *live, *by_origin.values()])
    return [sorted(group, key=lambda v: v.index) for group in groups]


def _computed(
    turns: Sequence[Turn], all_versions: Sequence[Versions]
) -> Iterator[dict[Value, None]]:
    """Yield what each turn computes: what it asks for that no turn before has computed."""
    known: set[Number] = set()
    for turn, version in zip(turns, all_versions, strict=True):
        missing: set[Value] = set()
        waiting = list(turn.wanted)
        while waiting:
            node = waiting.pop()
            if version.numbers[node] not in known and node not in missing:
                missing.add(node)
                waiting += node.inputs
        known |= {version.numbers[node] for node in missing}
        yield dict.fromkeys(sorted(missing, key=lambda v: v.index))
