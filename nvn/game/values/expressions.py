"""How values read: as they would be written."""

from __future__ import annotations

import numbers
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from nvn.game.values.ops import Apply, Batch, Call, Gradient, Item, Noise, Sample, StopGradient

if TYPE_CHECKING:
    from nvn.game.values.value import Value

LONGEST = 160  # characters of an expression; beyond that its arguments are left out


def expression(value: Value) -> str:
    """Return `value` as it would be written, named values by their names."""
    return expressions(_with_inputs(value))[value]


def written(value: Value) -> str:
    """Return how `value` is made, also if it has a name."""
    return _written(value, expressions(_with_inputs(value)))


def expressions(nodes: Iterable[Value]) -> dict[Value, str]:
    """Return the expressions of nodes, each of which comes after all its inputs."""
    known: dict[Value, str] = {}
    for node in nodes:
        known[node] = node.game.names.get(node) or _written(node, known)
    return known


def _with_inputs(value: Value) -> list[Value]:
    """Return `value` and all that it is computed from, each after its inputs."""
    found = {value}
    waiting = [value]
    while waiting:
        new = [v for v in waiting.pop().inputs if v not in found]
        found.update(new)
        waiting += new
    return sorted(found, key=lambda v: v.index)


def _written(value: Value, known: dict[Value, str]) -> str:
    match value.op:
        case Batch(name) | Noise(name) | Sample(name):
            return name
        case Item(index):
            return f"{known[value.args[0]]}[{_index(index)}]"
        case Call(player, method, training):
            head = player.name if method == "forward" else f"{player.name}.{method}"
            head += "" if training or player.frozen else ".eval"
        case Apply(_, name):
            head = name
        case StopGradient():
            head = "stop_gradient"
        case Gradient():
            head = "gradient"
    inside = ", ".join(_arguments(value, known))
    return f"{head}({inside})" if len(head) + len(inside) < LONGEST else f"{head}(…)"


def _index(index: Any) -> str:
    """Write an index as Python does: `0:2`, not slice(0, 2, None)."""
    if isinstance(index, slice):
        ends = ["" if end is None else repr(end) for end in (index.start, index.stop)]
        return ":".join(ends if index.step is None else [*ends, repr(index.step)])
    if isinstance(index, tuple) and index:
        return ", ".join(map(_index, index))
    return "..." if index is Ellipsis else repr(index)


def _arguments(value: Value, known: dict[Value, str]) -> Iterator[str]:
    inputs = {id(v): known[v] for v in value.inputs}

    def show(arg: Any) -> str:
        if id(arg) in inputs:
            return inputs[id(arg)]
        if isinstance(arg, tuple | list):
            return f"({', '.join(show(a) for a in arg)})"
        if isinstance(arg, dict):
            return f"{{{', '.join(f'{k}: {show(a)}' for k, a in arg.items())}}}"
        return repr(arg) if isinstance(arg, numbers.Number | str | None) else type(arg).__name__

    yield from (show(arg) for arg in value.args)
    yield from (f"{name}={show(arg)}" for name, arg in value.kwargs.items())
