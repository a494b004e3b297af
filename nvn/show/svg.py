"""The loss graph as an SVG picture: calls, values, energies, and each player's weights.

Each player has a lane, a team is a box around its members' lanes, and values flow from left to
right into the energies. Beside an energy stand the players that minimize it (filled) or maximize it
(hollow), each with its weight.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from nvn.game.graph import LossGraph
from nvn.game.ops import Gradient, Item, Source, StopGradient
from nvn.game.players import Player
from nvn.game.traversal import owner
from nvn.game.values import Energy, Value, written
from nvn.images import printable
from nvn.show.routing import Column, path

ROW, HEIGHT, CHIP = 56, 40, 84
NARROWEST, WIDE, WIDEST, BETWEEN = 88, 190, 330, 52  # of columns, of energies', between them
MARGIN, TOP, LABEL = 28, 84, 110
LINE, LEGEND = 18, 870  # of small text; the width of the legend
SCREEN = 1600  # pixels that a picture is shown in at most
SMALLEST, LETTER = 10, 0.58  # a font size, and the width of a letter as a share of it
FONT = "ui-sans-serif, 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif"
# Distinguishable for the color-blind: Okabe and Ito's palette without its yellow and black.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#7A5195", "#8C6D31")
GRAY, INK, PAPER = "#8a8f98", "#24292f", "#ffffff"


@dataclass(frozen=True)
class _Lane:
    """A horizontal band: a player's calls, or what belongs to no player."""

    name: str
    team: str | None
    color: str
    top: float
    height: float


@dataclass(frozen=True)
class _Layout:
    graph: LossGraph
    lanes: Mapping[str, _Lane]
    at: Mapping[Value, tuple[float, float]]  # the middle of each node
    column_of: Mapping[Value, int]
    columns: Sequence[Column]  # the last one has the energies
    energies: frozenset[Value]  # those in it
    width: float
    height: float

    def half(self, node: Value) -> float:
        """Return half the width of a node's box."""
        column = self.columns[self.column_of[node]]
        return (column.right - column.left) / 2


def svg(graph: LossGraph) -> str:
    """Return the game as an SVG picture."""
    layout = _laid_out(graph)
    parts = [
        *_frame(layout),
        *_team_boxes(layout),
        *_lane_labels(layout),
        *_arrows(layout),
        *_nodes(layout),
        *_energies(layout),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


# --- where things stand -----------------------------------------------------------------------


def _laid_out(graph: LossGraph) -> _Layout:
    shown = [node for node in graph.nodes if not isinstance(node.op, Item | StopGradient)]
    inner = _inner(graph, shown)
    energies = [node for node in shown if isinstance(node, Energy) and node not in inner]
    column_of = _columns(shown)
    last = 1 + max(column for node, column in column_of.items() if node not in energies)
    column_of |= dict.fromkeys(energies, last)
    edges = _edges(graph, column_of, last)
    rows: dict[str, dict[int, list[Value]]] = {}
    for node in shown:
        if node not in energies:
            rows.setdefault(_lane_of(node), {}).setdefault(column_of[node], []).append(node)
    lanes = _lanes(graph, rows)
    at: dict[Value, tuple[float, float]] = {}
    for name, stacks in rows.items():
        for column, stack in stacks.items():
            for i, node in enumerate(stack):
                middle = lanes[name].top + lanes[name].height / 2
                y = middle + (i - (len(stack) - 1) / 2) * ROW
                at[node] = (sum(edges[column]) / 2, y)
    bottom = max(lane.top + lane.height for lane in lanes.values())
    height = max(bottom, TOP + len(energies) * ROW)
    at |= _energy_places(energies, at, sum(edges[last]) / 2, TOP, height)
    columns = [
        Column(left, right, tuple(sorted(at[n][1] for n in at if column_of[n] == number)))
        for number, (left, right) in enumerate(edges)
    ]
    chips = max((len(_weights(graph, e)) for e in energies), default=0)
    width = max(edges[last][1] + 24 + chips * (CHIP + 6) + MARGIN, LEGEND)
    height += 64 + LINE * len(graph.followers)
    return _Layout(graph, lanes, at, column_of, columns, frozenset(energies), width, height)


def _inner(graph: LossGraph, shown: Iterable[Value]) -> frozenset[Value]:
    """Return the energies that nobody minimizes, but that others are made of: of unrolled steps."""
    used = {source for node in shown for source, _ in _sources(node)}
    return frozenset(e for e in used if isinstance(e, Energy) and not _weights(graph, e))


def _edges(
    graph: LossGraph, column_of: Mapping[Value, int], last: int
) -> list[tuple[float, float]]:
    """Return the left and right edge of each column: as wide as its longest label."""
    found, left = [], float(MARGIN + LABEL)
    for number in range(last + 1):
        labels = [_needed(graph, node) for node, column in column_of.items() if column == number]
        most = WIDEST if number == last else WIDE
        width = float(min(max(NARROWEST, *labels), most)) if labels else 0.0
        found.append((left, left + width))
        left += width + (BETWEEN if labels else 0)
    return found


def _needed(graph: LossGraph, node: Value) -> float:
    """Return the width that a node's label needs."""
    name, made = _said(graph, node)
    return 24 + LETTER * max(13 * len(name), 11 * len(made) if made != name else 0)


def _said(graph: LossGraph, node: Value) -> tuple[str, str]:
    """Return a node's name, and how it is made; the same if it has no name of its own."""
    name = graph.names[node]
    if isinstance(node, Energy):
        return name, name
    if isinstance(node.op, Gradient):
        name = f"∂{graph.names[node.args[0]]}/∂{graph.names[node.args[1]]}"
        return name, name
    return name, written(node)


def _columns(nodes: Iterable[Value]) -> dict[Value, int]:
    columns: dict[Value, int] = {}
    for node in nodes:
        before = [columns[source] for source, _ in _sources(node) if source in columns]
        columns[node] = 1 + max(before) if before else 0
    return columns


def _sources(node: Value) -> Iterator[tuple[Value, bool]]:
    """Yield a node's inputs that are drawn, each with whether stop_gradient is between."""
    for value in node.inputs:
        stopped = isinstance(value.op, StopGradient)
        if isinstance(value.op, Item | StopGradient):
            yield from ((source, stopped or cut) for source, cut in _sources(value))
        else:
            yield value, False


def _lane_of(node: Value) -> str:
    return owner(node) or ("data" if isinstance(node.op, Source) else "functions")


def _lanes(graph: LossGraph, rows: Mapping[str, Mapping[int, Sequence[Value]]]) -> dict[str, _Lane]:
    """Stack the lanes: data on top, teams together, frozen players and functions at the bottom."""
    teams = dict.fromkeys(p.team or p.name for p in graph.players if not p.frozen)
    order = {name: i for i, name in enumerate(teams)}
    players = sorted(
        (p for p in graph.players if p.name in rows),
        key=lambda p: (p.frozen, order.get(p.team or p.name, 0)),
    )
    colors = _colors(graph.players)
    wanted: list[tuple[str, str | None, str]] = [("data", None, GRAY)] if "data" in rows else []
    wanted += [(p.name, p.team, colors[p.name]) for p in players]
    wanted += [("functions", None, GRAY)] if "functions" in rows else []
    lanes: dict[str, _Lane] = {}
    top, before = float(TOP), None
    for name, team, color in wanted:
        top += 0 if team is not None and team == before else 22
        height = ROW * max(len(stack) for stack in rows[name].values()) + 6
        lanes[name] = _Lane(name, team, color, top, height)
        top, before = top + height, team
    return lanes


def _colors(players: Iterable[Player]) -> dict[str, str]:
    names = [player.name for player in players if not player.frozen]
    colors = {name: COLORS[i % len(COLORS)] for i, name in enumerate(names)}
    return colors | {player.name: GRAY for player in players if player.frozen}


def _energy_places(
    energies: Sequence[Energy],
    at: Mapping[Value, tuple[float, float]],
    x: float,
    top: float,
    bottom: float,
) -> dict[Value, tuple[float, float]]:
    """Place each energy at the height of its inputs, as far as the others leave room."""

    def wish(energy: Energy) -> float:
        ys = [at[source][1] for source, _ in _sources(energy) if source in at]
        calls = [at[s][1] for s, _ in _sources(energy) if s in at and owner(s) is not None]
        return sum(calls or ys) / len(calls or ys) if ys else top

    ordered = sorted(energies, key=wish)
    places: dict[Value, tuple[float, float]] = {}
    y = top + ROW / 2
    for i, energy in enumerate(ordered):
        left = (len(ordered) - 1 - i) * ROW  # room for those that follow
        y = max(y, min(wish(energy), bottom - ROW / 2 - left))
        places[energy] = (x, y)
        y += ROW
    return places


# --- what is drawn ----------------------------------------------------------------------------


def _frame(layout: _Layout) -> Iterator[str]:
    w, h = round(layout.width), round(layout.height)
    scale = min(1.0, SCREEN / w)  # what is wider is shown whole, and can be zoomed into
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{scale * w:.0f}" '
        f'height="{scale * h:.0f}" '
        f'viewBox="0 0 {w} {h}" font-family="{FONT}" font-size="13" fill="{INK}">'
    )
    yield f"<title>{escape(printable(layout.graph.name))}</title>"
    yield f'<rect width="{w}" height="{h}" fill="{PAPER}"/>'
    yield (
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0,0.5 L8,4 L0,7.5 z" fill="context-stroke"/>'
        "</marker></defs>"
    )
    yield _text(MARGIN, 40, layout.graph.name, size=20, weight=600)
    for i, (name, follower) in enumerate(reversed(layout.graph.followers.items())):
        yield _text(MARGIN, h - 54 - LINE * i, f"{name}: {follower}", color=GRAY)
    yield _chip(MARGIN + 22, h - 28, "P 0.5", GRAY, filled=True, width=52)
    yield _text(MARGIN + 56, h - 24, "P minimizes this energy, with this weight", color=GRAY)
    yield _chip(MARGIN + 372, h - 28, "P −0.5", GRAY, filled=False, width=60)
    yield _text(MARGIN + 410, h - 24, "P maximizes it", color=GRAY)
    shown = [node for node in layout.energies if isinstance(node, Energy)]
    if not all(_weights(layout.graph, energy) for energy in shown):
        yield _swatch(MARGIN + 520, h - 28)
        said = "gray: in nobody's objective in the game itself"
        yield _text(MARGIN + 540, h - 24, said, color=GRAY)


def _team_boxes(layout: _Layout) -> Iterator[str]:
    for team in dict.fromkeys(lane.team for lane in layout.lanes.values() if lane.team):
        lanes = [lane for lane in layout.lanes.values() if lane.team == team]
        top, bottom = lanes[0].top, lanes[-1].top + lanes[-1].height
        width = layout.columns[-2].right + 28 - MARGIN
        yield (
            f'<rect x="{MARGIN - 12}" y="{top - 4:.0f}" width="{width:.0f}"'
            f' height="{bottom - top + 8:.0f}" rx="14" fill="{lanes[0].color}" fill-opacity="0.06"'
            f' stroke="{lanes[0].color}" stroke-opacity="0.35"/>'
        )
        yield _text(MARGIN, top + 12, f"team {team}", size=11, color=GRAY)


def _lane_labels(layout: _Layout) -> Iterator[str]:
    players = {player.name: player for player in layout.graph.players}
    for lane in layout.lanes.values():
        middle = lane.top + lane.height / 2
        player = players.get(lane.name)
        weight = 700 if player else 400
        yield _text(MARGIN, middle + 6, lane.name, size=17, weight=weight, color=lane.color)
        if player is not None and player.frozen:
            role = "average" if player.name in layout.graph.averages else "frozen"
            role = "past" if player.name in layout.graph.pasts else role
            yield _text(MARGIN, middle + 22, role, size=11, color=GRAY)


def _arrows(layout: _Layout) -> Iterator[str]:
    for node, (x, y) in layout.at.items():
        for source, stopped in dict.fromkeys(_sources(node)):
            if source not in layout.at:
                continue
            a, b = layout.at[source]
            start, end = a + layout.half(source), x - layout.half(node) - 2
            between = layout.columns[layout.column_of[source] + 1 : layout.column_of[node]]
            way = path((start, b), (end, y), between)
            lane = layout.lanes.get(_lane_of(source))
            color = lane.color if lane and source not in layout.energies else GRAY
            dashes = ' stroke-dasharray="5 4"' if stopped else ""
            yield (
                f'<path d="{way}" fill="none" stroke="{color}" '
                f'stroke-opacity="0.55" stroke-width="1.6"{dashes} marker-end="url(#tip)"/>'
            )


def _nodes(layout: _Layout) -> Iterator[str]:
    for node, (x, y) in layout.at.items():
        if node in layout.energies:
            continue
        lane = layout.lanes[_lane_of(node)]
        radius = 8 if owner(node) else 20
        fill = lane.color if owner(node) and lane.color != GRAY else "#eceef1"
        ink = PAPER if fill == lane.color else INK
        yield _box(x, y, layout.half(node), radius, fill, lane.color)
        yield from _label(node, layout, x, y, ink)


def _label(node: Value, layout: _Layout, x: float, y: float, ink: str) -> Iterator[str]:
    name, made = _said(layout.graph, node)
    room = 2 * layout.half(node) - 10
    if name == made:
        yield _fitted(x, y + 5, name, room, color=ink)
    else:
        yield _fitted(x, y - 2, name, room, color=ink, weight=600)
        yield _fitted(x, y + 13, made, room, color=ink, size=11)


def _energies(layout: _Layout) -> Iterator[str]:
    colors = _colors(layout.graph.players)
    for node, (x, y) in layout.at.items():
        if not isinstance(node, Energy) or node not in layout.energies:
            continue
        weights = _weights(layout.graph, node)
        ink = (
            INK if weights else GRAY
        )  # no objective has it in the game itself: an energy of another phase
        half = layout.half(node)
        yield _box(x, y, half, 4, PAPER, ink)
        yield _fitted(x, y + 5, layout.graph.names[node], 2 * half - 10, color=ink)
        for i, (player, sign, weight) in enumerate(weights):
            left = x + half + 16 + i * (CHIP + 6)
            label = f"{player} {_short(weight, 9)}"
            yield _chip(left + CHIP / 2, y, label, colors[player], filled=sign > 0, width=CHIP)


def _weights(graph: LossGraph, energy: Energy) -> list[tuple[str, int, str]]:
    """Return the players with a weight on an energy: name, sign of the weight, weight."""
    return [
        (player, 1 if term.weight.factor >= 0 else -1, str(term.weight).replace("-", "−"))
        for player, objective in graph.objectives.items()
        for term in objective.terms
        if term.energy is energy and term.weight.factor != 0
    ]


# --- shapes -----------------------------------------------------------------------------------


def _box(x: float, y: float, half: float, radius: int, fill: str, stroke: str) -> str:
    return (
        f'<rect x="{x - half:.0f}" y="{y - HEIGHT / 2:.0f}" width="{2 * half:.0f}" '
        f'height="{HEIGHT}" rx="{radius}" fill="{fill}" stroke="{stroke}"/>'
    )


def _swatch(x: float, y: float) -> str:
    return (
        f'<rect x="{x:.0f}" y="{y - 8:.0f}" width="14" height="16" rx="3" fill="{PAPER}" '
        f'stroke="{GRAY}"/>'
    )


def _chip(x: float, y: float, label: str, color: str, *, filled: bool, width: float) -> str:
    fill, ink = (color, PAPER) if filled else (PAPER, color)
    return (
        f'<rect x="{x - width / 2:.0f}" y="{y - 12:.0f}" width="{width:.0f}" height="24" rx="12" '
        f'fill="{fill}" stroke="{color}" stroke-width="1.5"/>'
        + _text(x, y + 4.5, label, size=12, color=ink, anchor="middle", weight=600)
    )


def _text(
    x: float,
    y: float,
    text: str,
    *,
    size: int = 13,
    weight: int = 400,
    color: str = INK,
    anchor: str = "start",
) -> str:
    return (
        f'<text x="{x:.0f}" y="{y:.0f}" font-size="{size}" font-weight="{weight}" '
        f'text-anchor="{anchor}" fill="{color}">{escape(printable(text))}</text>'
    )


def _fitted(
    x: float, y: float, text: str, room: float, *, size: int = 13, weight: int = 400, color: str
) -> str:
    """Center text in a box: smaller if it is long, and cut if it is too long."""
    while size > SMALLEST and len(text) * size * LETTER > room:
        size -= 1
    text = _short(text, int(room / (size * LETTER)))
    return _text(x, y, text, size=size, weight=weight, color=color, anchor="middle")


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
