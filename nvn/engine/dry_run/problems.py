"""What a dry run tells of a node that is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from nvn import pytree
from nvn.engine.dry_run.conversions import Conversion, looks_like_bytes
from nvn.engine.dry_run.inspection import hides_tensors, is_tensor
from nvn.engine.kinds import kind_of, with_article
from nvn.engine.operations import describe
from nvn.errors import Problem
from nvn.game.graph import LossGraph
from nvn.game.ops import Apply, Call, Sample
from nvn.game.values import Energy, Value

INTEGERS = {torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64}
Owners = Mapping[Tensor, tuple[str, str]]  # a parameter → whose it is, and what it is called


def misfit(
    graph: LossGraph, node: Value, values: dict[Value, Any], error: Exception, inside: str
) -> Problem:
    """Return the problem of what fails on what it is given."""
    shapes = [_given(graph.names[v], values[v]) for v in node.inputs]
    what = "the module" if isinstance(node.op, Call) else "the function"
    if is_lack_of_memory(error):
        return Problem(
            str(node.where),
            f"memory runs out in `{graph.names[node]}`, given {' and '.join(shapes) or 'nothing'}: "
            f"{_first_line(error)}{inside}",
            "memory for a whole batch, and for what is computed from it",
            f"let the data yield smaller batches, or make {what} smaller",
        )
    return Problem(
        str(node.where),
        f"`{graph.names[node]}` fails: {_first_line(error)}{inside}",
        f"{what} to accept {' and '.join(shapes) or 'no arguments'}",
        _fix(error),
    )


def _fix(error: Exception) -> str:
    """Say what to do about what fails."""
    if "more than 1 value per channel" in str(error):  # how torch's batch norms tell it
        return (
            "let the data yield two samples at least: drop_last=True in a DataLoader leaves out a "
            "last, smaller batch"
        )
    return "make the shapes fit, or pass other values"


def _given(name: str, value: Any) -> str:
    """Say what is given to a module or a function."""
    if any(is_tensor(leaf) for leaf in pytree.leaves(value)):
        return f"{name} of shape {describe(value)}"
    return f"{name}, {kind_of(value)}"


def is_lack_of_memory(error: BaseException) -> bool:
    """Tell whether memory has run out."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    # How torch tells it of the CPU's.
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__


def ill_made(
    graph: LossGraph,
    node: Value,
    entry: Value,
    given: Any,
    conversion: Conversion,
    error: Exception,
) -> Problem:
    """Return the problem of an entry of the batch that a node fails on, and converted does not."""
    name = graph.names[entry]
    range_ = ""
    if is_tensor(given) and given.dtype in INTEGERS and given.numel():
        range_ = f", with numbers from {given.min().item()} to {given.max().item()}"
    return Problem(
        str(entry.where),
        f"the batch's {name!r} is {kind_of(given)}{range_}, on which `{graph.names[node]}` fails: "
        f"{_first_line(error)}",
        kind_of(conversion.value),
        f"let the data yield `{conversion.written}` for {name!r}",
    )


def no_tensor(graph: LossGraph, node: Value, entry: Value, given: Any, error: Exception) -> Problem:
    """Return the problem of an entry of the batch that is no tensor, which a node fails on."""
    name = graph.names[entry]
    return Problem(
        str(entry.where),
        f"the batch's {name!r} is {kind_of(given)}, on which `{graph.names[node]}` fails: "
        f"{_first_line(error)}",
        "a tensor, of one length with the batch's others",
        f"let the data yield a tensor for {name!r}",
    )


def unscaled(graph: LossGraph, entry: Value, given: Any) -> Iterator[Problem]:
    """Tell of pictures whose numbers are those of their bytes: legal, and seldom meant."""
    if looks_like_bytes(given):
        name = graph.names[entry]
        yield Problem(
            str(entry.where),
            f"the batch's {name!r} is {kind_of(given)}, with numbers from {given.min():g} to "
            f"{given.max():g}, all whole: those of a picture's bytes",
            "numbers of about 0 to 1, or -1 to 1, which is what networks and energies are made for",
            f"let the data yield `{name} / 255` for {name!r}; a module that scales them itself may "
            "take bytes (uint8)",
        )


def independent(graph: LossGraph, node: Value) -> Problem:
    """Return the problem of a gradient along no path."""
    y, x = (graph.names[v] for v in node.args)
    return Problem(
        str(node.where),
        f"`{graph.names[node]}`: `{y}` was not computed from `{x}`, although it is given "
        "it: a module or a function ignores that input, or detaches it",
        "y computed from x",
        f"use `{x}` in what makes `{y}`, or leave this gradient out",
    )


def in_place(graph: LossGraph, node: Value, changed: str) -> Problem:
    """Return the problem of an input that is not what it was."""
    return Problem(
        str(node.where),
        f"`{graph.names[node]}` changes `{changed}`, its input, in place",
        "inputs left as they are: other players use the same value",
        "use the out-of-place form (inplace=False; x = x + 1 instead of x += 1)",
    )


def changes_parameter(graph: LossGraph, node: Value, changed: str) -> Problem:
    """Return the problem of a module that changes a parameter of its own while it runs."""
    return Problem(
        str(node.where),
        f"`{graph.names[node]}`: the module changes its parameter {changed!r} while it runs",
        "parameters that change in their player's steps alone: the module runs in others' moves, "
        "too, and where one only looks",
        f"keep it as a buffer (self.register_buffer({changed.split('.')[-1]!r}, …)), which nvn "
        "lets advance in the player's own moves; a running average of weights is "
        "`game.average(…)`",
    )


def draws(graph: LossGraph, node: Value, stream: str) -> Problem:
    """Return the problem of randomness that nothing seeds."""
    found = f"`{graph.names[node]}` draws from {stream} global random stream"
    why = "what it draws would depend on how often, and when, the plan computes it"
    if isinstance(node.op, Call):
        expected = f"a module that draws with torch, which is seeded for each call: {why}"
        edit = "use torch.rand, torch.randn, …; or pass `game.noise(…)` as an argument"
    elif isinstance(node.op, Sample):
        expected = f"a sample that is drawn with the generator that it is given: {why}"
        edit = "pass it on: torch.rand(…, generator=generator)"
    else:
        expected = f"a function of its arguments alone: {why}"
        edit = "draw with `game.noise(…)` or `game.sample(…)`, and pass that as an argument"
    return Problem(str(node.where), found, expected, edit)


def differs(graph: LossGraph, node: Value) -> Problem:
    """Return the problem of what gives something else the second time."""
    what = "the module" if isinstance(node.op, Call) else "the function"
    return Problem(
        str(node.where),
        f"`{graph.names[node]}` gives something else when it is computed again, with the same "
        "arguments and the same random streams",
        f"{what} to be the same each time: the plan decides how often it is computed",
        "draw with torch and without a generator of its own; keep what it counts in a buffer",
    )


def computes_again_in_training(graph: LossGraph, node: Value) -> Problem:
    """Return the problem of a call in eval mode that is computed again when that mode is over."""
    return Problem(
        str(node.where),
        f"`{graph.names[node]}`, in eval mode, computes forward again in its backward pass "
        "(activation checkpointing), in training mode then",
        "one mode for both",
        "do not checkpoint where `self.training` is false",
    )


def hidden(graph: LossGraph, node: Value, leaves: Sequence[Tensor], owners: Owners) -> Problem:
    """Return the problem of parameters that are used without being given."""
    place, name = str(node.where), graph.names[node]
    for player, parameter in (owners[x] for x in leaves if x in owners):
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


def opaque(graph: LossGraph, node: Value, result: Any) -> Iterator[Problem]:
    """Tell of objects that tensors hide in: `stop_gradient` and others can't get at these."""
    if not isinstance(node.op, Call | Apply) or not graph.reach[node]:
        return
    for kind in dict.fromkeys(type(x).__name__ for x in pytree.leaves(result) if hides_tensors(x)):
        yield Problem(
            str(node.where),
            f"`{graph.names[node]}` returns {with_article(kind)}, an object with tensors inside",
            "tensors, or tuples, lists and dicts of them: gradients are stopped and followed "
            "in these alone",
            f"return its tensors in a dict, and make the {kind} in the function that takes it",
        )


def not_scalar(graph: LossGraph, node: Value, result: Any) -> Iterator[Problem]:
    """Tell of energies and weights that are no single number."""
    number = is_tensor(result) and result.shape == () and result.is_floating_point()
    if not number:
        role = "energy" if isinstance(node, Energy) else "weight"
        dtype = f" of {result.dtype}" if is_tensor(result) else ""
        yield Problem(
            str(node.where),
            f"the {role} `{graph.names[node]}` has shape {describe(result)}{dtype}",
            "one floating-point number: shape ()",
            "take its mean or its sum",
        )
