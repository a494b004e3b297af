"""Who is tested on, and who of them is shown."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from ..data.pairs import Pairs


def examples(pairs: Pairs, label: int, count: int) -> Tensor:
    """Return the numbers (M,) of `count` pairs of a class: of as many people, the middle one each.

    A sequence's weak pictures stand together, weakest first. There may be fewer people, or none.
    """
    shown = []
    for subject in torch.unique(pairs.subject[pairs.label == label]).tolist()[:count]:
        of_one = ((pairs.label == label) & (pairs.subject == subject)).nonzero().flatten()
        shown.append(of_one[len(of_one) // 2])
    return torch.stack(shown) if shown else torch.empty(0, dtype=torch.long)


def of_each_class(pairs: Pairs, count: int, least: int = 1) -> Iterator[tuple[str, Tensor]]:
    """Yield the name of each class and `examples` of it; not of those with fewer than `least`."""
    for label, name in enumerate(pairs.classes):
        chosen = examples(pairs, label, count)
        if len(chosen) >= least:
            yield name, chosen
