"""The motion of a face, from landmarks: a thin plate that bends as little as it can.

Bookstein (1989), "Principal warps: thin-plate splines and the decomposition of deformations", with
Wahba's (1990) smoothing: what is known at a few places is wrong by a little, and some of it by far.

The landmarks are those of Psychomorph and WebMorph templates, which the London set comes with. All
places are (row, column) in units of the window, from 0 to 1.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

import nvn

from . import files
from .reading import UnreadableError

LONGEST = 1 << 16  # bytes of a template, at most
FEWEST = 3  # landmarks that a plate can lie on
SMOOTHING = 4e-3  # of the plate, in units of the window; see `plate`
ANCHORS = 9  # along each edge of a window, which stays where it is


def template(photograph: Path) -> Path:
    """Return where the landmarks of a photograph are: beside it."""
    return photograph.with_suffix(".tem")


def landmarks(file: Path) -> Tensor:
    """Return the places (row, column) of a template in its photograph's pixels, (K, 2) float64.

    A template is a text: how many landmarks there are, and of each, in a line, x and y. What
    follows says which of them are joined by lines.

    Raises:
        UnreadableError: If it is missing, or no such text.
    """
    try:
        count, *rest = files.text(file, "landmarks", LONGEST).splitlines()
        rows = [[float(number) for number in line.split()] for line in rest[: int(count)]]
        places = torch.tensor(rows, dtype=torch.float64)
        if places.shape != (int(count), 2) or not places.isfinite().all():
            raise ValueError(f"{count} lines of x and y are expected")
        if len(places) < FEWEST:
            raise ValueError(f"{len(places)} landmarks are not enough")
    except (nvn.DataError, ValueError) as error:
        raise UnreadableError(file, nvn.DataError(str(error))) from error
    return places.flip(1)


def plate(places: Tensor, values: Tensor, smoothing: float) -> tuple[Tensor, Tensor]:
    """Return the thin plate through values (K, V) at places (K, 2): weights (K, V), plane (3, V).

    Args:
        places: Where values are known; some may coincide.
        values: What is known there.
        smoothing: How much is given up of the values for a plate that bends less. At 0 they are
            met, and then no two places may coincide.
    """
    count = len(places)
    flat = torch.cat([torch.ones(count, 1, dtype=places.dtype), places], dim=1)
    bent = bending(places, places) + smoothing * torch.eye(count, dtype=places.dtype)
    system = torch.cat(
        [
            torch.cat([bent, flat], dim=1),
            torch.cat([flat.T, torch.zeros(3, 3, dtype=places.dtype)], dim=1),
        ]
    )
    known = torch.cat([values, torch.zeros(3, values.shape[1], dtype=values.dtype)])
    solved: Tensor = torch.linalg.solve(system, known)
    return solved[:count], solved[count:]


def bending(places: Tensor, others: Tensor) -> Tensor:
    """Return r² log r of the distances r between places (M, 2) and others (K, 2): (M, K)."""
    square: Tensor = (places[:, None] - others).square().sum(dim=2)
    bent: Tensor = torch.special.xlogy(square, square) / 2
    return bent


def spread(places: Tensor, motion: Tensor, side: int) -> Tensor:
    """Return the motion (2, side, side) of a window of which that of some places is known.

    The window's edges stay where they are.

    Args:
        places: Where it is known, (K, 2); those outside of the window are passed over.
        motion: What is known of it, (K, 2).
        side: The side of the answer, in pixels.
    """
    inside = ((places > 0) & (places < 1)).all(dim=1)
    edge = _edge()
    known = torch.cat([places[inside], edge])
    values = torch.cat([motion[inside], torch.zeros_like(edge)])
    weights, plane = plate(known, values, SMOOTHING)
    middles = (torch.arange(side, dtype=places.dtype) + 0.5) / side
    asked = torch.cartesian_prod(middles, middles)
    found = bending(asked, known) @ weights + plane[0] + asked @ plane[1:]
    return found.T.reshape(2, side, side).float()


def _edge() -> Tensor:
    """Places along the edges of a window, (4·(ANCHORS − 1), 2)."""
    along = torch.linspace(0, 1, ANCHORS, dtype=torch.float64)
    whole = torch.cartesian_prod(along, along)
    return whole[((whole == 0) | (whole == 1)).any(dim=1)]
