"""What is wrong with a game that only shapes can tell: one pass over the graph before training.

Runs on fake tensors, which have shapes but no contents; where a module cannot run on those, on two
real samples. Buffers, modes and random streams are as before afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.hooks import RemovableHandle

from nvn import tree
from nvn.errors import GameError, Problem
from nvn.graph import LossGraph, batch_names
from nvn.interpreter import Interpreter, describe
from nvn.isolation import learning, lent_buffers, seeded
from nvn.values import Apply, Batch, Call, Energy, Gradient, Value

SAMPLES = 2  # one is too few for batch normalisation


def check_batch(
    graph: LossGraph,
    interpreter: Interpreter,
    modules: Mapping[str, nn.Module],
    parameters: Mapping[str, Sequence[nn.Parameter]],
    batch: Mapping[str, Any],
) -> None:
    """Check a game against a first batch.

    Raises:
        GameError: Listing every problem: missing names, shapes that don't fit, energies that are
            no scalars, hidden parameters, inputs changed in place.
    """
    problems = list(_missing_names(graph, batch))
    if not problems:
        run = _DryRun(graph, interpreter, modules)
        with learning(parameters, movers=()), lent_buffers(modules), seeded(0, _device(batch)):
            problems = run.problems(batch)
    if problems:
        raise GameError(problems, graph.name)


def _missing_names(graph: LossGraph, batch: Mapping[str, Any]) -> Iterator[Problem]:
    for node in graph.nodes:
        if isinstance(node.op, Batch) and node.op.name not in batch:
            yield Problem(
                str(node.where),
                f"the batch has no {node.op.name!r}",
                f"a dict with {', '.join(map(repr, batch_names(graph.nodes)))}",
                "let the data yield it under this name, or correct game.batch(…)",
                tuple(map(str, batch)),
            )


class _DryRun:
    """One pass over the nodes, each on its own."""

    def __init__(
        self, graph: LossGraph, interpreter: Interpreter, modules: Mapping[str, nn.Module]
    ) -> None:
        self._graph = graph
        self._interpreter = interpreter
        self._modules = modules

    def problems(self, batch: Mapping[str, Any]) -> list[Problem]:
        """Return every problem, from fake tensors if those find none, else from real ones."""
        try:
            fake = FakeTensorMode(allow_non_fake_inputs=True)
            imitation = tree.map_leaves(
                lambda x: fake.from_tensor(x) if isinstance(x, Tensor) else x, dict(batch)
            )
            if not self._pass(imitation, fake):
                return []
        except Exception:  # noqa: BLE001, S110  (fake tensors fail in many ways: ask real ones)
            pass
        few = tree.map_leaves(
            lambda x: x[:SAMPLES] if isinstance(x, Tensor) and x.dim() else x, dict(batch)
        )
        return self._pass(few, nullcontext())

    def _pass(
        self, batch: Mapping[str, Any], tensors: AbstractContextManager[Any]
    ) -> list[Problem]:
        problems: list[Problem] = []
        values: dict[Value, Any] = {}
        with tensors, torch.enable_grad():
            for node in self._graph.nodes:
                if all(v in values for v in node.inputs):  # else an input failed: told already
                    problems += self._visit(node, values, batch)
        return problems

    def _visit(
        self, node: Value, values: dict[Value, Any], batch: Mapping[str, Any]
    ) -> Iterator[Problem]:
        versions = {v: _versions(values[v]) for v in node.inputs}
        with _innermost(self._modules.values()) as failing:
            try:
                result = self._compute(node, values, batch)
            except Exception as error:  # noqa: BLE001  (whatever the user's code raises)
                yield self._misfit(node, values, error, failing())
                return
        for changed in (v for v in node.inputs if _versions(values[v]) != versions[v]):
            yield self._in_place(node, changed)
        if isinstance(node.op, Apply | Call) and _requires_grad(result):
            yield self._hidden(node)
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

    def _in_place(self, node: Value, changed: Value) -> Problem:
        return Problem(
            str(node.where),
            f"`{self._graph.names[node]}` changes `{self._graph.names[changed]}`, its input, in place",
            "inputs left as they are: other players use the same value",
            "use the out-of-place form (inplace=False; x = x + 1 instead of x += 1)",
        )

    def _hidden(self, node: Value) -> Problem:
        return Problem(
            str(node.where),
            f"`{self._graph.names[node]}` uses parameters that belong to no player",
            "all parameters inside players: hidden ones would never learn, and players used inside "
            "a function would get no gradient from it",
            "make the module a player (frozen, if it should not learn) and pass its call as an "
            "argument; take penalties' gradients with nvn.gradient",
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
def _innermost(modules: Any) -> Iterator[Callable[[], str]]:
    """Note which submodule is running; yields a function that says where a failure happened."""
    running: list[tuple[str, str, Any]] = []
    handles: list[RemovableHandle] = []

    def enter(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: Any) -> None:
            running.append((name, repr(module).splitlines()[0].rstrip("("), args))

        return hook

    def leave(*_: Any) -> None:
        running.pop()

    for module in modules:
        for name, part in module.named_modules():
            if name:
                handles.append(part.register_forward_pre_hook(enter(name)))
                handles.append(part.register_forward_hook(leave))

    def failing() -> str:
        if not running:
            return ""
        name, kind, args = running[-1]
        return f" (in its part {name!r}, {kind}, given {describe(args)})"

    try:
        yield failing
    finally:
        for handle in handles:
            handle.remove()


def _is_tensor(x: Any) -> bool:
    return isinstance(x, Tensor)


def _versions(value: Any) -> list[int]:
    return [leaf._version for leaf in tree.leaves(value) if _is_tensor(leaf)]


def _requires_grad(value: Any) -> bool:
    return any(_is_tensor(leaf) and leaf.requires_grad for leaf in tree.leaves(value))


def _device(batch: Mapping[str, Any]) -> torch.device:
    tensors = (x for x in tree.leaves(dict(batch)) if isinstance(x, Tensor))
    return next((x.device for x in tensors), torch.device("cpu"))
