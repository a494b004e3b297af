"""Who of those tested on is shown."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from ..data.pairs import Pairs


def of_each_class(pairs: Pairs, count: int, least: int = 1) -> Iterator[tuple[str, Tensor]]:
    """Yield the name of each class and the numbers (M,) of pairs of `count` people, if so many.

    Of each person it is the middle one: a sequence's weak pictures stand together, weakest first.
    Classes with fewer people than `least` are left out.
    """
    for label, name in enumerate(pairs.classes):
        of_class = pairs.label == label
        people = torch.unique(pairs.subject[of_class])[:count]
        shown = [(of_class & (pairs.subject == one)).nonzero().flatten() for one in people]
        if len(shown) >= least:
            yield name, torch.stack([each[len(each) // 2] for each in shown])
