"""Runs a program: the planned engine's hot path.

A program is bound once: every instruction becomes a function of a frame, with all look-ups done.
Running it is then a loop over these functions; nothing walks a graph.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from nvn import pytree
from nvn.engine.frame import Bound, Frame, Gradients
from nvn.engine.module_state import Streams, buffers_at, copied, overwrite, places_of, with_buffers
from nvn.engine.operations import Operations, apart, detached, differentiable, mixed, no_path, where
from nvn.engine.passes import bound_pull, can_learn, number_of
from nvn.errors import RunError
from nvn.game.graph import LossGraph, fingerprints, hashed
from nvn.game.ops import Call, Noise, Sample
from nvn.game.schedule import Fresh, Move
from nvn.game.values import Value
from nvn.planner.instructions import (
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
from nvn.planner.program import Program
from nvn.records import Pending


class Executor:
    """Binds and runs programs on the modules of a game."""

    def __init__(
        self,
        graph: LossGraph,
        modules: Mapping[str, nn.Module],
        parameters: Mapping[str, Sequence[nn.Parameter]],
        operations: Operations,
    ) -> None:
        self._reads = graph.reads
        self._keys = fingerprints(graph.nodes)
        self._modules = modules
        self._parameters = parameters
        self._operations = operations
        self._learning = dict.fromkeys(parameters, True)
        self._streams = Streams(operations.devices)

    def bind(self, program: Program) -> Bound:
        """Return a function that runs a program on a frame."""
        # The batch is taken before the random streams are lent: data may draw from them.
        opens = isinstance(next(iter(program.instructions), None), Take)
        first = [self._bound(x, first=True) for x in program.instructions[:opens]]
        rest = [self._bound(x) for x in program.instructions[opens:]]
        slots, streams = len(program.names), self._streams

        def run(frame: Frame) -> None:
            frame.slots = [None] * slots
            for take in first:
                take(frame)
            streams.leave()
            waiting = iter(rest)
            try:
                with torch.enable_grad():
                    for step in waiting:
                        step(frame)
            except Exception as error:
                at = -1 - operator.length_hint(waiting)
                _note(error, program.instructions[at], frame)
                raise
            finally:
                streams.come_back()
                for player in self._learning:
                    self._learn(player, True)

        return run

    def _learn(self, player: str, learns: bool) -> None:
        if self._learning[player] is not learns:
            for parameter in self._parameters[player]:
                parameter.requires_grad = learns
            self._learning[player] = learns

    # --- binding ---

    def _bound(self, instruction: Instruction, *, first: bool = False) -> Bound:
        match instruction:
            case Take(fresh):
                return partial(_take, fresh) if first else partial(self._take_amid, fresh)
            case Forward():
                return self._forward(instruction)
            case Evaluate():
                return self._evaluate(instruction)
            case Detach(source, slot):
                return partial(_onto, detached, source, slot)
            case Cut(source, slot):
                return partial(_onto, _leaf, source, slot)
            case View(source, slot):
                return partial(_onto, differentiable, source, slot)
            case Report():
                return self._report(instruction)
            case Pull():
                return bound_pull(instruction, self._parameters, self._learn)
            case Step(players, move):
                return partial(_step, players, move)
            case Keep(player, state):
                return self._keep(player, state)
            case Drop(slots):
                return partial(_drop, slots)
        raise AssertionError(instruction)

    def _take_amid(self, fresh: Fresh, frame: Frame) -> None:
        with self._streams.back():
            _take(fresh, frame)

    # --- forward ---

    def _forward(self, instruction: Forward) -> Bound:
        node, player, slot = instruction.node, instruction.player, instruction.slot
        state, becomes, learns = instruction.state, instruction.becomes, instruction.learns
        op = node.op
        assert isinstance(op, Call)
        given = _arguments(node, instruction.inputs)
        key, readers = self._keys[node], sorted(self._reads[node])
        places = places_of(self._modules[player]) if op.training else ()
        call = self._operations.call(op, training=True)
        learn, start = self._learn, self._streams.start

        def forward(frame: Frame) -> None:
            point, slots = frame.point, frame.slots
            steps = [point.steps.get(name, 0) for name in readers]
            start(mixed(point.seed, key, point.batches, point.draws, *steps))
            learn(player, learns)
            args, kwargs = given(slots)
            slots[slot] = call(args, kwargs)

        def forward_with_buffers(frame: Frame) -> None:
            slots = frame.slots
            with with_buffers(copied(buffers_at(places) if state is None else slots[state])):
                forward(frame)
                if becomes is not None:
                    slots[becomes] = buffers_at(places)

        return forward_with_buffers if places else forward

    def _evaluate(self, instruction: Evaluate) -> Bound:
        node, slot, op = instruction.node, instruction.slot, instruction.node.op
        given = _arguments(node, instruction.inputs)
        compute = self._operations.other(op, onward=instruction.onward)
        learners, learn = instruction.learners, self._learn

        def evaluate(frame: Frame) -> None:
            # What a gradient is made of depends on who learns while it is taken.
            for player, learns in learners:
                learn(player, learns)
            args, kwargs = given(frame.slots)
            frame.slots[slot] = compute(args, kwargs, frame.batch, 0)

        if not isinstance(op, Noise | Sample):
            return evaluate
        key = hashed(op.name)

        def draw(frame: Frame) -> None:
            args, kwargs = given(frame.slots)
            seed = mixed(frame.point.seed, key, frame.point.draws)
            frame.slots[slot] = compute(args, kwargs, frame.batch, seed)

        return draw

    def _keep(self, player: str, state: Slot) -> Bound:
        places = places_of(self._modules[player])
        return lambda frame: overwrite(buffers_at(places), frame.slots[state])

    # --- reports ---

    def _report(self, instruction: Report) -> Bound:
        energies = tuple(instruction.energies.items())
        objectives = tuple(
            (player, _terms(terms)) for player, terms in instruction.objectives.items()
        )

        def report(frame: Frame) -> None:
            slots, step = frame.slots, frame.point.step
            # Apart, for an energy may be a parameter itself, or a view of one, that steps later.
            constant = {slot: apart(slots[slot]) for _, slot in energies}
            for name, slot in energies:
                frame.energies[name] = constant[slot]
            for player, (factors, places, lengths) in objectives:
                numbers = [number_of(factor, step) for factor in factors]
                tensors = [constant[s] if s in constant else apart(slots[s]) for s in places]
                combine = partial(_added_up, numbers, lengths=lengths)
                frame.objectives[player] = Pending(tensors, combine)

        return report


def _note(error: Exception, instruction: Instruction, frame: Frame) -> None:
    """Let an error say which node failed, and on what."""
    if isinstance(instruction, Forward | Evaluate):
        inputs = {value: frame.slots[slot] for value, slot in instruction.inputs.items()}
        error.add_note(where(instruction.node, inputs))


def _terms(
    terms: Sequence[tuple[Slot, Scale]],
) -> tuple[list[Factor], list[Slot], list[int]]:
    """Return an objective's factors, all that they multiply one after the other, and how many."""
    parts = [(factor, [slot, *factor.slots]) for slot, scale in terms for factor in scale]
    places = [slot for _, slots in parts for slot in slots]
    return [factor for factor, _ in parts], places, [len(slots) for _, slots in parts]


def _take(fresh: Fresh, frame: Frame) -> None:
    frame.point, frame.batch = frame.take(fresh)


def _onto(fn: Callable[[Any], Any], source: Slot, slot: Slot, frame: Frame) -> None:
    value = frame.slots[source]
    frame.slots[slot] = fn(value) if isinstance(value, Tensor) else pytree.map_leaves(fn, value)


def _drop(slots: Sequence[Slot], frame: Frame) -> None:
    held = frame.slots
    for slot in slots:
        held[slot] = None


def _step(players: Sequence[str], move: Move, frame: Frame) -> None:
    gradients = {player: frame.gradients.pop(player, []) for player in players}
    check_paths(gradients)
    for player in players:
        frame.step(player, move, gradients.pop(player))


def check_paths(gradients: Mapping[str, Gradients]) -> None:
    """Raise an error if somebody who descends something has no gradient at all."""
    for player, found in gradients.items():
        if all(gradient is None for gradient in found):
            raise RunError(no_path(player))


# --- arguments --------------------------------------------------------------------------------


def _arguments(
    node: Value, inputs: Mapping[Value, Slot]
) -> Callable[[Sequence[Any]], tuple[Any, Any]]:
    """Return a function from the slots to a node's arguments."""
    if not node.kwargs and all(isinstance(arg, Value) for arg in node.args):
        places = [inputs[arg] for arg in node.args]
        return lambda slots: ([slots[place] for place in places], {})
    whole = (node.args, dict(node.kwargs))

    def given(slots: Sequence[Any]) -> tuple[Any, Any]:
        found: tuple[Any, Any] = pytree.map_leaves(
            lambda x: slots[inputs[x]] if isinstance(x, Value) else x, whole
        )
        return found

    return given


# --- tensors and numbers ------------------------------------------------------------------------


def _leaf(leaf: Any) -> Any:
    if not isinstance(leaf, Tensor):
        return leaf
    return leaf.detach().requires_grad_() if can_learn(leaf) else leaf


def _added_up(numbers: Sequence[float], values: Sequence[float], lengths: Sequence[int]) -> float:
    """Return Σ number · product, the products' factors standing one after the other in `values`."""
    total, position = 0.0, 0
    for number, length in zip(numbers, lengths, strict=True):
        total += number * math.prod(values[position : position + length])
        position += length
    return total
