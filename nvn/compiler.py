"""From the turns of an iteration to its program: a flat list of instructions.

Each value is computed in the first turn that asks for its version (nvn/versions.py), with a graph
only if a later or the same turn pulls through it. There is at most one such turn: whoever pulls
steps, and the version is past. All other turns get a constant.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

from nvn import tree
from nvn.graph import LossGraph, called_players, differentiable_path, gradients_of, is_cut, owner
from nvn.instructions import (
    Cut,
    Detach,
    Drop,
    Evaluate,
    Factor,
    Forward,
    Instruction,
    Keep,
    Pull,
    Report,
    Scale,
    Slot,
    Step,
    Take,
    View,
)
from nvn.pulling import Pulling, pulling
from nvn.rows import Coefficient, Label
from nvn.values import Call, Energy, Gradient, Value
from nvn.versions import Number, Turn, Versions, versions


@dataclass(frozen=True)
class Played:
    """What a turn of a program does.

    Attributes:
        turn: The turn.
        computed: The values that are computed in it.
        reused: The values that it asks for and that are there already.
        pulling: How it goes back.
    """

    turn: Turn
    computed: tuple[Value, ...]
    reused: tuple[Value, ...]
    pulling: Pulling

    @property
    def forward(self) -> Counter[str]:
        """How often each player's module is called."""
        return Counter(player.name for player in called_players(self.computed))

    @property
    def backward(self) -> Counter[str]:
        """How often a gradient goes back through a call of each player."""
        passes: Counter[str] = Counter()
        for node in self.pulling.need:
            if (player := owner(node)) is not None:
                passes[player.name] += len(self.pulling.labels(node))
        for node in gradients_of(self.computed):
            y, x = node.args
            passes.update(p.name for p in called_players(differentiable_path(x, y) - {x}))
        return passes


@dataclass(frozen=True)
class Program:
    """A compiled iteration.

    Attributes:
        instructions: What to do, in order.
        names: What each slot holds, in words.
        turns: The same, turn by turn, for people.
    """

    instructions: tuple[Instruction, ...]
    names: tuple[str, ...]
    turns: tuple[Played, ...]


def compiled(graph: LossGraph, turns: Sequence[Turn], *, steps: bool = True) -> Program:
    """Compile the turns of an iteration.

    Args:
        graph: The game.
        turns: Who descends what, one after the other.
        steps: Whether players step; else gradients are only taken.
    """
    return _Compiler(graph, turns, steps).program()


class _Compiler:
    def __init__(self, graph: LossGraph, turns: Sequence[Turn], steps: bool) -> None:
        self.graph = graph
        self.turns = turns
        self.steps = steps
        self.versions = versions(turns)
        self.pullings = [pulling(graph, turn.terms) for turn in turns]
        self.computed = [*_computed(turns, self.versions)]
        self.pulled = self._pulled()
        self.paths = {
            g: differentiable_path(g.args[1], g.args[0]) for g in gradients_of(graph.nodes)
        }
        self.traced = self._traced()
        self.held = self._held()
        self.out: list[Instruction] = []
        self.slots: dict[Hashable, Slot] = {}
        self.names: list[str] = []
        self.ways: list[Any] = []

    def program(self) -> Program:
        for index, turn in enumerate(self.turns):
            if turn.takes:
                self.out.append(Take(turn.takes))
            _Writer(self, index).write()
        played = (
            Played(turn, tuple(now), tuple(n for n in v.numbers if n not in now), back)
            for turn, now, v, back in zip(
                self.turns, self.computed, self.versions, self.pullings, strict=True
            )
        )
        return Program(tuple(_with_drops(self.out)), tuple(self.names), tuple(played))

    # --- what carries a graph, and why ---

    def _pulled(self) -> dict[Number, int]:
        """Return the turn that pulls through each version, for those that are pulled through."""
        found: dict[Number, int] = {}
        for index, (back, version) in enumerate(zip(self.pullings, self.versions, strict=True)):
            for node in back.need:
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
        return number in self.pulled or number in self.traced

    # --- slots ---

    def slot(self, key: Hashable, name: str) -> Slot:
        """Return the slot of something; a new one the first time."""
        if key not in self.slots:
            self.slots[key] = len(self.names)
            self.names.append(name)
        return self.slots[key]

    def interned(self, ways: Any) -> int:
        """Return a number that stands for `ways`, which need not be hashable."""
        if ways not in self.ways:
            self.ways.append(ways)
        return self.ways.index(ways)


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


class _Writer:
    """Writes the instructions of one turn."""

    def __init__(self, program: _Compiler, index: int) -> None:
        self.program = program
        self.names = program.graph.names
        self.index = index
        self.turn = program.turns[index]
        self.version = program.versions[index]
        self.back = program.pullings[index]
        self.part = {node: i for i, part in enumerate(self.back.parts) for node in part}
        self.left: dict[tuple[Slot, int], dict[Label, Slot]] = {}  # cotangents, by leaf and part

    def write(self) -> None:
        for node in self.program.computed[self.index]:
            self._compute(node)
        if self.turn.terms:
            self._report()
        for number, part in enumerate(self.back.parts):
            self._pull(number, sorted(part, key=lambda v: v.index))
        if self.program.steps and self.turn.terms:
            self._emit(Step(tuple(self.turn.terms), self.turn.move))
            for player, number in self.version.kept.items():
                self._emit(Keep(player, self._state(player, number)))

    def _emit(self, instruction: Instruction) -> None:
        self.program.out.append(instruction)

    # --- forward ---

    def _compute(self, node: Value) -> None:
        number = self.version.numbers[node]
        inputs = {value: self._input(value, node) for value in node.inputs}
        slot = self._value(node)
        if not isinstance(node.op, Call):
            onward = isinstance(node.op, Gradient) and self.program.has_graph(number)
            self._emit(Evaluate(node, slot, inputs, onward, self._learners(node)))
            return
        player = node.op.player.name
        learns = self._learns(node)
        start, end = self.version.starts.get(node), self.version.ends.get(node)
        state = None if start is None else self.program.slots.get(("state", start))
        becomes = self._state(player, end) if end in self.program.held else None
        self._emit(Forward(node, player, slot, inputs, learns, state, becomes))

    def _learns(self, node: Value) -> bool:
        """Tell whether a call's player moves in the turn that pulls through the call."""
        turn, player = self._turn(node), owner(node)
        return (
            turn is not None
            and player is not None
            and player.name in self.program.pullings[turn].need[node]
        )

    def _learners(self, node: Value) -> tuple[tuple[str, bool], ...]:
        path = self.program.paths[node] if isinstance(node.op, Gradient) else ()
        learns: dict[str, bool] = {}
        for call in path:
            if (player := owner(call)) is not None:
                learns[player.name] = learns.get(player.name, False) or self._learns(call)
        return tuple(learns.items())

    def _value(self, node: Value) -> Slot:
        return self.program.slot(("value", self.version.numbers[node]), self.names[node])

    def _state(self, player: str, number: Number | None) -> Slot:
        return self.program.slot(("state", number), f"buffers of {player}")

    def _turn(self, node: Value) -> int | None:
        """Return the turn that pulls through this version of a node."""
        return self.program.pulled.get(self.version.numbers[node])

    def _input(self, value: Value, node: Value) -> Slot:
        """Return what stands for `value` where `node` is computed from it."""
        if isinstance(node.op, Gradient) or self.version.numbers[node] in self.program.traced:
            if self.program.is_source(value, node):
                return self._source(value)
            if self.program.is_traced(value, node):
                return self._value(value)
        turn = self._turn(node)
        if turn is None or is_cut(node) or value not in self.program.pullings[turn].need:
            return self._constant(value)
        if (value, node) in self.program.pullings[turn].cuts:
            return self._leaf(value, node, turn)
        return self._value(value)

    def _constant(self, value: Value) -> Slot:
        number = self.version.numbers[value]
        if not self.program.has_graph(number):
            return self._value(value)
        return self._made(Detach, ("constant", number), value, "as a constant")

    def _leaf(self, value: Value, node: Value, turn: int) -> Slot:
        """Return the leaf in place of `value` for `node`: shared by all that pull in one way."""
        back = self.program.pullings[turn]
        part = next(i for i, part in enumerate(back.parts) if node in part)
        ways = {player: back.way(node, player) for player in back.need[value]}
        key = ("leaf", self.version.numbers[value], turn, part, self.program.interned(ways))
        return self._made(Cut, key, value, "cut")

    def _source(self, value: Value) -> Slot:
        """Return the tensor that gradients with respect to `value` are taken of.

        It keeps its graph where it is on the way to another gradient, or is pulled through.
        """
        number, turn = self.version.numbers[value], self._turn(value)
        takers = [] if turn is None else self._takers(value, turn)
        if number not in self.program.traced and (turn is None or not takers):
            return self._made(Cut, ("source", number), value, "as an origin")
        if turn is not None and takers and (value, takers[0]) in self.program.pullings[turn].cuts:
            return self._leaf(value, takers[0], turn)
        return self._made(View, ("view", number), value, "as an origin")

    def _takers(self, value: Value, turn: int) -> list[Value]:
        """Return what takes `value` on the way to a gradient by it and is pulled in `turn`."""
        return [
            node
            for node in self.program.pullings[turn].need
            if value in node.inputs
            and self.program.is_source(value, node)
            and self.program.pulled.get(self.version.numbers.get(node, -1)) == turn
        ]

    def _made(self, kind: type[Detach | Cut | View], key: Hashable, value: Value, how: str) -> Slot:
        """Return a slot made from a value's, writing the instruction that makes it once."""
        if key not in self.program.slots:
            slot = self.program.slot(key, f"{self.names[value]} {how}")
            self._emit(kind(self._value(value), slot))
        return self.program.slots[key]

    # --- reports ---

    def _report(self) -> None:
        energies = {t.energy: None for group in self.turn.terms.values() for t in group}
        objectives = {
            player: tuple((self._value(t.energy), self._scale((t.weight,))) for t in group)
            for player, group in self.turn.terms.items()
        }
        self._emit(Report({self.names[e]: self._value(e) for e in energies}, objectives))

    def _scale(self, coefficient: Coefficient) -> Scale:
        return tuple(
            Factor(
                weight.factor,
                tuple(s for s in weight.symbols if not isinstance(s, Value)),
                tuple(self._constant(s) for s in weight.symbols if isinstance(s, Value)),
            )
            for weight in coefficient
        )

    # --- back ---

    def _pull(self, number: int, part: Sequence[Value]) -> None:
        labels = dict.fromkeys(x for node in part for x in self.back.labels(node))
        passes = [self._pass(number, part, label) for label in labels]
        for i, found in enumerate(passes):
            self._emit(_retaining(found, i + 1 < len(passes)))

    def _pass(self, number: int, part: Sequence[Value], label: Label) -> Pull:
        seeds, cotangents = [], []
        players: dict[str, Scale] = {}
        leaves: dict[Slot, Slot] = {}
        for node in part:
            if isinstance(node, Energy) and (weight := self.back.rows.weight(label, node)):
                seeds.append((self._value(node), self._scale(weight)))
            if mixed := [*self._mixed(node, label)]:
                cotangents.append((self._value(node), tuple(mixed)))
            player = owner(node)
            if player is not None and player.name in self.back.need[node]:
                way = self.back.bases[node].ways[player.name]
                if label in way:
                    players[player.name] = self._scale(way[label])
            for value in self._cut_inputs(node):
                if any(label in self.back.way(node, p) for p in self.back.need[value]):
                    leaf = self._leaf(value, node, self.index)
                    leaves[leaf] = self._cotangent(leaf, number, label, value)
        return Pull(
            self.names[label] if isinstance(label, Energy) else label,
            tuple(seeds),
            tuple(cotangents),
            tuple(players.items()),
            tuple(leaves.items()),
            retain=False,
        )

    def _cut_inputs(self, node: Value) -> list[Value]:
        return [v for v in node.inputs if (v, node) in self.back.cuts]

    def _cotangent(self, leaf: Slot, part: int, label: Label, value: Value) -> Slot:
        name = self.names[label] if isinstance(label, Energy) else label
        slot = self.program.slot(
            ("cotangent", self.index, leaf, part, label),
            f"cotangent of {self.names[value]}, {name}",
        )
        self.left.setdefault((leaf, part), {})[label] = slot
        return slot

    def _mixed(self, value: Value, label: Label) -> Iterator[tuple[Slot, Scale]]:
        """Yield the cotangents that a pass with `label` goes on from at `value`, with factors."""
        if label not in self.back.labels(value):
            return
        seen: set[tuple[Slot, int]] = set()
        for node in self.back.need:
            if (value, node) not in self.back.cuts:
                continue
            key = (self._leaf(value, node, self.index), self.part[node])
            if key in seen:
                continue
            seen.add(key)
            for passed, coefficient in self.back.way(node, label).items():
                if passed in self.left.get(key, {}):
                    yield self.left[key][passed], self._scale(coefficient)


def _retaining(pull: Pull, retain: bool) -> Pull:
    return Pull(pull.label, pull.seeds, pull.cotangents, pull.players, pull.leaves, retain)


# --- the life of slots ------------------------------------------------------------------------


def _with_drops(instructions: Sequence[Instruction]) -> Iterator[Instruction]:
    """Yield the instructions, each slot forgotten after the last that mentions it."""
    last = {slot: i for i, x in enumerate(instructions) for slot in _mentioned(x)}
    for i, instruction in enumerate(instructions):
        yield instruction
        if done := tuple(dict.fromkeys(s for s in _mentioned(instruction) if last[s] == i)):
            yield Drop(done)


def _mentioned(instruction: Instruction) -> Iterable[Slot]:
    """Return every slot that an instruction reads or writes."""
    match instruction:
        case Evaluate(_, slot, inputs):
            return [slot, *inputs.values()]
        case Forward(_, _, slot, inputs, _, state, becomes):
            return [slot, *inputs.values(), *(s for s in (state, becomes) if s is not None)]
        case Detach(source, slot) | Cut(source, slot) | View(source, slot):
            return [source, slot]
        case Keep(_, state):
            return [state]
        case Pull() | Report():
            return [*_slots_of(tuple(getattr(instruction, f.name) for f in fields(instruction)))]
        case _:
            return []


def _slots_of(part: Any) -> Iterator[Slot]:
    for leaf in tree.leaves(part):
        if isinstance(leaf, Factor):
            yield from leaf.slots
        elif isinstance(leaf, int) and not isinstance(leaf, bool):
            yield leaf
