"""Runs a program: the planned engine's hot path. The only other place that calls autograd.

A program is bound once: every instruction becomes a function of a frame, with all look-ups done.
Running it is then a loop over these functions; nothing walks a graph.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from nvn import tree
from nvn.compiler import Program
from nvn.errors import RunError
from nvn.frame import Bound, Frame, Gradients
from nvn.graph import LossGraph, fingerprints, hashed
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
from nvn.isolation import buffers_at, copied, overwrite, places_of, with_buffers
from nvn.operations import Operations, detached, differentiable, mixed, no_path, where
from nvn.records import Pending
from nvn.schedule import Fresh, Move
from nvn.values import Call, Noise, Sample, StepFunction, Value


class Executor:
    """Binds and runs programs on the modules of a game."""

    def __init__(
        self,
        graph: LossGraph,
        modules: Mapping[str, nn.Module],
        parameters: Mapping[str, Sequence[nn.Parameter]],
        operations: Operations,
    ) -> None:
        self._names = graph.names
        self._reads = graph.reads
        self._keys = fingerprints(graph.nodes)
        self._modules = modules
        self._parameters = parameters
        self._operations = operations
        self._constants: dict[tuple[float, torch.dtype, torch.device], Tensor] = {}
        self._learning = dict.fromkeys(parameters, True)

    def bind(self, program: Program) -> Bound:
        """Return a function that runs a program on a frame."""
        steps = [self._bound(instruction) for instruction in program.instructions]
        slots = len(program.names)

        def run(frame: Frame) -> None:
            frame.slots = [None] * slots
            with torch.enable_grad(), self._only_learners():
                for step in steps:
                    step(frame)

        return run

    @contextmanager
    def _only_learners(self) -> Iterator[None]:
        """Let parameters require gradients only where a program says so."""
        try:
            yield
        finally:
            for player in self._learning:
                self._learn(player, True)

    def _learn(self, player: str, learns: bool) -> None:
        if self._learning[player] is not learns:
            for parameter in self._parameters[player]:
                parameter.requires_grad = learns
            self._learning[player] = learns

    # --- binding ---

    def _bound(self, instruction: Instruction) -> Bound:
        match instruction:
            case Take(fresh):
                return partial(_take, fresh)
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
                return self._pull(instruction)
            case Step(players, move):
                return partial(_step, players, move)
            case Keep(player, state):
                return self._keep(player, state)
            case Drop(slots):
                return partial(_drop, slots)
        raise AssertionError(instruction)

    # --- forward ---

    def _forward(self, instruction: Forward) -> Bound:
        node, player, slot = instruction.node, instruction.player, instruction.slot
        state, becomes, learns = instruction.state, instruction.becomes, instruction.learns
        op = node.op
        assert isinstance(op, Call)
        given = _arguments(node, instruction.inputs)
        key, readers = self._keys[node], sorted(self._reads[node])
        places = places_of(self._modules[player]) if op.training else ()
        call, learn = self._operations.call, self._learn

        def forward(frame: Frame) -> None:
            point = frame.point
            steps = [point.steps.get(name, 0) for name in readers]
            seed = mixed(point.seed, key, point.batches, point.draws, *steps)
            learn(player, learns)
            args, kwargs = given(frame.slots)
            if not places:
                frame.slots[slot] = call(op, args, kwargs, seed, training=True)
                return
            buffers = copied(buffers_at(places) if state is None else frame.slots[state])
            with with_buffers(buffers):
                frame.slots[slot] = call(op, args, kwargs, seed, training=True)
                if becomes is not None:
                    frame.slots[becomes] = buffers_at(places)

        return self._noted(node, instruction.inputs, forward)

    def _evaluate(self, instruction: Evaluate) -> Bound:
        node, slot, onward = instruction.node, instruction.slot, instruction.onward
        given = _arguments(node, instruction.inputs)
        op, other = node.op, self._operations.other
        key = hashed(op.name) if isinstance(op, Noise | Sample) else None
        learners, learn = instruction.learners, self._learn

        def evaluate(frame: Frame) -> None:
            # What a gradient is made of depends on who learns while it is taken.
            for player, learns in learners:
                learn(player, learns)
            args, kwargs = given(frame.slots)
            point = frame.point
            seed = 0 if key is None else mixed(point.seed, key, point.draws)
            frame.slots[slot] = other(op, args, kwargs, frame.batch, seed, onward)

        return self._noted(node, instruction.inputs, evaluate)

    def _noted(self, node: Value, inputs: Mapping[Value, Slot], run: Bound) -> Bound:
        """Let errors say which node failed, and on what."""

        def noting(frame: Frame) -> None:
            try:
                run(frame)
            except Exception as error:
                error.add_note(where(node, {v: frame.slots[s] for v, s in inputs.items()}))
                raise

        return noting

    def _keep(self, player: str, state: Slot) -> Bound:
        places = places_of(self._modules[player])
        return lambda frame: overwrite(buffers_at(places), frame.slots[state])

    # --- reports ---

    def _report(self, instruction: Report) -> Bound:
        energies = tuple(instruction.energies.items())
        objectives = tuple(instruction.objectives.items())
        known = {slot for _, slot in energies}

        def report(frame: Frame) -> None:
            slots, step = frame.slots, frame.point.step
            constant = {slot: _noted_down(slots[slot]) for slot in known}
            frame.energies |= {name: constant[slot] for name, slot in energies}
            for player, terms in objectives:
                tensors, shape = [], []
                for slot, scale in terms:
                    for factor in scale:
                        product = [constant[slot], *(_noted_down(slots[s]) for s in factor.slots)]
                        tensors += product
                        shape.append((_number(factor, step), len(product)))
                frame.objectives[player] = Pending(tensors, partial(_added_up, shape))

        return report

    # --- back ---

    def _pull(self, instruction: Pull) -> Bound:
        seeds, cotangents = instruction.seeds, instruction.cotangents
        players = [(name, self._parameters[name], scale) for name, scale in instruction.players]
        leaves, retain = instruction.leaves, instruction.retain

        def pull(frame: Frame) -> None:
            slots = frame.slots
            ends: list[Tensor] = []
            given: list[Tensor] = []
            for slot, scale in seeds:
                if slots[slot].requires_grad:
                    ends.append(slots[slot])
                    given.append(self._seed(slots[slot], scale, frame))
            for slot, mixture in cotangents:
                self._mix(_tensors(slots[slot]), mixture, frame, ends, given)
            for name, _, _ in players:
                self._learn(name, True)
            starts: list[Tensor] = [p for _, parameters, _ in players for p in parameters]
            cuts = [[t for t in _tensors(slots[leaf]) if t.requires_grad] for leaf, _ in leaves]
            starts += [t for cut in cuts for t in cut]
            if not ends:
                found: Sequence[Tensor | None] = [None] * len(starts)
            else:
                found = torch.autograd.grad(
                    ends, starts, given, retain_graph=retain, allow_unused=True
                )
            position = 0
            for name, parameters, scale in players:
                here = found[position : position + len(parameters)]
                position += len(parameters)
                self._add(frame, name, here, scale)
            for (_, slot), cut in zip(leaves, cuts, strict=True):
                slots[slot] = found[position : position + len(cut)]
                position += len(cut)

        return pull

    def _seed(self, energy: Tensor, scale: Scale, frame: Frame) -> Tensor:
        """Return what a pass starts with at an energy."""
        factor = self._factor(scale, frame)
        if isinstance(factor, Tensor):
            return factor.to(energy.dtype)
        return self._constant(factor, energy)

    def _constant(self, number: float, like: Tensor) -> Tensor:
        key = (number, like.dtype, like.device)
        if key not in self._constants:
            if len(self._constants) > 1000:  # weights that change with every step
                self._constants.clear()
            self._constants[key] = torch.full((), number, dtype=like.dtype, device=like.device)
        return self._constants[key]

    def _factor(self, scale: Scale, frame: Frame) -> float | Tensor:
        """Return a sum of factors: a number, or a tensor of shape () if values are in it."""
        parts = [_evaluated(factor, frame) for factor in scale]
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        return total

    def _mix(
        self,
        tensors: Sequence[Tensor],
        mixture: Sequence[tuple[Slot, Scale]],
        frame: Frame,
        ends: list[Tensor],
        given: list[Tensor],
    ) -> None:
        """Add what passes go on with at a value: its leaves' cotangents, weighed and added up."""
        floating = [t for t in tensors if _can_learn(t)]
        totals: Gradients = [None] * len(floating)
        for slot, scale in mixture:
            factor = self._factor(scale, frame)
            for i, cotangent in enumerate(frame.slots[slot]):
                totals[i] = _plus(totals[i], cotangent, factor)
        for tensor, total in zip(floating, totals, strict=True):
            if total is not None and tensor.requires_grad:
                ends.append(tensor)
                given.append(total)

    def _add(self, frame: Frame, name: str, found: Sequence[Tensor | None], scale: Scale) -> None:
        factor = self._factor(scale, frame)
        before = frame.gradients.get(name) or [None] * len(found)
        pairs = zip(before, found, strict=True)
        frame.gradients[name] = [_plus(total, gradient, factor) for total, gradient in pairs]


def _plus(total: Tensor | None, part: Tensor | None, factor: float | Tensor) -> Tensor | None:
    if part is None:
        return total
    if not (isinstance(factor, float) and factor == 1.0):
        part = part * (factor.to(part.dtype) if isinstance(factor, Tensor) else factor)
    return part if total is None else total + part


def _take(fresh: Fresh, frame: Frame) -> None:
    frame.point, frame.batch = frame.take(fresh)


def _onto(fn: Callable[[Any], Any], source: Slot, slot: Slot, frame: Frame) -> None:
    frame.slots[slot] = tree.map_leaves(fn, frame.slots[source])


def _drop(slots: Sequence[Slot], frame: Frame) -> None:
    for slot in slots:
        frame.slots[slot] = None


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
        found: tuple[Any, Any] = tree.map_leaves(
            lambda x: slots[inputs[x]] if isinstance(x, Value) else x, whole
        )
        return found

    return given


# --- tensors and numbers ------------------------------------------------------------------------


def _can_learn(leaf: Tensor) -> bool:
    return leaf.is_floating_point() or leaf.is_complex()


def _leaf(leaf: Any) -> Any:
    if not isinstance(leaf, Tensor):
        return leaf
    return leaf.detach().requires_grad_() if _can_learn(leaf) else leaf


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    return [leaf for leaf in tree.leaves(value) if isinstance(leaf, Tensor)]


def _noted_down(energy: Tensor) -> Tensor:
    """Return an energy as a number that a later step does not change."""
    constant = energy.detach()
    # An energy may be a parameter itself, or a view of one.
    return constant.clone() if energy.is_leaf or energy._is_view() else constant


def _evaluated(factor: Factor, frame: Frame) -> float | Tensor:
    number = _number(factor, frame.point.step)
    if not factor.slots:
        return number
    product: Tensor = frame.slots[factor.slots[0]]
    for slot in factor.slots[1:]:
        product = product * frame.slots[slot]
    return product if number == 1.0 else product * number


def _number(factor: Factor, step: int) -> float:
    if not factor.functions:
        return factor.number
    return math.prod((_at(fn, step) for fn in factor.functions), start=factor.number)


def _at(function: StepFunction, step: int) -> float:
    return float(function(step))


def _added_up(shape: Sequence[tuple[float, int]], numbers: Sequence[float]) -> float:
    """Return Σ number · product, the products' factors standing one after the other."""
    total, position = 0.0, 0
    for number, length in shape:
        total += number * math.prod(numbers[position : position + length])
        position += length
    return total
