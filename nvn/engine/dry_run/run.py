"""The dry run itself: every node is computed, and looked at."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import CheckpointError

from nvn import pytree
from nvn.engine.dry_run.backward import computes_again, is_linear
from nvn.engine.dry_run.entries import Entries
from nvn.engine.dry_run.inspection import constant, is_tensor, leaves_behind, versions
from nvn.engine.dry_run.problems import (
    Owners,
    changes_parameter,
    computes_again_in_training,
    differs,
    draws,
    hidden,
    in_place,
    independent,
    is_lack_of_memory,
    misfit,
    not_scalar,
    opaque,
    unscaled,
)
from nvn.engine.dry_run.purity import Untouched, floating, same
from nvn.engine.dry_run.submodules import innermost
from nvn.engine.interpreter import Interpreter
from nvn.engine.module_state import learning
from nvn.engine.runtime import alias
from nvn.errors import GameError, Problem, RunError
from nvn.game.graph import LossGraph
from nvn.game.ops import Apply, Batch, Call, Gradient, Sample
from nvn.game.traversal import (
    ancestors,
    batch_names,
    called_players,
    differentiable_path,
    gradients_of,
    owner,
)
from nvn.game.values import Energy, Value

Parameters = Mapping[str, Mapping[str, nn.Parameter]]
Values = dict[Value, Any]


class DryRun:
    """One pass over the nodes of a game, each computed on its own.

    Attributes:
        recomputing: The players whose modules compute forward again in backward passes, and change
            their buffers there.
        nonlinear: What gradients do not flow through linearly: players, and names of values.
    """

    def __init__(
        self,
        graph: LossGraph,
        needed: Sequence[Value],
        interpreter: Interpreter,
        parameters: Parameters,
    ) -> None:
        self.needed = needed
        self.modules = {player.name: player.module for player in graph.players}
        self._graph = graph
        self._exhausted = False  # whether memory has run out
        self._told: set[Hashable] = set()  # causes
        self._interpreter = interpreter
        players = [player for player in graph.players if not player.frozen]
        self.recomputing: set[str] = set()
        self.nonlinear: dict[str, None] = {}
        self._parameters = {p.name: [*parameters[p.name].values()] for p in graph.players}
        self._learners = frozenset(player.name for player in players)
        self._owners: Owners = {
            parameter: (player.name, name)
            for player in players
            for name, parameter in parameters[player.name].items()
        }

    def problems(self, batch: Mapping[str, Any]) -> list[Problem]:
        """Return every problem that shows while the nodes are computed."""
        # Copies, because what works in place is about to be found.
        batch = dict(pytree.map_leaves(lambda x: x.clone() if is_tensor(x) else x, dict(batch)))
        entries = Entries(
            self._graph, self.needed, self.modules, lambda *given: self._computed(*given)[0], batch
        )
        problems: list[Problem] = []
        values: Values = {}
        complete = all(name in batch for name in batch_names(self.needed))
        with torch.enable_grad():
            for node in self.needed:
                if self._exhausted:  # whatever comes next would fail of it too
                    break
                # What takes something that is missing, or that failed, is told already.
                missing = isinstance(node.op, Batch) and node.op.name not in batch
                blind = isinstance(node.op, Sample) and not complete
                if not missing and not blind and all(v in values for v in node.inputs):
                    problems += self._visit(node, values, batch, entries)
        return [*entries.problems.values(), *problems]

    def unlikely(self, batch: Mapping[str, Any]) -> Iterator[Problem]:
        """Yield what is legal in a batch, but hardly what was meant."""
        for entry in self.needed:
            if isinstance(entry.op, Batch):
                yield from unscaled(self._graph, entry, batch[entry.op.name])

    def _visit(
        self, node: Value, values: Values, batch: dict[str, Any], entries: Entries
    ) -> Iterator[Problem]:
        graph = self._graph
        given = {graph.names[v]: values[v] for v in node.inputs}
        if isinstance(node.op, Sample):
            given = dict(batch)
        before = {name: versions(value) for name, value in given.items()}
        untouched, mended = Untouched(self._module(node)), False
        with (
            learning(self._parameters, self._others(node)),
            innermost(self._module(node)) as failing,
        ):
            try:
                result, leaves = self._computed(node, values, batch)
            except GameError as error:
                yield from error.problems
                return
            except Exception as error:  # noqa: BLE001  (whatever the user's code raises)
                inside = failing()
                if is_lack_of_memory(error):
                    yield misfit(graph, node, values, error, inside)
                    self._exhausted = True
                    return
                mended = entries.mended(node, values, batch, error)
                if not mended:
                    refused = entries.refused(node, values, error)
                    if not refused and self._is_new(node, misfit, str(error), inside):
                        yield misfit(graph, node, values, error, inside)
                    return
                result, leaves = values[node], []
        changed = [name for name, value in given.items() if versions(value) != before[name]]
        for name in changed:
            if self._is_new(node, in_place, [*given].index(name)):
                yield in_place(graph, node, name)
        used = leaves and not isinstance(node.op, Batch)
        if used and self._is_new(node, hidden, *map(id, leaves)):
            yield hidden(graph, node, leaves, self._owners)
        if isinstance(node, Energy) or node in graph.weights:
            yield from not_scalar(graph, node, result)
        objects = [*opaque(graph, node, result)]
        if objects:  # what takes them would fail because of that
            yield from objects if self._is_new(node, opaque) else []
            return
        if not (changed or mended):  # else it is another one the second time
            impure = self._impure(node, values, batch, result, untouched)
            for problem, *detail in impure:
                if self._is_new(node, problem, *detail):
                    yield problem(graph, node, *detail)
            if not impure:
                yield from self._backward(node, values, batch)
        values[node] = constant(result)
        entries.taken.update(node.inputs)

    def _impure(
        self,
        node: Value,
        values: Values,
        batch: Mapping[str, Any],
        result: Any,
        untouched: Untouched,
    ) -> list[tuple[Any, ...]]:
        """Return what a node changes or draws from, beside its result: problems, with details."""
        if not isinstance(node.op, Call | Apply | Sample):
            return []
        found: list[tuple[Any, ...]] = [
            *((changes_parameter, name) for name in untouched.changed()),
            *((draws, stream) for stream in untouched.drawn()),
        ]
        if not found:
            with untouched.again(), learning(self._parameters, self._others(node)):
                again = self._tried(node, values, batch)
            found = [] if same(again, result) else [(differs,)]
        return found

    def _is_new(self, node: Value, *problem: Hashable) -> bool:
        """Tell whether something has not been told; of a module or a function it is, once."""
        op = node.op
        cause = op.player if isinstance(op, Call) else id(op.fn if isinstance(op, Apply) else node)
        new = (cause, problem) not in self._told
        self._told.add((cause, problem))
        return new

    def _backward(self, node: Value, values: Values, batch: Mapping[str, Any]) -> Iterator[Problem]:
        """Look at the backward pass of a node, if gradients flow through it."""
        graph = self._graph
        if not (isinstance(node.op, Call | Apply) and graph.reach[node]):
            return
        module, player = self._module(node), owner(node)
        with learning(self._parameters, () if player is None else (player,)):
            inputs = {v: _learnable(values[v]) for v in node.inputs}
            try:
                result = self._interpreter.compute(node, inputs, batch, seed=0, training=True)
            except Exception:  # noqa: BLE001  (what it accepts is told elsewhere)
                return
        outputs = [x for x in floating(result) if x.requires_grad]
        wanted = [x for value in inputs.values() for x in floating(value)]
        wanted += [p for p in self._parameters.get(player or "", ()) if p.requires_grad]
        if not outputs or not wanted:
            return
        try:
            if module is not None and player is not None:
                again = computes_again(module, outputs, wanted)
                if again and _in_eval_mode(node):
                    if self._is_new(node, computes_again_in_training):
                        yield computes_again_in_training(graph, node)
                elif again:
                    self.recomputing.add(player)
            if not is_linear(outputs, wanted):
                self.nonlinear[player or graph.names[node]] = None
        except CheckpointError:  # it finds out itself, where that makes a difference
            yield computes_again_in_training(graph, node)

    def _module(self, node: Value) -> nn.Module | None:
        """Return the module that a node calls, if it is a call."""
        name = owner(node)
        return None if name is None else self.modules[name]

    def _others(self, node: Value) -> frozenset[str]:
        """Return who learns while a node is computed, so that its result tells who was used.

        All but its own player; nobody while a gradient is taken, which flows back through players.
        """
        if isinstance(node.op, Gradient):
            return frozenset()
        return self._learners.difference(called_players([node]))

    def _computed(
        self, node: Value, values: Values, batch: Mapping[str, Any]
    ) -> tuple[Any, list[Tensor]]:
        """Compute a node; return also those leaves of autograd's graph that were there before."""
        if isinstance(node.op, Gradient):
            return constant(self._slope(node, values, batch)), []
        result = self._tried(node, values, batch)
        leaves = leaves_behind(result)
        if leaves:  # what is made on the way, such as a module's x.detach().requires_grad_(),
            # is another one the next time
            again = {id(leaf) for leaf in leaves_behind(self._compute(node, values, batch))}
            leaves = [leaf for leaf in leaves if id(leaf) in again]
        return result, leaves

    def _tried(self, node: Value, values: Values, batch: Mapping[str, Any]) -> Any:
        """Compute a node from constants; where that fails, from inputs that require gradients.

        In a move they do, if anybody learns behind them, and a module may count on it: it registers
        hooks on what it is given (a gradient reversal, say).
        """
        try:
            return self._compute(node, values, batch)
        except Exception:
            learnable = {v: alias(constant(values[v])) for v in node.inputs if self._graph.reach[v]}
            if not learnable:
                raise
            try:
                result = self._interpreter.compute(
                    node, {**values, **learnable}, batch, seed=0, training=True
                )
            except Exception:  # noqa: BLE001  (the first one is told)
                result = None
            if result is None:
                raise
            return constant(result)

    def _compute(self, node: Value, values: Values, batch: Mapping[str, Any]) -> Any:
        # Inputs of its own: a module may call x.requires_grad_() on what it is given.
        inputs = {v: constant(values[v]) for v in node.inputs}
        return self._interpreter.compute(node, inputs, batch, seed=0, training=True)

    def _slope(self, node: Value, values: Values, batch: Mapping[str, Any]) -> Any:
        """Compute a gradient: what lies between x and y once more, this time with a graph."""
        y, x = node.args
        if not (is_tensor(values[y]) and is_tensor(values[x]) and values[x].is_floating_point()):
            raise TypeError("a gradient needs a tensor y and a floating-point tensor x")
        path = differentiable_path(x, y)
        slopes = {x, *(v.args[1] for v in gradients_of(path))}
        again = {v: constant(value) for v, value in values.items()}
        again |= {v: alias(again[v]) for v in slopes}
        for step in ancestors([y]):
            if step in path and step is not x:
                value = self._interpreter.compute(step, again, batch, seed=0, training=True)
                again[step] = alias(value) if step in slopes else value
        try:
            return self._interpreter.compute(node, again, batch, seed=0, training=True)
        except RunError as error:
            raise GameError([independent(self._graph, node)]) from error


def _in_eval_mode(node: Value) -> bool:
    return isinstance(node.op, Call) and not (node.op.training or node.op.frozen)


def _learnable(value: Any) -> Any:
    """Return a value of its own whose floating tensors require gradients."""
    return pytree.map_leaves(
        lambda x: (
            x.detach().clone().requires_grad_()
            if is_tensor(x) and (x.is_floating_point() or x.is_complex())
            else x
        ),
        value,
    )
