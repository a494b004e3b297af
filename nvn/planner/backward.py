"""How a move goes back through the graph: with the fewest passes, cut where passes are re-mixed.

The planner's heart. At each node that some mover pulls through, a basis (basis.py) says which
passes go through it. Where everybody's row is made of passes in the same way on both sides of an
edge, autograd goes straight on; elsewhere the edge is cut: the consumer gets a leaf in place of the
value, the passes end there, and the cotangents they leave are mixed into those of the next passes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

from nvn.game.graph import LossGraph
from nvn.game.traversal import ancestors, differentiable_path, gradients_of, is_cut, owner, roots
from nvn.game.values import Energy, Term, Value, WeightedSum
from nvn.planner.basis import Basis, Label, Rows, Way

Edge: TypeAlias = tuple[Value, Value]  # a value, and a node that takes it
Terms: TypeAlias = Mapping[str, tuple[Term, ...]]


@dataclass(frozen=True)
class Pulling:
    """How a move goes back.

    Attributes:
        rows: The movers' weights.
        need: The movers whose gradients pass through each node; nodes nobody needs are absent.
        below: The movers' energies that each node is made into, differentiably.
        bases: The passes through each of these nodes.
        cuts: The edges at which passes end.
        parts: The nodes that autograd goes through in one piece, in the order of going back.
    """

    rows: Rows
    need: Mapping[Value, tuple[str, ...]]
    below: Mapping[Value, frozenset[Energy]]
    bases: Mapping[Value, Basis]
    cuts: frozenset[Edge]
    parts: tuple[frozenset[Value], ...]

    def carries(self, player: str, node: Value, energy: Energy) -> bool:
        """Tell whether a player pulls on an energy below a node."""
        return energy in self.below[node] and bool(self.rows.weight(player, energy))

    def way(self, node: Value, label: Label) -> Way:
        """Return how what `label` carries is made of the passes through `node`."""
        if isinstance(label, Energy):
            basis = self.bases[node]
            return {label: self.rows.weight(label, label)} if label in basis.labels else {}
        return self.bases[node].ways.get(label, {})

    def takers(self, value: Value) -> tuple[Value, ...]:
        """Return the nodes of this plan that take a value."""
        return self._takers.get(value, ())

    @cached_property
    def _takers(self) -> Mapping[Value, tuple[Value, ...]]:
        found: dict[Value, list[Value]] = {}
        for node in self.need:
            for value in node.inputs:
                found.setdefault(value, []).append(node)
        return {value: tuple(nodes) for value, nodes in found.items()}

    def labels(self, node: Value) -> tuple[Label, ...]:
        """Return what passes through the node itself: in a region, other passes may go by."""
        ways = (self.bases[node].ways[player] for player in self.need[node])
        used = {label for way in ways for label in way}
        return tuple(label for label in self.bases[node].labels if label in used)


def pulling(graph: LossGraph, terms: Terms) -> Pulling:
    """Plan how the players of a move who descend `terms` get their gradients."""
    terms = {player: group for player, group in terms.items() if group}
    return _Planner(graph, terms).planned()


class _Planner:
    def __init__(self, graph: LossGraph, terms: Terms) -> None:
        self.rows = Rows(terms)
        self.nodes = ancestors(roots(WeightedSum(group) for group in terms.values()))
        self.below = _below(self.nodes, terms)
        self.need = {node: ps for node in self.nodes if (ps := self._need(graph, terms, node))}
        self.regions = _regions(graph, self.need)
        self.bases: dict[Value, Basis] = {}

    def planned(self) -> Pulling:
        for node in self.need:
            if node not in self.bases:
                self._set(node, self._basis(node))
        self._settle_units()
        cuts = {edge for edge in self._edges() if self._is_mixed(edge)}
        parts = self._parts(cuts)
        while (bad := self._bad(parts, cuts)) is not None:
            cuts |= {edge for edge in self._edges() if bad >= {*edge} and not self._inside(edge)}
            parts = self._parts(cuts)
        parts = self._together(parts, cuts)
        ordered = _backwards(parts, cuts)
        return Pulling(self.rows, self.need, self.below, self.bases, frozenset(cuts), ordered)

    def _need(self, graph: LossGraph, terms: Terms, node: Value) -> tuple[str, ...]:
        here = (player for player in terms if player in graph.reach[node])
        return tuple(p for p in here if self.rows.touches(p, self.below[node]))

    # --- bases ---

    def _region(self, node: Value) -> frozenset[Value]:
        return self.regions.get(node, frozenset([node]))

    def _energies(self, node: Value) -> frozenset[Energy]:
        return frozenset[Energy]().union(*(self.below[n] for n in self._region(node)))

    def _players(self, node: Value) -> tuple[str, ...]:
        return tuple(dict.fromkeys(p for n in self._region(node) for p in self.need[n]))

    def _basis(self, node: Value) -> Basis:
        return self._sound(node, self.rows.basis)

    def _each(self, node: Value) -> Basis:
        return self._sound(node, self.rows.each)

    def _sound(self, node: Value, basis: Callable[..., Basis]) -> Basis:
        """Return a basis of owners' rows, or of those who are upstream of all the region."""
        region, players, energies = self._region(node), self._players(node), self._energies(node)
        owners = {player for n in region if (player := owner(n)) is not None}
        upstream = {p for p in players if all(p in self.need[n] for n in region)}
        found = (basis(players, energies, favoured) for favoured in (owners, upstream))
        sound = (b for b in found if self._is_sound(region, b))
        return next(sound, None) or self.rows.alone(players)

    def _is_sound(self, region: frozenset[Value], basis: Basis) -> bool:
        """Tell whether whatever takes a value of a region can give all its passes their due.

        It can't where a pass goes by that carries the row of a player further downstream, who has
        nothing to do with what takes the value, and that serves others too.
        """
        return len(region) == 1 or all(
            label in (*self.need[node], player)
            or isinstance(label, Energy)
            or not self.rows.touches(label, self.below[node])
            for value, node in self._edges()
            if value in region and node not in region
            for player in self.need[value]
            for label in basis.ways[player]
        )

    def _units(self, node: Value) -> Basis:
        return self.rows.units(self._players(node), self._energies(node))

    def _set(self, node: Value, basis: Basis) -> None:
        self.bases |= dict.fromkeys(self._region(node), basis)

    def _settle_units(self) -> None:
        """Where energies pass one by one, let them do so from the energies on, if that is free.

        A pass that carries one energy cannot be made of passes that carry several. Where it would
        take more passes further down than the rows' number, the players' rows pass instead.
        """
        for node in self.need:
            if not all(isinstance(label, Energy) for label in self.bases[node].labels):
                continue
            after = self._after(node)
            units = {n: self._units(n) for n in after}
            if all(len(units[n].labels) <= len(self.bases[n].labels) for n in after):
                for n in after:
                    self._set(n, units[n])
            else:
                self._set(node, self._each(node))

    def _after(self, node: Value) -> frozenset[Value]:
        """Return what comes after a node, whole regions, its own included."""
        found, size = self._region(node), 0
        while size < len(found):
            size = len(found)
            takers = (n for value, n in self._edges() if value in found and n not in found)
            found = found.union(*map(self._region, takers))
        return found

    # --- cuts ---

    def _edges(self) -> Iterator[Edge]:
        for node in self.need:
            if not is_cut(node):
                yield from ((value, node) for value in node.inputs if value in self.need)

    def _inside(self, edge: Edge) -> bool:
        value, node = edge
        return node in self._region(value)

    def _is_mixed(self, edge: Edge) -> bool:
        """Tell whether some player's row is made of passes differently on the two sides."""
        value, node = edge
        if self._inside(edge):
            return False
        energies = self._energies(node)

        def carried(player: str) -> Way:
            way = self.bases[value].ways[player]
            return {x: c for x, c in way.items() if self.rows.touches(x, energies)}

        ways = self.bases[node].ways
        return any(carried(player) != ways.get(player, {}) for player in self.need[value])

    # --- parts ---

    def _parts(self, cuts: set[Edge]) -> list[frozenset[Value]]:
        whole = [frozenset(edge) for edge in self._edges() if edge not in cuts]
        return _united([*map(self._region, self.need), *whole])

    def _together(self, parts: list[frozenset[Value]], cuts: set[Edge]) -> list[frozenset[Value]]:
        """Join parts that the same passes go through, where one call of autograd can do them."""
        for labels in dict.fromkeys(map(self._labels, parts)):
            alike = [part for part in parts if self._labels(part) == labels]
            others = [part for part in parts if self._labels(part) != labels]
            joined = [*others, frozenset[Value]().union(*alike)]
            if len(alike) > 1 and self._bad(joined, cuts) is None:
                parts = joined
        return parts

    def _labels(self, part: frozenset[Value]) -> frozenset[Label]:
        return frozenset(label for node in part for label in self.bases[node].labels)

    def _bad(self, parts: Sequence[frozenset[Value]], cuts: set[Edge]) -> frozenset[Value] | None:
        """Return nodes that cannot be gone through in one piece, if there are any."""
        entangled = _cycle(parts, cuts)
        if entangled is not None:
            return entangled
        for part in parts:
            ways: dict[str, Way] = {}
            for node in part:
                player = owner(node)
                if player is None or player not in self.need[node]:
                    continue
                way = self.bases[node].ways[player]
                if ways.setdefault(player, way) != way:
                    return part  # its parameters would be asked for in two ways at once
        return None


def _below(nodes: Sequence[Value], terms: Terms) -> dict[Value, frozenset[Energy]]:
    """Return the movers' energies that each node is made into, differentiably."""
    wanted = {term.energy for group in terms.values() for term in group}
    below: dict[Value, set[Energy]] = {node: set() for node in nodes}
    for node in reversed(nodes):
        if isinstance(node, Energy) and node in wanted:
            below[node].add(node)
        if not is_cut(node):
            for value in node.inputs:
                below[value] |= below[node]
    return {node: frozenset(energies) for node, energies in below.items()}


def _regions(graph: LossGraph, need: Mapping[Value, object]) -> dict[Value, frozenset[Value]]:
    """Return, by node, what must not be cut: the way from x to y of each gradient of y by x.

    Gradients with the same x go together, since all that is between takes the same tensor x.
    """
    groups: dict[Value, set[Value]] = {}
    for node in gradients_of(graph.nodes):
        y, x = node.args
        groups.setdefault(x, set()).update((differentiable_path(x, y) - {x}) | {node})
    pulled = [frozenset(n for n in group if n in need) for group in groups.values()]
    regions = _united(_filled(region, need) for region in pulled if region)
    return {node: region for region in regions for node in region}


def _filled(region: frozenset[Value], need: Mapping[Value, object]) -> frozenset[Value]:
    """Add what lies between nodes of a region, so that one can go through it in one piece."""
    paths = (differentiable_path(a, b) for a in region for b in region if a.index < b.index)
    return region.union(*(frozenset(n for n in path if n in need) for path in paths))


def _united(groups: Iterable[frozenset[Value]]) -> list[frozenset[Value]]:
    """Join groups that overlap."""
    home: dict[Value, set[Value]] = {}
    for group in groups:
        joined = set(group).union(*(home[n] for n in group if n in home))
        home |= dict.fromkeys(joined, joined)
    found = {id(group): frozenset(group) for group in home.values()}
    return list(found.values())


def _cycle(parts: Sequence[frozenset[Value]], cuts: set[Edge]) -> frozenset[Value] | None:
    """Return parts that wait for one another, as one set; None if there are none."""
    waits = _waits(parts, cuts)
    left = set(waits)
    while ready := [i for i in left if not waits[i] & left]:
        left -= {*ready}
    return frozenset[Value]().union(*(parts[i] for i in left)) if left else None


def _backwards(parts: Sequence[frozenset[Value]], cuts: set[Edge]) -> tuple[frozenset[Value], ...]:
    """Order parts so that each comes after all that give it cotangents."""
    waits, done = _waits(parts, cuts), dict[int, None]()
    latest = sorted(waits, key=lambda i: -max(node.index for node in parts[i]))
    while len(done) < len(waits):
        done[next(i for i in latest if i not in done and waits[i] <= done.keys())] = None
    return tuple(parts[i] for i in done)


def _waits(parts: Sequence[frozenset[Value]], cuts: set[Edge]) -> dict[int, set[int]]:
    """Return which parts each part gets cotangents from."""
    home = {node: i for i, part in enumerate(parts) for node in part}
    waits: dict[int, set[int]] = {i: set() for i in range(len(parts))}
    for value, node in cuts:
        waits[home[value]].add(home[node])
    return waits
