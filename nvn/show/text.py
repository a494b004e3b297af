"""The loss graph as text for a terminal: players, values, and each player's weights."""

from __future__ import annotations

from collections.abc import Iterator

from nvn.game.graph import LossGraph
from nvn.game.ops import Batch, Noise, Sample
from nvn.game.players import Player
from nvn.game.values import Energy, written
from nvn.images import printable

__all__ = ["text"]


def text(graph: LossGraph) -> str:
    """Return the game for a terminal: players, named values, and the weights of energies.

    Each player has a column with its weight on each energy; a negative weight maximizes.
    """
    blocks = [
        ["players", *_indented(_player_lines(graph))],
        ["values", *_indented(_value_lines(graph))],
        ["energies, and each player's weight on them", *_indented(_weight_lines(graph))],
    ]
    parts = [
        f"game {printable(graph.name)}",
        *("\n".join(block) for block in blocks if len(block) > 1),
    ]
    return "\n\n".join(parts)


def _indented(lines: Iterator[str]) -> list[str]:
    return [f"  {printable(line)}".rstrip() for line in lines]  # a name may have several lines


def _player_lines(graph: LossGraph) -> Iterator[str]:
    width = max((len(player.name) for player in graph.players), default=0)
    for player in graph.players:
        role = "frozen" if player.frozen else f"team {player.team}" if player.team else "alone"
        role = str(graph.followers.get(player.name, role))
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
