"""The loss graph as a Mermaid flowchart, which GitHub and many editors draw."""

from __future__ import annotations

from collections.abc import Iterator

from nvn.game.graph import LossGraph
from nvn.game.ops import Apply, Batch, Call, Noise, Sample
from nvn.game.traversal import owner
from nvn.game.values import Energy, Term, Value
from nvn.images import printable

__all__ = ["mermaid"]


def mermaid(graph: LossGraph) -> str:
    """Return the game as a Mermaid flowchart: teams as boxes, values flowing to energies.

    A dashed arrow from an energy to a player has the player's weight on it; a negative weight
    maximizes. One from a player to another says how the other follows it.
    """
    ids = {node: f"v{i}" for i, node in enumerate(graph.nodes)}
    lines = ["flowchart LR"]
    lines += [f"  {line}" for line in _boxes(graph, ids)]
    lines += [f"  {line}" for line in _flows(graph, ids)]
    lines += [f"  {line}" for line in _weights(graph, ids)]
    lines += [f"  {line}" for line in _followers(graph)]
    return "\n".join(lines)


def _boxes(graph: LossGraph, ids: dict[Value, str]) -> Iterator[str]:
    """Yield the shape of every node; the players of a team and their calls are in a subgraph."""
    for node in graph.nodes:
        if not isinstance(node.op, Call):
            yield f"{ids[node]}{_shape(graph, node)}"
    for team in dict.fromkeys(player.team for player in graph.players):
        members = [player for player in graph.players if player.team == team]
        if team is not None:
            yield f'subgraph {_identifier("team", team)}["{_escaped(team)}"]'
        for player in members:
            yield f'  {_identifier("player", player.name)}(("{player.name}"))'
            for node in graph.nodes:
                if owner(node) == player.name:
                    yield f"  {ids[node]}{_shape(graph, node)}"
        if team is not None:
            yield "end"


def _shape(graph: LossGraph, node: Value) -> str:
    label = _escaped(graph.names[node])
    if isinstance(node, Energy):
        return f'{{{{"{label}"}}}}'
    if isinstance(node.op, Batch | Noise | Sample):
        return f'(["{label}"])'
    return f'("{label}")' if isinstance(node.op, Apply) else f'["{label}"]'


def _flows(graph: LossGraph, ids: dict[Value, str]) -> Iterator[str]:
    for node in graph.nodes:
        for source in node.inputs:
            yield f"{ids[source]} --> {ids[node]}"


def _weights(graph: LossGraph, ids: dict[Value, str]) -> Iterator[str]:
    for name, objective in graph.objectives.items():
        for term in objective.terms:
            arrow = f'-. "{_escaped(_signed(term))}" .->'
            yield f"{ids[term.energy]} {arrow} {_identifier('player', name)}"


def _followers(graph: LossGraph) -> Iterator[str]:
    for follower in graph.followers.values():
        of, own = (_identifier("player", p.name) for p in (follower.of, follower.player))
        yield f'{of} -. "{_escaped(str(follower))}" .-> {own}'


def _signed(term: Term) -> str:
    return f"{'+' if term.weight.factor >= 0 else ''}{term.weight}"


def _identifier(kind: str, name: str) -> str:
    return f"{kind}_{''.join(c if c.isalnum() else '_' for c in name)}"


def _escaped(label: str) -> str:
    return printable(label).replace('"', "#quot;")
