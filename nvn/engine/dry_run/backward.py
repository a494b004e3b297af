"""What a node's backward pass does: whether it is linear, and whether it computes forward again."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nvn.engine.dry_run.inspection import dense
from nvn.engine.runtime import buffers_at, places_of

# Powers of two, so that only what is not linear shows, not rounding. What is clipped to less than
# the gradients that come up in training shows at one of these sizes.
_SIZES = (2.0**-20, 2.0**10)
_CLOSE = 0.05  # of the largest: bfloat16 keeps two or three digits


def is_linear(outputs: Sequence[Tensor], inputs: Sequence[Tensor]) -> bool:
    """Whether the gradients with respect to inputs are linear in those with respect to outputs.

    A hook that clips, or a backward of its own, may not be: then a pass for two players is not
    the sum of theirs, nor a pass taken twice the pass of twice as much.
    """
    generators = {x.device: torch.Generator(x.device).manual_seed(0) for x in outputs}
    one, other = (
        [
            torch.randn(x.shape, dtype=x.dtype, device=x.device, generator=generators[x.device])
            for x in outputs
        ]
        for _ in range(2)
    )

    def back(cotangents: Sequence[Tensor]) -> list[Tensor | None]:
        return [
            *torch.autograd.grad(outputs, inputs, cotangents, retain_graph=True, allow_unused=True)
        ]

    first = back(one)
    both = back([x + y for x, y in zip(one, other, strict=True)])
    if not _equal(both, [_sum(x, y) for x, y in zip(first, back(other), strict=True)]):
        return False
    return all(
        _equal(back([size * x for x in one]), [None if g is None else size * g for g in first])
        for size in _SIZES
    )


def computes_again(module: nn.Module, outputs: Sequence[Tensor], inputs: Sequence[Tensor]) -> bool:
    """Whether a backward pass changes a module's buffers: activation checkpointing does, say."""
    before = [
        (b, None if b is None else b._version) for b in buffers_at(places_of(module)).values()
    ]
    torch.autograd.grad(
        outputs, inputs, [torch.ones_like(x) for x in outputs], retain_graph=True, allow_unused=True
    )
    now = buffers_at(places_of(module)).values()
    return any(
        b is not was or (b is not None and b._version != version)
        for b, (was, version) in zip(now, before, strict=True)
    )


def _sum(x: Tensor | None, y: Tensor | None) -> Tensor | None:
    return y if x is None else x if y is None else x + y


def _equal(found: Sequence[Tensor | None], expected: Sequence[Tensor | None]) -> bool:
    """Whether gradients are close, as compared with the largest of all.

    Some may be nothing but rounding: that of a bias before a BatchNorm. Where they are not finite,
    nothing is known.
    """
    pairs = [
        (dense(x), dense(y))
        for x, y in zip(found, expected, strict=True)
        if x is not None and y is not None and y.numel()
    ]
    largest = max((float(y.abs().max()) for _, y in pairs), default=0.0)
    return not any(float((x - y).abs().max()) > _CLOSE * largest for x, y in pairs)
