"""Which values of an iteration carry a graph, and for whom.

Each value is computed in the first turn that asks for its version (value_numbering.py), with a
graph only if a later or the same turn pulls through it. There is at most one such turn: whoever
pulls steps, and the version is past. All other turns get a constant.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nvn.game.graph import LossGraph, gradients_of
from nvn.game.values import Value
from nvn.planner.backward import backward_plan
from nvn.planner.turns import Turn
from nvn.planner.value_numbering import Number, Versions, versions


class Attachments:
    """What the turns of an iteration compute, and what of it carries a graph.

    Attributes:
        graph: The game.
        turns: Who descends what, one after the other.
        versions: The numbers of each turn.
        backward_plans: How each turn goes back.
        computed: What each turn computes.
        pulled: The turn that pulls through each version, for those that are pulled through.
        paths: What lies between x and y, both included, for each ∂y/∂x.
        traced: The versions that an inner gradient goes back through.
        held: The buffers that are asked for after the call that makes them.
    """

    def __init__(self, graph: LossGraph, turns: Sequence[Turn], *, steps: bool) -> None:
        self.graph = graph
        self.turns = turns
        self.steps = steps
        self.versions = versions(turns)
        self.backward_plans = [backward_plan(graph, turn.terms) for turn in turns]
        self.computed = [*_computed(turns, self.versions)]
        self.pulled = self._pulled()
        self.paths = graph.gradient_paths
        self.traced = self._traced()
        self.held = self._held()

    def _pulled(self) -> dict[Number, int]:
        """Return the turn that pulls through each version, for those that are pulled through."""
        found: dict[Number, int] = {}
        for index, (back, version) in enumerate(
            zip(self.backward_plans, self.versions, strict=True)
        ):
            for node in back.needed_by:
                assert found.setdefault(version.numbers[node], index) == index
        return found

    def _traced(self) -> set[Number]:
        """Return the versions between x and y of each ∂y/∂x that is computed: y with a graph."""
        return {
            version.numbers[node]
            for version, now in zip(self.versions, self.computed, strict=True)
            for gradient in gradients_of(now)
            for node in self.paths[gradient] - {gradient.args[1]}
        }

    def _held(self) -> set[Number]:
        """Return the buffers that are asked for after the call that makes them."""
        starts = {
            version.starts[node]
            for version, now in zip(self.versions, self.computed, strict=True)
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
        return number in self.pulled or number in self.traced


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
