"""Going back: one instruction, one call of autograd.

Besides the plain interpreter, the only place of the engine that asks autograd for gradients.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from nvn import pytree
from nvn.engine.frame import Bound, Frame, Gradients
from nvn.planner.instructions import Factor, Pull, Scale, Slot

Amount: TypeAlias = float | Tensor
Scaling: TypeAlias = float | Callable[[Frame], Amount]
"""What something is multiplied by: a number, or what a frame has to tell."""
Mixture: TypeAlias = tuple[Slot, list[tuple[Slot, Scaling]]]


def bound_pull(
    pull: Pull,
    parameters: Mapping[str, Sequence[nn.Parameter]],
    learn: Callable[[str, bool], None],
) -> Bound:
    """Return what runs a pull.

    Args:
        pull: The instruction.
        parameters: Each player's.
        learn: Lets a player's parameters require gradients, or not.
    """
    seeds = [(slot, _seeding(scaling(scale))) for slot, scale in pull.seeds]
    mixtures = [
        (slot, [(source, scaling(scale)) for source, scale in mixture])
        for slot, mixture in pull.cotangents
    ]
    players = [(name, parameters[name], scaling(scale)) for name, scale in pull.players]
    leaves, retain = pull.leaves, pull.retain

    def run(frame: Frame) -> None:
        slots = frame.slots
        ends: list[Tensor] = []
        given: list[Tensor] = []
        for slot, seed in seeds:
            energy = slots[slot]
            if energy.requires_grad:
                ends.append(energy)
                given.append(seed(energy, frame))
        for mixture in mixtures:
            _mix(mixture, frame, ends, given)
        starts: list[Tensor] = []
        for name, own, _ in players:
            learn(name, True)
            starts += own
        cuts = [[t for t in _tensors(slots[leaf]) if t.requires_grad] for leaf, _ in leaves]
        for cut in cuts:
            starts += cut
        found: Sequence[Tensor | None] = [None] * len(starts)
        if ends:
            found = torch.autograd.grad(ends, starts, given, retain_graph=retain, allow_unused=True)
        position = 0
        for name, own, scale in players:
            _add(frame, name, found[position : position + len(own)], scale)
            position += len(own)
        for (_, slot), cut in zip(leaves, cuts, strict=True):
            slots[slot] = found[position : position + len(cut)]
            position += len(cut)

    return run


def _seeding(scale: Scaling) -> Callable[[Tensor, Frame], Tensor]:
    """Return what makes the cotangent that a pass starts with at an energy."""
    if isinstance(scale, float):
        return _constant_seeding(scale)

    def varying(energy: Tensor, frame: Frame) -> Tensor:
        amount = scale(frame)
        if isinstance(amount, Tensor):
            return amount.to(energy.dtype)
        return torch.full_like(energy, amount, requires_grad=False)

    return varying


def _constant_seeding(number: float) -> Callable[[Tensor, Frame], Tensor]:
    kept: Tensor | None = None

    def constant(energy: Tensor, frame: Frame) -> Tensor:
        nonlocal kept
        if kept is None or kept.dtype is not energy.dtype or kept.device != energy.device:
            kept = torch.full_like(energy, number, requires_grad=False)
        return kept

    return constant


def _mix(mixture: Mixture, frame: Frame, ends: list[Tensor], given: list[Tensor]) -> None:
    """Add what passes go on with at a value: its leaves' cotangents, weighed and added up."""
    slot, sources = mixture
    floating = [t for t in _tensors(frame.slots[slot]) if can_learn(t)]
    totals: Gradients = [None] * len(floating)
    for source, scale in sources:
        amount = amount_of(scale, frame)
        for i, cotangent in enumerate(frame.slots[source]):
            totals[i] = _plus(totals[i], cotangent, amount)
    for tensor, total in zip(floating, totals, strict=True):
        if total is not None and tensor.requires_grad:
            ends.append(tensor)
            given.append(total)


def _add(frame: Frame, name: str, found: Sequence[Tensor | None], scale: Scaling) -> None:
    """Add what a pass found to a player's gradient."""
    before = frame.gradients.get(name)
    if before is None and scale == 1.0:
        frame.gradients[name] = list(found)
        return
    amount = amount_of(scale, frame)
    pairs = zip(before or [None] * len(found), found, strict=True)
    frame.gradients[name] = [_plus(total, gradient, amount) for total, gradient in pairs]


def _plus(total: Tensor | None, part: Tensor | None, amount: Amount) -> Tensor | None:
    if part is None:
        return total
    if isinstance(amount, Tensor):
        part = part * amount.to(part.dtype)
    elif amount != 1.0:
        part = part * amount
    return part if total is None else total + part


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    return [leaf for leaf in pytree.leaves(value) if isinstance(leaf, Tensor)]


def can_learn(leaf: Tensor) -> bool:
    """Tell whether a gradient can be taken with respect to a tensor."""
    return leaf.is_floating_point() or leaf.is_complex()


# --- what things are multiplied by --------------------------------------------------------------


def scaling(scale: Scale) -> Scaling:
    """Return what a sum of factors is: a number, where it does not vary."""
    if not any(factor.functions or factor.slots for factor in scale):
        return float(sum(factor.number for factor in scale))

    def varying(frame: Frame) -> Amount:
        total = _product(scale[0], frame)
        for factor in scale[1:]:
            total = total + _product(factor, frame)
        return total

    return varying


def amount_of(scale: Scaling, frame: Frame) -> Amount:
    """Return a scaling's value in this iteration."""
    return scale if isinstance(scale, float) else scale(frame)


def _product(factor: Factor, frame: Frame) -> Amount:
    number = number_of(factor, frame.point.step)
    if not factor.slots:
        return number
    product: Tensor = frame.slots[factor.slots[0]]
    for slot in factor.slots[1:]:
        product = product * frame.slots[slot]
    return product if number == 1.0 else product * number


def number_of(factor: Factor, step: int) -> float:
    """Return the part of a factor that is a number, in an iteration."""
    if not factor.functions:
        return factor.number
    return math.prod((float(fn(step)) for fn in factor.functions), start=factor.number)
