"""Which drawings are nearly the same: one tested on must not have been learned from its twin."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import adaptive_max_pool2d

import nvn

GRID = 32  # cells a side on which drawings are compared, so that a pixel's shift does not matter
ALIKE = 0.6  # intersection over union of the inked cells
ROWS = 512  # compared at once with all others


def merge_alike(pictures: Tensor, group: Tensor, limit: float = ALIKE) -> Tensor:
    """Join groups that hold drawings alike: groups (N,) int64, numbered anew from 0.

    Two drawings are alike if the intersection over union of their inked cells, on a grid of 32 by
    32, is above `limit`, as they are or with one of them mirrored. Likeness is passed on: if a is
    like b and b like c, all three stand together. The work grows with the square of N.

    Args:
        pictures: The drawings, (N, 1, S, S) uint8: ink 0, paper 255.
        group: Groups known before, (N,) int64.
        limit: From what on drawings are alike, between 0 and 1.
    """
    known, group = torch.unique(group, return_inverse=True)
    return _joined(group[_alike(pictures, limit)], len(known))[group]


def _alike(pictures: Tensor, limit: float) -> Tensor:
    """The pairs of drawings that are alike, (2, P) int64."""
    inked = adaptive_max_pool2d((pictures < 128).float(), GRID)
    plain, mirrored = inked.flatten(1), inked.flip(3).flatten(1)
    amount = plain.sum(1)
    found = []
    with nvn.progress("comparing drawings", total=len(plain)) as bar:
        for start in range(0, len(plain), ROWS):
            rows = slice(start, start + ROWS)
            both = torch.maximum(plain[rows] @ plain.T, plain[rows] @ mirrored.T)
            either = (amount[rows, None] + amount - both).clamp(min=1)
            pairs = (both / either > limit).nonzero().T
            pairs[0] += start
            found.append(pairs[:, pairs[0] < pairs[1]])
            bar.advance(len(plain[rows]))
    return torch.cat(found, 1) if found else torch.empty(2, 0, dtype=torch.int64)


def _joined(edges: Tensor, nodes: int) -> Tensor:
    """The connected part that each node is in, (nodes,), numbered from 0; edges (2, P)."""
    least = torch.arange(nodes)
    ends, others = torch.cat([edges, edges.flip(0)], 1)
    while True:
        lower = least.scatter_reduce(0, ends, least[others], "amin")
        if torch.equal(lower, least):
            part: Tensor = torch.unique(least, return_inverse=True)[1]
            return part
        least = lower[lower]
