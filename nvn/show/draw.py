"""The loss graph as a picture: as text for a terminal, and as a Mermaid flowchart."""

from __future__ import annotations

from collections.abc import Iterator

from nvn.game.graph import LossGraph
from nvn.game.ops import Apply, Batch, Call, Noise, Sample
from nvn.game.players import Player
from nvn.game.traversal import owner
from nvn.game.values import Energy, Term, Value, written

# --- text -----------------------------------------------------------------------------------------


def text(graph: LossGraph) -> str:
    """Return the game for a terminal: players, named values, and who pulls on which energy.

    A weight stands under the player that minimises an energy with it; a negative one maximises.
    """
    blocks = [
        ["players", *_indented(_player_lines(graph))],
        ["values", *_indented(_value_lines(graph))],
        ["energies, and each player's weight on them", *_indented(_weight_lines(graph))],
    ]
    told = [f"game {graph.name}", *("\n".join(block) for block in blocks if len(block) > 1)]
    return "\n\n".join(told)


def _indented(lines: Iterator[str]) -> list[str]:
    return [f"  {line}".rstrip() for line in lines]


def _player_lines(graph: LossGraph) -> Iterator[str]:
    width = max((len(player.name) for player in graph.players), default=0)
    for player in graph.players:
        role = "frozen" if player.frozen else f"team {player.team}" if player.team else "alone"
        count = sum(p.numel() for p in player.module.parameters())
        kind = type(player.module).__name__
        yield f"{player.name:<{width}}  {kind}, {count:,} parameters, {role}"


def _value_lines(graph: LossGraph) -> Iterator[str]:
    for value in graph.nodes:
        if isinstance(value.op, Batch):
            yield f"{value} from the batch"
        elif isinstance(value.op, Noise | Sample):
            yield f"{value} drawn at random"
        elif value.name and not isinstance(value, Energy):
            yield f"{value.name} = {written(value)}"


def _weight_lines(graph: LossGraph) -> Iterator[str]:
    movers = [p for p in graph.players if graph.objectives.get(p.name)]
    rows = [["", *(p.name for p in movers)]]
    for energy in graph.energies:
        weights = [_weights(graph, player, energy) for player in movers]
        if any(weights):
            rows.append([graph.names[energy], *weights])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        first, *rest = (cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join([row[0].ljust(len(first)), *rest])


def _weights(graph: LossGraph, player: Player, energy: Energy) -> str:
    terms = (t for t in graph.objectives[player.name].terms if t.energy is energy)
    return " + ".join(str(term.weight) for term in terms)


# --- Mermaid --------------------------------------------------------------------------------------


def mermaid(graph: LossGraph) -> str:
    """Return the game as a Mermaid flowchart: teams as boxes, values flowing to energies.

    A dashed arrow from an energy to a player says that the player minimises it, with the weight on
    the arrow; a negative weight maximises it.
    """
    ids = {node: f"v{i}" for i, node in enumerate(graph.nodes)}
    lines = ["flowchart LR"]
    lines += [f"  {line}" for line in _boxes(graph, ids)]
    lines += [f"  {line}" for line in _flows(graph, ids)]
    lines += [f"  {line}" for line in _pulls(graph, ids)]
    return "\n".join(lines)


def _boxes(graph: LossGraph, ids: dict[Value, str]) -> Iterator[str]:
    """Yield every node's shape; a team's players and their calls stand in a box."""
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


def _pulls(graph: LossGraph, ids: dict[Value, str]) -> Iterator[str]:
    for name, objective in graph.objectives.items():
        for term in objective.terms:
            arrow = f'-. "{_escaped(_signed(term))}" .->'
            yield f"{ids[term.energy]} {arrow} {_identifier('player', name)}"


def _signed(term: Term) -> str:
    return f"{'+' if term.weight.factor >= 0 else ''}{term.weight}"


def _identifier(kind: str, name: str) -> str:
    return f"{kind}_{''.join(c if c.isalnum() else '_' for c in name)}"


def _escaped(label: str) -> str:
    return label.replace('"', "#quot;")
