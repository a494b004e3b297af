"""Which triangle is seen at each pixel: a z-buffer in plain tensor operations.

Letters: N frames, V vertices, T triangles, R×R pixels, M triangles in play, B side of a box.

Corners are snapped to a sixteenth of a pixel, so that the edge functions are small integers, exact
in float32: neighboring triangles leave no hole. Depth and triangle are packed into one integer and
reduced by minimum, which does not depend on the order of the candidates: the same input gives the
same picture on any number of threads, and on a GPU.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

SNAP = 16  # sub-pixel steps
DEPTH_STEPS = 1 << 20
SIDES = (1, 2, 3, 4, 5, 6, 8, 10, 13, 17, 22, 30, 48, 96, 192, 384, 768)  # boxes, by bucket
BLOCK = 1 << 18  # candidates at once: they should stay in the cache


@dataclass(frozen=True)
class Corners:
    """Triangles in play: x, y (in sixteenths of a pixel) and depth of their corners, each (M,)."""

    x: tuple[Tensor, Tensor, Tensor]
    y: tuple[Tensor, Tensor, Tensor]
    z: tuple[Tensor, Tensor, Tensor]

    def take(self, chosen: Tensor) -> "Corners":
        """Some of them."""
        x, y, z = ([c.index_select(0, chosen) for c in axis] for axis in (self.x, self.y, self.z))
        return Corners((x[0], x[1], x[2]), (y[0], y[1], y[2]), (z[0], z[1], z[2]))

    def area(self) -> Tensor:
        """Twice the area (M,), positive if counterclockwise as seen (y points down here)."""
        (x0, x1, x2), (y0, y1, y2) = self.x, self.y
        return (x2 - x0) * (y1 - y0) - (x1 - x0) * (y2 - y0)

    def pixels(self, size: int) -> tuple[Tensor, Tensor, Tensor]:
        """First column, first row, longer side (M,) of the box of pixels with centers in reach."""
        first, length = [], []
        for axis in (self.x, self.y):
            low = torch.minimum(torch.minimum(axis[0], axis[1]), axis[2])
            high = torch.maximum(torch.maximum(axis[0], axis[1]), axis[2])
            start = ((low - SNAP / 2) / SNAP).ceil_().clamp_(min=0)
            stop = ((high - SNAP / 2) / SNAP).floor_().clamp_(max=size - 1)
            first.append(start)
            length.append((stop - start + 1).clamp_(min=0))
        side = torch.where(length[0] * length[1] > 0, torch.maximum(*length), 0)
        return first[0], first[1], side


def rasterize(screen: Tensor, triangles: Tensor, size: int) -> Tensor:
    """The visible triangle at each pixel, (N, R, R) int64, -1 where there is none.

    screen: (V, 3, N), x and y in pixels (y down; the first pixel's center is at 0.5), z in 0..1
    with 0 nearest. triangles: (T, 3), counterclockwise when seen from in front; others are culled.
    """
    count, frames = len(triangles), screen.shape[2]
    corners = _gather(screen, triangles)
    column, row, side = corners.pixels(size)
    side = torch.where(corners.area() > 0, side, 0)
    nearest = torch.full((frames * size * size,), DEPTH_STEPS * count, device=screen.device)
    for box, chosen in _buckets(side):
        picked = corners.take(chosen)
        place, depth, which = _covered(picked, column[chosen], row[chosen], box, size)
        owner = chosen[which]
        place += (owner % frames) * (size * size)
        key = depth * count + owner // frames
        nearest.scatter_reduce_(0, place, key, "amin")
    seen = torch.where(nearest < DEPTH_STEPS * count, nearest % count, -1)
    return seen.view(frames, size, size)


def _gather(screen: Tensor, triangles: Tensor) -> Corners:
    """All triangles of all frames, M = T·N with the frames fastest."""
    snapped = (screen[:, :2] * SNAP).round_()

    def corner(values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        a, b, c = (values.index_select(0, triangles[:, k]).flatten() for k in range(3))
        return a, b, c

    return Corners(corner(snapped[:, 0]), corner(snapped[:, 1]), corner(screen[:, 2]))


def _buckets(side: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Triangles (M,) of like size, as (side of the box, indices), in blocks that fit the cache."""
    visible = side.nonzero().flatten()
    side = side[visible]
    smaller = 0
    for box in SIDES:
        chosen = visible[(side > smaller) & (side <= box)]
        for block in torch.split(chosen, max(1, BLOCK // box**2)):
            if len(block) > 0:
                yield box, block
        smaller = box


def _covered(
    corners: Corners, column: Tensor, row: Tensor, box: int, size: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Pixels covered by triangles: place in the picture, quantized depth, triangle; each (P,)."""
    step = torch.arange(box, device=column.device)
    across, down = (column[:, None] + step), (row[:, None] + step)  # (M, B)
    least: Tensor | None = None
    edges = []
    for k in range(3):
        a, b = (k + 1) % 3, (k + 2) % 3
        slope_x, slope_y = corners.y[b] - corners.y[a], corners.x[a] - corners.x[b]
        along = slope_x[:, None] * (across * SNAP + (SNAP / 2 - corners.x[a][:, None]))
        aside = slope_y[:, None] * (down * SNAP + (SNAP / 2 - corners.y[a][:, None]))
        if k == 0:  # the box may reach over the right and lower border of the picture
            along = torch.where(across < size, along, -torch.inf)
            aside = torch.where(down < size, aside, -torch.inf)
        edges.append(along[:, None, :] + aside[:, :, None])  # (M, B, B)
        least = edges[k] if least is None else torch.minimum(least, edges[k])
    assert least is not None
    inside = (least >= 0).flatten().nonzero().flatten()
    which = inside // (box * box)
    within = inside % (box * box)
    shares = [edge.flatten()[inside] for edge in edges]
    depth = sum(share * corners.z[k][which] for k, share in enumerate(shares))
    depth = depth / (shares[0] + shares[1] + shares[2])
    start = (row * size + column).long()
    offset = (step[:, None] * size + step).flatten()
    level = (depth.clamp(0, 1) * (DEPTH_STEPS - 1)).long()
    return start[which] + offset[within], level, which
