"""What is wrong with a game that only a batch can tell: one pass over the graph before training.

The pass is real: on copies of the first batch, whole. Fake tensors would cost less, but whatever a
module or a function keeps of them (in a cache of functools, say) would make training do nothing,
silently; and a few samples of the batch would hide that its tensors don't go together. Modules,
their buffers and modes, and random streams are as before afterwards.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from types import FunctionType, MethodType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from nvn import tree
from nvn.errors import GameError, Problem, RunError
from nvn.game import Player
from nvn.graph import (
    LossGraph,
    ancestors,
    batch_names,
    called_players,
    differentiable_path,
    gradients_of,
    owner,
)
from nvn.interpreter import Interpreter
from nvn.isolation import learning, lent_attributes, lent_buffers, seeded
from nvn.operations import Operations, describe, detached, device_of, differentiable
from nvn.placement import Placement
from nvn.values import Apply, Batch, Call, Energy, Gradient, Noise, Sample, Value

Parameters = Mapping[str, Mapping[str, nn.Parameter]]
Values = dict[Value, Any]


def check_batch(
    graph: LossGraph,
    needed: Sequence[Value],
    interpreter: Interpreter,
    parameters: Parameters,
    batch: Mapping[str, Any],
) -> None:
    """Check a game against a first batch.

    Args:
        graph: The game.
        needed: The nodes to check: what is computed from such a batch.
        interpreter: Computes them.
        parameters: Each player's, by name.
        batch: The batch.

    Raises:
        GameError: Listing every problem: missing names, shapes that don't fit, energies that are
            no scalars, hidden parameters, inputs changed in place.
    """
    problems = _problems(_DryRun(graph, needed, interpreter, parameters), batch)
    if problems:
        raise GameError(problems, graph.name)


def batch_problems(
    graph: LossGraph, needed: Sequence[Value], batch: Mapping[str, Any]
) -> list[Problem]:
    """Return what a first batch tells of a game that has no engine yet, or can't have one.

    Args:
        graph: The game; its structure need not be in order.
        needed: The nodes to check. Those that can't be computed are left out, and so is then what
            takes them.
        batch: The batch.
    """
    modules = {player.name: player.module for player in graph.players}
    parameters = {
        name: {n: p for n, p in module.named_parameters() if p.requires_grad}
        for name, module in modules.items()
    }
    lists = {name: [*named.values()] for name, named in parameters.items()}
    interpreter = Interpreter(modules, lists, Operations(modules, Placement(None)))
    return _problems(_DryRun(graph, needed, interpreter, parameters), batch)


def replaced_draws(nodes: Iterable[Value], batch: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield the noise and the samples that nobody would draw, since data have their names."""
    for node in nodes:
        if isinstance(node.op, Noise | Sample) and node.op.name in batch:
            name = node.op.name
            yield Problem(
                str(node.where),
                f"the data yield {name!r}, which is the name of what is drawn at random here",
                "a name of its own for each: an entry of a batch replaces what is drawn",
                f"rename one of the two; to take it from the data, write `game.batch({name!r})`",
            )


def _problems(run: _DryRun, batch: Mapping[str, Any]) -> list[Problem]:
    modules = run.modules
    with (
        lent_attributes(modules.values()),
        lent_buffers(modules),
        seeded(0, device_of(dict(batch))),
        _lent_streams(),
    ):
        return [*_missing_names(run.needed, batch), *run.problems(batch)]


def _missing_names(nodes: Sequence[Value], batch: Mapping[str, Any]) -> Iterator[Problem]:
    for node in nodes:
        if isinstance(node.op, Batch) and node.op.name not in batch:
            yield Problem(
                str(node.where),
                f"the batch has no {node.op.name!r}",
                f"a dict with {', '.join(map(repr, batch_names(nodes)))}",
                "let the data yield it under this name, or correct game.batch(…)",
                tuple(map(str, batch)),
            )


class _DryRun:
    """One pass over the nodes, each on its own."""

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
        self._interpreter = interpreter
        players = [player for player in graph.players if not player.frozen]
        self._parameters = {p.name: [*parameters[p.name].values()] for p in graph.players}
        self._learners = frozenset(player.name for player in players)
        self._owners: dict[Tensor, tuple[str, str]] = {
            parameter: (player.name, name)
            for player in players
            for name, parameter in parameters[player.name].items()
        }

    def problems(self, batch: Mapping[str, Any]) -> list[Problem]:
        """Return every problem that shows while the nodes are computed."""
        # Copies, because what works in place is about to be found.
        batch = tree.map_leaves(lambda x: x.clone() if _is_tensor(x) else x, dict(batch))
        problems: list[Problem] = []
        values: Values = {}
        complete = all(name in batch for name in batch_names(self.needed))
        with torch.enable_grad():
            for node in self.needed:
                # What takes something that is missing, or that failed, is told already.
                missing = isinstance(node.op, Batch) and node.op.name not in batch
                blind = isinstance(node.op, Sample) and not complete
                if not missing and not blind and all(v in values for v in node.inputs):
                    problems += self._visit(node, values, batch)
        return problems

    def _visit(self, node: Value, values: Values, batch: Mapping[str, Any]) -> Iterator[Problem]:
        given = {self._graph.names[v]: values[v] for v in node.inputs}
        if isinstance(node.op, Sample):
            given = dict(batch)
        versions = {name: _versions(value) for name, value in given.items()}
        with learning(self._parameters, self._others(node)), _innermost(owner(node)) as failing:
            try:
                result, hidden = self._computed(node, values, batch)
            except GameError as error:
                yield from error.problems
                return
            except Exception as error:  # noqa: BLE001  (whatever the user's code raises)
                yield self._misfit(node, values, error, failing())
                return
        for name, value in given.items():
            if _versions(value) != versions[name]:
                yield self._in_place(node, name)
        if hidden and not isinstance(node.op, Batch):
            yield self._hidden(node, hidden)
        if isinstance(node, Energy) or node in self._graph.weights:
            yield from self._not_scalar(node, result)
        yield from self._opaque(node, result)
        values[node] = _constant(result)

    def _others(self, node: Value) -> frozenset[str]:
        """Return who learns while a node is computed, so that its result tells who was used.

        All but its own player; nobody while a gradient is taken, which goes back through players.
        """
        if isinstance(node.op, Gradient):
            return frozenset()
        return self._learners - {player.name for player in called_players([node])}

    def _computed(
        self, node: Value, values: Values, batch: Mapping[str, Any]
    ) -> tuple[Any, list[Tensor]]:
        """Compute a node; return also those leaves of autograd's graph that were there before."""
        if isinstance(node.op, Gradient):
            return _constant(self._slope(node, values, batch)), []
        result = self._compute(node, values, batch)
        leaves = _leaves_behind(result)
        if leaves:  # what is made on the way, such as a module's x.detach().requires_grad_(),
            # is another one the next time
            again = {id(leaf) for leaf in _leaves_behind(self._compute(node, values, batch))}
            leaves = [leaf for leaf in leaves if id(leaf) in again]
        return result, leaves

    def _compute(self, node: Value, values: Values, batch: Mapping[str, Any]) -> Any:
        # Inputs of its own: a module may call x.requires_grad_() on what it is given.
        inputs = {v: _constant(values[v]) for v in node.inputs}
        return self._interpreter.compute(node, inputs, batch, seed=0, training=True)

    def _slope(self, node: Value, values: Values, batch: Mapping[str, Any]) -> Any:
        """Compute a gradient: what lies between x and y once more, this time with a graph."""
        y, x = node.args
        if not (_is_tensor(values[y]) and _is_tensor(values[x]) and values[x].is_floating_point()):
            raise TypeError("a gradient needs a tensor y and a floating-point tensor x")
        path = differentiable_path(x, y)
        slopes = {x, *(v.args[1] for v in gradients_of(path))}
        again = {v: _constant(value) for v, value in values.items()}
        again |= {v: differentiable(again[v]) for v in slopes}
        for step in ancestors([y]):
            if step in path and step is not x:
                value = self._interpreter.compute(step, again, batch, seed=0, training=True)
                again[step] = differentiable(value) if step in slopes else value
        try:
            return self._interpreter.compute(node, again, batch, seed=0, training=True)
        except RunError as error:
            raise GameError([self._independent(node)]) from error

    # --- what is said ---

    def _misfit(
        self, node: Value, values: dict[Value, Any], error: Exception, inside: str
    ) -> Problem:
        shapes = [f"{self._graph.names[v]} of shape {describe(values[v])}" for v in node.inputs]
        message = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        what = "the module" if isinstance(node.op, Call) else "the function"
        return Problem(
            str(node.where),
            f"`{self._graph.names[node]}` fails: {message}{inside}",
            f"{what} to accept {' and '.join(shapes) or 'no arguments'}",
            "make the shapes fit, or pass other values",
        )

    def _independent(self, node: Value) -> Problem:
        y, x = (self._graph.names[v] for v in node.args)
        return Problem(
            str(node.where),
            f"`{self._graph.names[node]}`: `{y}` was not computed from `{x}`, although it is given "
            "it: a module or a function ignores that input, or detaches it",
            "y computed from x",
            f"use `{x}` in what makes `{y}`, or leave this gradient out",
        )

    def _in_place(self, node: Value, changed: str) -> Problem:
        return Problem(
            str(node.where),
            f"`{self._graph.names[node]}` changes `{changed}`, its input, in place",
            "inputs left as they are: other players use the same value",
            "use the out-of-place form (inplace=False; x = x + 1 instead of x += 1)",
        )

    def _hidden(self, node: Value, leaves: Sequence[Tensor]) -> Problem:
        place, name = str(node.where), self._graph.names[node]
        for player, parameter in (self._owners[x] for x in leaves if x in self._owners):
            return Problem(
                place,
                f"`{name}` uses the player `{player}` inside (its parameter {parameter!r})",
                "players called while declaring: one that is used inside a function, or inside "
                "another module, would get no gradient from it",
                f"pass `{player}(…)` as an argument; a penalty takes `nvn.gradient(y, x)`",
            )
        shapes = ", ".join(describe(x) for x in leaves[:3])
        return Problem(
            place,
            f"`{name}` uses parameters that belong to no player, of shape {shapes}",
            "all that learns to be a player's: hidden parameters never learn",
            "make their module a player (frozen, if it should not learn), and pass its call as an "
            "argument; make parameters of a module nn.Parameter",
        )

    def _opaque(self, node: Value, result: Any) -> Iterator[Problem]:
        """Tell of objects that tensors hide in: `stop_gradient` and others can't get at these."""
        if not isinstance(node.op, Call | Apply) or not self._graph.reach[node]:
            return
        for kind in dict.fromkeys(type(x).__name__ for x in tree.leaves(result) if _conceals(x)):
            yield Problem(
                str(node.where),
                f"`{self._graph.names[node]}` returns a {kind}, an object with tensors inside",
                "tensors, or tuples, lists and dicts of them: gradients are stopped and followed "
                "in these alone",
                f"return its tensors in a dict, and make the {kind} in the function that takes it",
            )

    def _not_scalar(self, node: Value, result: Any) -> Iterator[Problem]:
        number = _is_tensor(result) and result.shape == () and result.is_floating_point()
        if not number:
            role = "energy" if isinstance(node, Energy) else "weight"
            dtype = f" of {result.dtype}" if _is_tensor(result) else ""
            yield Problem(
                str(node.where),
                f"the {role} `{self._graph.names[node]}` has shape {describe(result)}{dtype}",
                "one floating-point number: shape ()",
                "take its mean or its sum",
            )


@contextmanager
def _lent_streams() -> Iterator[None]:
    """Let Python's and numpy's random streams continue as before; torch's are lent by `seeded`."""
    python, numpy = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)


@contextmanager
def _innermost(player: Player | None) -> Iterator[Callable[[], str]]:
    """Note which part of a player is running; yields a function that says where a failure was."""
    running: list[tuple[str, nn.Module, Any]] = []
    handles: list[RemovableHandle] = []

    def enter(name: str) -> Callable[..., None]:
        return lambda module, args: running.append((name, module, args))

    def leave(*_: Any) -> None:
        running.pop()

    for name, part in player.module.named_modules() if player else ():
        if name:
            handles += _hooked(part, enter(name), leave)

    def failing() -> str:
        if not running:
            return ""
        name, part, args = running[-1]
        kind = repr(part).splitlines()[0].rstrip("(")
        return f" (in its part {name!r}, {kind}, given {describe(args)})"

    try:
        yield failing
    finally:
        for handle in handles:
            handle.remove()


def _hooked(
    part: nn.Module, enter: Callable[..., None], leave: Callable[..., None]
) -> list[RemovableHandle]:
    """Call `enter` and `leave` around a part's forward, where it takes hooks (scripted: none)."""
    handles: list[RemovableHandle] = []
    try:
        handles.append(part.register_forward_pre_hook(enter))
        handles.append(part.register_forward_hook(leave))
    except Exception:  # noqa: BLE001  (both or none; without, a failure is told less precisely)
        for handle in handles:
            handle.remove()
        return []
    return handles


def _is_tensor(x: Any) -> bool:
    return isinstance(x, Tensor)


def _conceals(leaf: Any, depth: int = 4) -> bool:
    """Tell whether a leaf of a tree, which is no tensor, has tensors inside that could learn."""
    if isinstance(leaf, type) or _is_tensor(leaf):
        return False
    inside = [x for part in _inside(leaf) for x in tree.leaves(part)]
    learning = (x for x in inside if _is_tensor(x))
    if any(x.is_floating_point() or x.is_complex() for x in learning):
        return True
    return depth > 0 and any(_conceals(x, depth - 1) for x in inside)


def _inside(x: Any) -> Iterator[Any]:
    """Yield what an object is made of."""
    if isinstance(x, FunctionType):
        yield from (cell.cell_contents for cell in x.__closure__ or ())
    elif isinstance(x, MethodType):
        yield x.__self__
    elif isinstance(x, partial):
        yield from (x.func, x.args, x.keywords)
    elif isinstance(x, set | frozenset):
        yield from x
    yield from getattr(x, "__dict__", {}).values()
    slots = [name for kind in type(x).__mro__ for name in getattr(kind, "__slots__", ())]
    yield from (getattr(x, name) for name in slots if hasattr(x, name))


def _constant(value: Any) -> Any:
    return tree.map_leaves(detached, value)


def _versions(value: Any) -> list[int]:
    tensors = (leaf for leaf in tree.leaves(value) if _is_tensor(leaf))
    return [tensor._version for tensor in tensors if not tensor.is_inference()]


def _leaves_behind(value: Any) -> list[Tensor]:
    """Return the leaves of autograd's graph behind `value`."""
    results = [leaf for leaf in tree.leaves(value) if _is_tensor(leaf) and leaf.requires_grad]
    found = [result for result in results if result.grad_fn is None]
    waiting = [result.grad_fn for result in results]
    seen: set[Any] = {None}
    while waiting:
        function = waiting.pop()
        if function not in seen:
            seen.add(function)
            waiting += [before for before, _ in function.next_functions]
            found += [function.variable] if hasattr(function, "variable") else []
    return found
