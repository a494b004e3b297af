"""The motion between two photographs of a face, and the faces on the way.

Two photographs differ by how the head is held and by what the face does. The first is a similarity
(shift, turn, scale), fitted to what moves around the eyes; it is taken out. What is left is the
expression's motion, an optical flow: Lucas and Kanade (1981), iterated as Le Besnerais and
Champagnat (2005) do, scikit-image's `optical_flow_ilk`. Of the two flows that scikit-image has, it
is the one that keeps mouths whole: TV-L1 (Zach et al. 2007) tears them where teeth appear.

All places are (row, column) in units of the window, the square that is seen: from 0 to 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import grid_sample

import nvn

from .cropping import Box

RADIUS = 5  # of the neighborhood that moves alike, in pixels
REFINED = 5  # times that a place is followed back along the motion
REACH = 4  # sides of a window: what is farther from it is not looked at


@dataclass(frozen=True)
class Window:
    """A square of a photograph that can be looked at through any motion.

    Attributes:
        photo: The photograph, (3, H, W) from 0 to 1.
        top: The upper edge of the square, in the photograph's pixels.
        left: Its left edge.
        side: Its side.
    """

    photo: Tensor
    top: float
    left: float
    side: float

    def at(self, places: Tensor) -> Tensor:
        """Return the colors (3, M, N) at places (2, M, N); past its edges a photo goes on."""
        _, height, width = self.photo.shape
        rows = (self.top + places[0] * self.side) / height
        columns = (self.left + places[1] * self.side) / width
        return looked_up(self.photo, torch.stack([rows, columns]), "bicubic").clamp(0, 1)


def window(image: Image.Image, box: Box, side: int) -> Window:
    """Return the window of a box in a photograph, scaled so that its side is `side` pixels."""
    scale = side / box.side
    reach = math.ceil(REACH * box.side)
    if max(image.size) > 2 * reach + box.side:  # a thin photograph would be enlarged by far
        left, top = max(0, math.floor(box.left) - reach), max(0, math.floor(box.top) - reach)
        right, bottom = left + 2 * reach + box.side, top + 2 * reach + box.side
        near = (left, top, min(math.ceil(right), image.width), min(math.ceil(bottom), image.height))
        image, box = image.crop(near), Box(box.left - left, box.top - top, box.side)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    small = image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    photo = torch.from_numpy(np.array(small)).permute(2, 0, 1).float() / 255
    return Window(photo, box.top * scale, box.left * scale, side)


def grid(side: int) -> Tensor:
    """Return the places (2, side, side) of the pixels of a window, nothing moved."""
    middles = (torch.arange(side) + 0.5) / side
    return torch.stack(torch.meshgrid(middles, middles, indexing="ij"))


@dataclass(frozen=True)
class Pose:
    """A similarity of the plane: how a head is held, against another time.

    Attributes:
        matrix: From places (row, column, 1) to places, (2, 3).
    """

    matrix: Tensor

    def __call__(self, places: Tensor) -> Tensor:
        """Return where places (2, M, N) are then."""
        turned = torch.einsum("rc,cmn->rmn", self.matrix[:, :2], places)
        return turned + self.matrix[:, 2, None, None]


def flow(still: Tensor, moved: Tensor) -> Tensor:
    """Return the motion (2, N, N) from one picture (3, N, N) to another.

    What is at a place p of `still` is at p + flow(p) of `moved`.
    """
    find = _scikit_image("registration").optical_flow_ilk
    found = find(_gray(still), _gray(moved), radius=RADIUS, gaussian=True, prefilter=True)
    return torch.from_numpy(np.asarray(found, dtype=np.float32)) / still.shape[-1]


def head_pose(motion: Tensor, rigid: tuple[slice, slice]) -> Pose:
    """Return the similarity that most of a motion (2, N, N) agrees with.

    By random sample consensus (Fischler, Bolles 1981), with fixed samples.

    Args:
        motion: The motion.
        rigid: The rows and columns, in pixels, of the part of a face that expressions move least.
    """
    places = grid(motion.shape[-1])
    still, moved = (part[(slice(None), *rigid)] for part in (places, places + motion))
    points = tuple(part.flatten(1).T[::3].double().numpy() for part in (still, moved))
    fitted, _ = _scikit_image("measure").ransac(
        points,
        _scikit_image("transform").SimilarityTransform,
        min_samples=3,
        residual_threshold=1 / motion.shape[-1],
        rng=0,
    )
    return Pose(torch.from_numpy(fitted.params[:2]).float())


def before(places: Tensor, motion: Tensor, share: float) -> Tensor:
    """Return where what is at places (2, M, M) now was before a share of a motion (2, N, N)."""
    found = places
    for _ in range(REFINED):  # found + share · motion(found) = places
        found = places - share * looked_up(motion, found)
    return found


def looked_up(values: Tensor, places: Tensor, mode: str = "bilinear") -> Tensor:
    """Return the values of a picture (C, H, W) at places (2, M, N) across it: (C, M, N)."""
    where = 2 * places.flip(0).permute(1, 2, 0) - 1
    seen: Tensor = grid_sample(values[None], where[None], mode, "border", align_corners=False)
    return seen[0]


def _gray(picture: Tensor) -> Any:
    return torch.einsum("cij,c->ij", picture, torch.tensor([0.299, 0.587, 0.114])).numpy()


def _scikit_image(part: str) -> Any:
    return nvn.packages.needed(f"skimage.{part}", "the motion between photographs")
