"""The instructions of one turn: compute what is missing, go back part by part, step."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace

from nvn.game.graph import owner
from nvn.game.values import Call, Energy, Gradient, Value
from nvn.planner.analysis import Attachments
from nvn.planner.backward import EdgeKind
from nvn.planner.basis import Coefficient, Pass
from nvn.planner.instructions import (
    Cut,
    Detach,
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
    View,
)
from nvn.planner.value_numbering import Number


class Slots:
    """The slots of a program, by what they hold.

    Attributes:
        places: The slot of each thing.
        names: What each slot holds, in words.
    """

    def __init__(self) -> None:
        self.places: dict[Hashable, Slot] = {}
        self.names: list[str] = []

    def slot(self, key: Hashable, name: str) -> Slot:
        """Return the slot of something; a new one the first time."""
        if key not in self.places:
            self.places[key] = len(self.names)
            self.names.append(name)
        return self.places[key]


class Writer:
    """Writes the instructions of one turn."""

    def __init__(
        self, iteration: Attachments, slots: Slots, out: list[Instruction], index: int
    ) -> None:
        self.iteration = iteration
        self.slots = slots
        self.out = out
        self.names = iteration.graph.names
        self.index = index
        self.turn = iteration.turns[index]
        self.version = iteration.versions[index]
        self.back = iteration.backward_plans[index]
        self.part = self.back.segment_of
        self.left: dict[tuple[Slot, int], dict[Pass, Slot]] = {}  # cotangents, by leaf and part

    def write(self) -> None:
        """Write: compute, report, go back, step."""
        for node in self.iteration.computed[self.index]:
            self._compute(node)
        if self.turn.terms:
            self._report()
        for number, segment in enumerate(self.back.segments):
            self._pull(number, segment)
        if self.iteration.steps and self.turn.terms:
            self._emit(Step(tuple(self.turn.terms), self.turn.move))
            for player, number in self.version.kept.items():
                self._emit(Keep(player, self._state(player, number)))

    def _emit(self, instruction: Instruction) -> None:
        self.out.append(instruction)

    # --- forward ---

    def _compute(self, node: Value) -> None:
        number = self.version.numbers[node]
        inputs = {value: self._input(value, node) for value in node.inputs}
        slot = self._value(node)
        if not isinstance(node.op, Call):
            onward = isinstance(node.op, Gradient) and self.iteration.has_graph(number)
            self._emit(Evaluate(node, slot, inputs, onward, self._learners(node)))
            return
        player = node.op.player.name
        learns = self._learns(node)
        start, end = self.version.starts.get(node), self.version.ends.get(node)
        state = None if start is None else self.slots.places.get(("state", start))
        becomes = self._state(player, end) if end in self.iteration.held else None
        self._emit(Forward(node, player, slot, inputs, learns, state, becomes))

    def _learns(self, node: Value) -> bool:
        """Tell whether a call's player moves in the turn that pulls through the call."""
        turn, player = self._turn(node), owner(node)
        return (
            turn is not None
            and player is not None
            and player.name in self.iteration.backward_plans[turn].needed_by[node]
        )

    def _learners(self, node: Value) -> tuple[tuple[str, bool], ...]:
        path = self.iteration.paths[node] if isinstance(node.op, Gradient) else ()
        learns: dict[str, bool] = {}
        for call in path:
            if (player := owner(call)) is not None:
                learns[player.name] = learns.get(player.name, False) or self._learns(call)
        return tuple(learns.items())

    def _value(self, node: Value) -> Slot:
        return self.slots.slot(("value", self.version.numbers[node]), self.names[node])

    def _state(self, player: str, number: Number | None) -> Slot:
        return self.slots.slot(("state", number), f"buffers of {player}")

    def _turn(self, node: Value) -> int | None:
        """Return the turn that pulls through this version of a node."""
        return self.iteration.pulled.get(self.version.numbers[node])

    def _input(self, value: Value, node: Value) -> Slot:
        """Return what stands for `value` where `node` is computed from it."""
        if isinstance(node.op, Gradient) or self.version.numbers[node] in self.iteration.traced:
            if self.iteration.is_source(value, node):
                return self._source(value)
            if self.iteration.is_traced(value, node):
                return self._value(value)
        turn = self._turn(node)
        if turn is None:
            return self._constant(value)
        match self.iteration.backward_plans[turn].kind(value, node):
            case EdgeKind.CONSTANT:
                return self._constant(value)
            case EdgeKind.LEAF:
                return self._leaf(value, node, turn)
            case EdgeKind.LIVE:
                return self._value(value)

    def _constant(self, value: Value) -> Slot:
        number = self.version.numbers[value]
        if not self.iteration.has_graph(number):
            return self._value(value)
        return self._made(Detach, ("constant", number), value, "as a constant")

    def _leaf(self, value: Value, node: Value, turn: int) -> Slot:
        """Return the leaf in place of `value` for `node`: shared by all that pull in one way."""
        leaf = self.iteration.backward_plans[turn].leaf_of[value, node]
        key = ("leaf", self.version.numbers[value], turn, leaf)
        return self._made(Cut, key, value, "cut")

    def _source(self, value: Value) -> Slot:
        """Return the tensor that gradients with respect to `value` are taken of.

        It keeps its graph where it is on the way to another gradient, or is pulled through.
        """
        number, turn = self.version.numbers[value], self._turn(value)
        takers = [] if turn is None else self._takers(value, turn)
        if number not in self.iteration.traced and (turn is None or not takers):
            return self._made(Cut, ("source", number), value, "as an origin")
        if turn is not None and takers:
            back = self.iteration.backward_plans[turn]
            if back.kind(value, takers[0]) is EdgeKind.LEAF:
                return self._leaf(value, takers[0], turn)
        return self._made(View, ("view", number), value, "as an origin")

    def _takers(self, value: Value, turn: int) -> list[Value]:
        """Return what takes `value` on the way to a gradient by it and is pulled in `turn`."""
        return [
            node
            for node in self.iteration.backward_plans[turn].needed_by
            if value in node.inputs
            and self.iteration.is_source(value, node)
            and self.iteration.pulled.get(self.version.numbers.get(node, -1)) == turn
        ]

    def _made(self, kind: type[Detach | Cut | View], key: Hashable, value: Value, how: str) -> Slot:
        """Return a slot made from a value's, writing the instruction that makes it once."""
        if key not in self.slots.places:
            slot = self.slots.slot(key, f"{self.names[value]} {how}")
            self._emit(kind(self._value(value), slot))
        return self.slots.places[key]

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
        passes = dict.fromkeys(x for node in part for x in self.back.passes[node])
        pulls = [self._pass(number, part, passed) for passed in passes]
        for i, pull in enumerate(pulls):
            self._emit(replace(pull, retain=i + 1 < len(pulls)))

    def _pass(self, number: int, part: Sequence[Value], passed: Pass) -> Pull:
        seeds, cotangents = [], []
        players: dict[str, Scale] = {}
        leaves: dict[Slot, Slot] = {}
        for node in part:
            if isinstance(node, Energy) and (weight := passed.weight(node)):
                seeds.append((self._value(node), self._scale(weight)))
            if mixed := [*self._mixed(node, passed)]:
                cotangents.append((self._value(node), tuple(mixed)))
            player = owner(node)
            if player is not None and player.name in self.back.needed_by[node]:
                way = self.back.coefficients(node, self.back.matrix.row(player.name))
                if passed in way:
                    players[player.name] = self._scale(way[passed])
            for value in self._cut_inputs(node):
                rows = map(self.back.matrix.row, self.back.needed_by[value])
                if any(passed in self.back.coefficients(node, row) for row in rows):
                    leaf = self._leaf(value, node, self.index)
                    leaves[leaf] = self._cotangent(leaf, number, passed, value)
        return Pull(
            passed.name,
            tuple(seeds),
            tuple(cotangents),
            tuple(players.items()),
            tuple(leaves.items()),
            retain=False,
        )

    def _cut_inputs(self, node: Value) -> list[Value]:
        return [v for v in node.inputs if (v, node) in self.back.cut_edges]

    def _cotangent(self, leaf: Slot, part: int, passed: Pass, value: Value) -> Slot:
        slot = self.slots.slot(
            ("cotangent", self.index, leaf, part, passed),
            f"cotangent of {self.names[value]}, {passed}",
        )
        self.left.setdefault((leaf, part), {})[passed] = slot
        return slot

    def _mixed(self, value: Value, passed: Pass) -> Iterator[tuple[Slot, Scale]]:
        """Yield the cotangents that a pass goes on from at `value`, with factors."""
        if passed not in self.back.passes.get(value, ()):
            return
        seen: set[tuple[Slot, int]] = set()
        for node in self.back.cut_takers.get(value, ()):
            key = (self._leaf(value, node, self.index), self.part[node])
            if key in seen:
                continue
            seen.add(key)
            for x, coefficient in self.back.coefficients(node, passed).items():
                if x in self.left.get(key, {}):
                    yield self.left[key][x], self._scale(coefficient)
