"""What is wrong with a game that only shapes can tell: one pass over the graph before training.

Runs on fake tensors, which have shapes but no contents; where a module cannot run on those, on two
real samples, and on the whole batch before a problem is told. Modules, their buffers and modes, and
random streams are as before afterwards.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils.hooks import RemovableHandle

from nvn import tree
from nvn.errors import GameError, Problem
from nvn.game import Player
from nvn.graph import LossGraph, batch_names, owner
from nvn.interpreter import Interpreter
from nvn.isolation import learning, lent_attributes, lent_buffers, seeded
from nvn.operations import describe, device_of
from nvn.values import Batch, Call, Energy, Gradient, Sample, Value

SAMPLES = 2  # one is too few for batch normalisation


def check_batch(
    graph: LossGraph,
    needed: Sequence[Value],
    interpreter: Interpreter,
    parameters: Mapping[str, Mapping[str, nn.Parameter]],
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
    modules = {player.name: player.module for player in graph.players}
    run = _DryRun(graph, needed, interpreter, parameters)
    with (
        lent_attributes(modules.values()),
        lent_buffers(modules),
        seeded(0, device_of(dict(batch))),
    ):
        problems = [*_missing_names(needed, batch), *run.problems(batch)]
    if problems:
        raise GameError(problems, graph.name)


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
        parameters: Mapping[str, Mapping[str, nn.Parameter]],
    ) -> None:
        self._graph = graph
        self._needed = needed
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
        """Return every problem, from fake tensors if those find none, else from real ones."""
        try:
            with _silent("torch._subclasses.fake_tensor"):
                fake = FakeTensorMode(allow_non_fake_inputs=True)
                if not self._pass(_map_tensors(fake.from_tensor, batch), fake):
                    return []
        except Exception:  # noqa: BLE001, S110  (fake tensors fail in many ways: ask real ones)
            pass
        # Two samples may be too few for some module, or what is cut no samples at all: then all.
        # Copies, because what works in place is about to be found.
        few = _map_tensors(lambda x: (x[:SAMPLES] if x.dim() else x).clone(), batch)
        problems = self._pass(few, nullcontext())
        return problems and self._pass(_map_tensors(Tensor.clone, batch), nullcontext())

    def _pass(
        self, batch: Mapping[str, Any], tensors: AbstractContextManager[Any]
    ) -> list[Problem]:
        problems: list[Problem] = []
        values: dict[Value, Any] = {}
        complete = all(name in batch for name in batch_names(self._needed))
        with tensors, torch.enable_grad():
            for node in self._needed:
                # What takes something that is missing, or that failed, is told already.
                missing = isinstance(node.op, Batch) and node.op.name not in batch
                blind = isinstance(node.op, Sample) and not complete
                if not missing and not blind and all(v in values for v in node.inputs):
                    problems += self._visit(node, values, batch)
        return problems

    def _visit(
        self, node: Value, values: dict[Value, Any], batch: Mapping[str, Any]
    ) -> Iterator[Problem]:
        player = owner(node)
        inputs = {self._graph.names[v]: values[v] for v in node.inputs}
        if isinstance(node.op, Sample):
            inputs = dict(batch)
        versions = {name: _versions(value) for name, value in inputs.items()}
        # Its own parameters apart, all may learn, so that a result tells which were used.
        others = self._learners - ({player.name} if player else set())
        with learning(self._parameters, movers=others), _innermost(player) as failing:
            try:
                result = self._compute(node, values, batch)
            except GameError as error:
                yield from error.problems
                return
            except Exception as error:  # noqa: BLE001  (whatever the user's code raises)
                yield self._misfit(node, values, error, failing())
                return
            hidden = _learning_leaves(result)
        for name in (name for name, value in inputs.items() if _versions(value) != versions[name]):
            yield self._in_place(node, name)
        if hidden and not isinstance(node.op, Batch):
            yield self._hidden(node, hidden)
        if isinstance(node, Energy) or node in self._graph.weights:
            yield from self._not_scalar(node, result)
        values[node] = tree.map_leaves(lambda x: x.detach() if _is_tensor(x) else x, result)

    def _compute(self, node: Value, values: dict[Value, Any], batch: Mapping[str, Any]) -> Any:
        if not isinstance(node.op, Gradient):
            return self._interpreter.compute(node, values, batch, seed=0, training=True)
        y, x = (values[v] for v in node.args)
        if not (_is_tensor(y) and _is_tensor(x) and x.is_floating_point()):
            raise TypeError("a gradient needs a tensor y and a floating-point tensor x")
        return torch.zeros_like(x)  # all that later nodes need of it is its shape

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
def _silent(name: str) -> Iterator[None]:
    """Keep a logger from printing what is caught here and told as a problem."""
    logger = logging.getLogger(name)
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


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
            handles.append(part.register_forward_pre_hook(enter(name)))
            handles.append(part.register_forward_hook(leave))

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


def _is_tensor(x: Any) -> bool:
    return isinstance(x, Tensor)


def _versions(value: Any) -> list[int]:
    tensors = (leaf for leaf in tree.leaves(value) if _is_tensor(leaf))
    return [tensor._version for tensor in tensors if not tensor.is_inference()]


def _learning_leaves(value: Any) -> list[Tensor]:
    """Return the leaves of autograd's graph behind `value` that existed before it was computed."""
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
    return [leaf for leaf in found if not isinstance(leaf, FakeTensor)]


def _map_tensors(fn: Callable[[Tensor], Tensor], batch: Mapping[str, Any]) -> dict[str, Any]:
    mapped: dict[str, Any] = tree.map_leaves(
        lambda x: fn(x) if isinstance(x, Tensor) else x, dict(batch)
    )
    return mapped
