"""What a written-out loop calls (nvn/planner/emit.py), besides the modules and torch.

These functions stand by themselves: they use torch and one another, and nothing of nvn. So a loop
that is ejected takes the very functions along that the engine runs, as source.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn


class NoPathError(RuntimeError):
    """A gradient is asked for along no path."""


def tensors(value: Any) -> list[Tensor]:
    """Return the tensors of a value: itself, or those in its tuples, lists and dicts."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, tuple | list):
        return []
    return [tensor for branch in value for tensor in tensors(branch)]


def mapped(fn: Callable[[Tensor], Tensor], value: Any) -> Any:
    """Return a value with `fn` applied to each of its tensors."""
    if isinstance(value, Tensor):
        return fn(value)
    if isinstance(value, dict):
        branches = {key: mapped(fn, branch) for key, branch in value.items()}
        if type(value) is dict:
            return branches
        try:
            return type(value)(branches)
        except TypeError:  # its constructor wants something else: a plain dict keeps the keys
            return branches
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(mapped(fn, branch) for branch in value))
    if isinstance(value, tuple | list):
        return type(value)(mapped(fn, branch) for branch in value)
    return value


def can_learn(tensor: Tensor) -> bool:
    """Tell whether a gradient can be taken with respect to a tensor."""
    return tensor.is_floating_point() or tensor.is_complex()


def detached(value: Any) -> Any:
    """Return a value as a constant."""
    return mapped(Tensor.detach, value)


def leaf(value: Any) -> Any:
    """Return a value as a leaf of autograd's graph, where a gradient can be taken of it."""
    return mapped(lambda t: t.detach().requires_grad_() if can_learn(t) else t, value)


def alias(value: Any) -> Any:
    """Return a value as a tensor of its own, graph included, to differentiate by.

    As a tensor of its own: a module's other outputs may be made from this one inside the module,
    and a gradient with respect to it follows the game's values, not what goes on in a module.
    """
    return mapped(lambda t: t.view_as(t) if t.requires_grad else t.detach().requires_grad_(), value)


def filled(energy: Tensor, amount: float | Tensor) -> Tensor:
    """Return what a backward pass starts with at an energy that is weighed by `amount`."""
    if isinstance(amount, Tensor):
        return amount.to(energy.dtype)
    return torch.full_like(energy, amount, requires_grad=False)


def backward(
    outputs: Sequence[Any],
    cotangents: Sequence[Any],
    into: Sequence[nn.Parameter] | None = None,
    *,
    retain_graph: bool = False,
    filled: Callable[[Tensor, float | Tensor], Tensor] = filled,
) -> None:
    """Add vector–Jacobian products of outputs to the `.grad` of parameters: one call of autograd.

    Args:
        outputs: Energies (scalars), and values of any form.
        cotangents: What each starts with: a number or a scalar tensor for an energy; for a value,
            a list with a tensor, or None, for each of its tensors that gradients can be taken of.
        into: The parameters; all that require gradients, if None.
        retain_graph: Whether another pass goes through the same graph.
        filled: Makes what a pass starts with at an energy.
    """
    ends, given = started(outputs, cotangents, filled)
    if ends:
        torch.autograd.backward(ends, given, retain_graph=retain_graph, inputs=into)


def vjp(
    outputs: Sequence[Any],
    cotangents: Sequence[Any],
    into: Sequence[nn.Parameter],
    parameters: Sequence[Sequence[nn.Parameter]],
    leaves: Sequence[Any] = (),
    *,
    retain_graph: bool = False,
    filled: Callable[[Tensor, float | Tensor], Tensor] = filled,
) -> list[list[Tensor | None]]:
    """Return vector–Jacobian products of outputs by leaves, and by parameters to be scaled.

    As `backward`, with what is returned besides: for each group of `parameters`, and then for each
    leaf (a value of any form), the gradient of each of its tensors; None where the outputs do not
    depend on it.
    """
    ends, given = started(outputs, cotangents, filled)
    groups = [*parameters, *([t for t in tensors(x) if t.requires_grad] for x in leaves)]
    starts = [tensor for group in groups for tensor in group]
    found: Sequence[Tensor | None] = [None] * len(starts)
    if ends and parameters:
        every = [*into, *starts]
        slopes = torch.autograd.grad(
            ends, every, given, retain_graph=retain_graph, allow_unused=True
        )
        for parameter, slope in zip(into, slopes, strict=False):
            if slope is not None:
                add_grad(parameter, slope)
        found = slopes[len(into) :]
    elif ends:  # leaves are nobody's: their `.grad` is free
        torch.autograd.backward(ends, given, retain_graph=retain_graph, inputs=[*into, *starts])
        found = [tensor.grad for tensor in starts]
        for tensor in starts:
            tensor.grad = None
    parts, position = [], 0
    for group in groups:
        parts.append([*found[position : position + len(group)]])
        position += len(group)
    return parts


def started(
    outputs: Sequence[Any],
    cotangents: Sequence[Any],
    filled: Callable[[Tensor, float | Tensor], Tensor],
) -> tuple[list[Tensor], list[Tensor]]:
    """Return the tensors that a pass starts from, and what it starts with at each."""
    ends: list[Tensor] = []
    given: list[Tensor] = []
    for output, cotangent in zip(outputs, cotangents, strict=True):
        if type(cotangent) is list:
            floating = (t for t in tensors(output) if can_learn(t))
            for tensor, part in zip(floating, cotangent, strict=True):
                if part is not None and tensor.requires_grad:
                    ends.append(tensor)
                    given.append(part)
        elif output.requires_grad:  # not where a module has detached what it was given
            ends.append(output)
            given.append(filled(output, cotangent))
    return ends, given


def add_grad(parameter: nn.Parameter, gradient: Tensor) -> None:
    """Add to a parameter's `.grad`, laid out like the parameter and in memory of its own.

    As `backward` does: torch.autograd.grad may return views (expanded, transposed) and the same
    tensor twice, but fused optimizers read memory as it lies, and clipping works in place.
    """
    if parameter.grad is not None:
        parameter.grad = parameter.grad + gradient
    elif gradient.is_sparse:
        parameter.grad = gradient
    else:
        parameter.grad = torch.empty_like(parameter).copy_(gradient)


def total(*parts: tuple[float | Tensor, Sequence[Tensor | None]]) -> list[Tensor | None]:
    """Return the weighted sum of cotangents of one value: what a pass goes on from there with."""
    summed: list[Tensor | None] | None = None
    for scale, part in parts:
        summed = accumulate(summed, scale, part)
    return summed or []


def accumulate(
    before: Sequence[Tensor | None] | None, scale: float | Tensor, part: Sequence[Tensor | None]
) -> list[Tensor | None]:
    """Return `before` + `scale` · `part`, tensor by tensor; None counts as nothing."""
    return [plus(a, scale, b) for a, b in zip(before or [None] * len(part), part, strict=True)]


def plus(before: Tensor | None, scale: float | Tensor, part: Tensor | None) -> Tensor | None:
    """Return `before` + `scale` · `part`."""
    if part is None:
        return before
    if isinstance(scale, Tensor):
        part = part * scale.to(part.dtype)
    elif scale != 1.0:
        part = part * scale
    return part if before is None else before + part


def gradient(y: Tensor, xs: Sequence[Tensor], *, create_graph: bool) -> tuple[Tensor, ...]:
    """Return ∂(sum of y)/∂x for each of `xs`, by one call of autograd.

    Raises:
        NoPathError: y was not computed from one of them.
    """
    found: Sequence[Tensor | None] = [None]
    if y.requires_grad:
        found = torch.autograd.grad(
            y.sum(), xs, retain_graph=True, create_graph=create_graph, allow_unused=True
        )
    gradients = tuple(slope for slope in found if slope is not None)
    if len(gradients) < len(xs):
        raise NoPathError(
            "the gradient of y with respect to x is asked for, but y was not computed from x: a "
            "module ignores this input, or detaches it"
        )
    return gradients


def assign(
    parameters: Sequence[nn.Parameter],
    gradients: Sequence[Tensor | None],
    strides: Sequence[tuple[int, ...]] | None = None,
) -> None:
    """Give each parameter its gradient as `backward` would: laid out like it, and its own.

    torch.autograd.grad may return views (expanded, transposed) and the same tensor twice. Fused
    optimizers read memory as it lies; clipping in place would scale a shared tensor twice.

    Args:
        parameters: The parameters.
        gradients: One for each.
        strides: How the parameters lie in memory, if that has been looked up already.
    """
    strides = strides or [parameter.stride() for parameter in parameters]
    seen: set[int] = set()
    for parameter, gradient, layout in zip(parameters, gradients, strides, strict=True):
        if gradient is not None and not gradient.is_sparse:
            memory = gradient.data_ptr()
            if gradient.stride() != layout or memory in seen:
                gradient = torch.empty_like(parameter).copy_(gradient)
            seen.add(memory)
        parameter.grad = gradient


def recorded(value: Tensor) -> Tensor:
    """Return a number for the record: a constant that shares no memory with a parameter."""
    if value.is_leaf or value._is_view():  # it may be a parameter, which steps later
        return value.detach().clone()
    return value.detach()


# --- modules ----------------------------------------------------------------------------------

Place = tuple[nn.Module, str]  # a submodule and the name of one of its buffers
Buffers = dict[Place, Tensor | None]


def places_of(module: nn.Module) -> tuple[Place, ...]:
    """Return where a module has buffers, also where one is None so far."""
    return tuple((part, name) for part in module.modules() for name in buffer_names(part))


def buffer_names(part: nn.Module) -> Iterable[str]:
    """Return the names of the buffers of a part of a module, without those of its parts."""
    if isinstance(part, torch.jit.ScriptModule):  # its buffers are no dict
        return [name for name, _ in part.named_buffers(recurse=False, remove_duplicate=False)]
    return part._buffers


def buffers_at(places: Iterable[Place]) -> Buffers:
    """Return the buffers that are there now."""
    return {(owner, name): getattr(owner, name) for owner, name in places}


class evaluating:
    """Runs a module in eval mode; each submodule's own mode is restored."""

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._before = [(part, part.training) for part in module.modules()]

    def __enter__(self) -> None:
        self._module.eval()

    def __exit__(self, *_: object) -> None:
        for part, training in self._before:
            part.training = training


class on_copies:
    """Lets modules work on copies of their buffers, or of others; their own stay as they are.

    Its value is a dict that holds, afterwards, what the copies have become.
    """

    def __init__(self, places: Sequence[Place], buffers: Buffers | None = None) -> None:
        self._own = buffers_at(places)
        self._copies = copied(self._own if buffers is None else buffers)
        self._became: Buffers = {}

    def __enter__(self) -> Buffers:
        put(self._copies)
        return self._became

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._became.update(buffers_at(self._own))
        finally:
            put(self._own)


def commit(places: Sequence[Place], buffers: Buffers) -> None:
    """Let modules' buffers become what copies of them have become."""
    overwrite(buffers_at(places), buffers)


def put(buffers: Buffers) -> None:
    """Give modules these buffers."""
    for (owner, name), buffer in buffers.items():
        setattr(owner, name, buffer)


def copied(buffers: Buffers) -> Buffers:
    """Copy buffers: what was one tensor is one copy, views of one memory are so again."""
    distinct = {id(b): b for b in buffers.values() if b is not None}
    shared = Counter(b.untyped_storage().data_ptr() for b in distinct.values())
    memories: dict[int, torch.UntypedStorage] = {}
    copies: dict[int, Tensor] = {}
    for key, buffer in distinct.items():
        memory = buffer.untyped_storage().data_ptr()
        if buffer.is_contiguous() and (shared[memory] == 1 or not memory):
            copies[key] = buffer.detach().clone()
            continue
        if memory not in memories:
            memories[memory] = buffer.untyped_storage().clone()  # type: ignore[no-untyped-call]
        copy = torch.empty(0, dtype=buffer.dtype, device=buffer.device)
        place = (buffer.storage_offset(), buffer.shape, buffer.stride())
        copies[key] = copy.set_(memories[memory], *place)
    return {place: None if b is None else copies[id(b)] for place, b in buffers.items()}


def overwrite(buffers: Buffers, new: Buffers) -> None:
    """Let buffers become what others are now, in place where that can be."""
    with torch.no_grad():
        for (owner, name), buffer in buffers.items():
            value = new[owner, name]
            if buffer is None or value is None:
                setattr(owner, name, value)
                continue
            if buffer.shape != value.shape:
                buffer.resize_(value.shape)  # a buffer that grows, such as a queue being filled
            in_memory(buffer).copy_(in_memory(value))


def in_memory(buffer: Tensor) -> Tensor:
    """Return the part of an expanded tensor that is in memory, which can be written to."""
    if 0 not in buffer.stride():
        return buffer
    return buffer[tuple(slice(0, 1) if step == 0 else slice(None) for step in buffer.stride())]
