"""Which square of a photograph is seen: all of it, its middle, or the face."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from threading import local
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

import nvn

Crop: TypeAlias = Literal["whole", "center", "face"]

MARGIN = 1.1  # side of the square seen, as a multiple of the face that was found
LOWER = 0.03  # of the face found: the square lies so much lower, for the chin
SEARCHED = 240  # the shorter side that faces are searched at, in pixels
SMALLEST = 48  # face found, in pixels of that
LONGEST = 8  # times as long as wide is what is searched so: more of a thin picture, less finely
GRAY = (128, 128, 128)  # beyond the edges: maps to 0 after normalization


@dataclass(frozen=True)
class Box:
    """A square of a photograph, in its pixels; it may reach beyond the edges.

    Attributes:
        left: Its left edge.
        top: Its upper edge.
        side: Its side.
    """

    left: float
    top: float
    side: float

    def cut(self, image: Image.Image, side: int) -> Tensor:
        """Return what is in the box, (3, side, side) uint8; beyond the edges it is gray."""
        beyond = max(
            0.0,
            -self.left,
            -self.top,
            self.left + self.side - image.width,
            self.top + self.side - image.height,
        )
        fewer = int(self.side / (4 * side)) if beyond else 1
        if fewer > 1:  # the borders of a thin picture would be many times as large as it is
            small = Box(self.left / fewer, self.top / fewer, self.side / fewer)
            return small.cut(image.reduce(fewer), side)
        border = int(np.ceil(beyond))
        if border:
            image = ImageOps.expand(image, border, fill=GRAY)
        left, top = self.left + border, self.top + border
        corners = (left, top, left + self.side, top + self.side)
        seen = image.resize((side, side), Image.Resampling.LANCZOS, box=corners, reducing_gap=3.0)
        return torch.from_numpy(np.array(seen)).permute(2, 0, 1)


def whole(image: Image.Image) -> Box:
    """Return the square around all of an image: nothing is squeezed, there are borders instead."""
    side = max(image.size)
    return Box((image.width - side) / 2, (image.height - side) / 2, side)


def center(image: Image.Image) -> Box:
    """Return the largest square in the middle of an image."""
    side = min(image.size)
    return Box((image.width - side) / 2, (image.height - side) / 2, side)


def around(face: Box, image: Image.Image) -> Box:
    """Return the square seen of a face: MARGIN times as large, moved to lie inside the image."""
    side = min(face.side * MARGIN, *image.size)
    left = face.left + (face.side - side) / 2
    top = face.top + (face.side - side) / 2 + LOWER * face.side
    return Box(min(max(left, 0), image.width - side), min(max(top, 0), image.height - side), side)


class FaceFinder:
    """Finds faces seen from the front, by scikit-image's cascade of local binary patterns.

    Ahonen, Hadid, Pietikäinen (2006) for the patterns, Viola, Jones (2001) for the cascade. It
    tells where a face is, not how it is tilted: crops are not turned upright.

    Raises:
        ConfigError: When the first face is looked for, if scikit-image is missing.
    """

    def __init__(self) -> None:
        self._of_thread = local()

    def find(self, image: Image.Image) -> Box | None:
        """Return the face that is largest and nearest to the middle, or None if there is none."""
        longest = max(image.size) / min(image.size)
        scale = min(image.size) / SEARCHED * max(1.0, longest / LONGEST) ** 0.5
        size = (round(image.width / scale), round(image.height / scale))
        if min(size) < SMALLEST:
            return None
        small = np.asarray(image.convert("L").resize(size, Image.Resampling.BILINEAR))
        found = self._cascade.detect_multi_scale(
            img=small, scale_factor=1.1, step_ratio=1, min_size=(SMALLEST,) * 2, max_size=size[::-1]
        )
        if not found:
            return None
        best = max(found, key=lambda one: _worth(one, size))
        return Box(best["c"] * scale, best["r"] * scale, best["width"] * scale)

    @property
    def _cascade(self) -> Any:
        """The cascade of this thread: nothing says that threads may share one."""
        if not hasattr(self._of_thread, "cascade"):
            self._of_thread.cascade = _new_cascade()
        return self._of_thread.cascade


def _worth(found: dict[str, int], size: tuple[int, int]) -> float:
    """A face's side, less half its distance from the middle: small ones in corners lose."""
    half = found["width"] / 2
    distance = np.hypot(found["c"] + half - size[0] / 2, found["r"] + half - size[1] / 2)
    return found["width"] - float(distance) / 2


@dataclass(frozen=True)
class Cropper:
    """Chooses the square of a photograph that is seen.

    Attributes:
        crop: All of it, the middle, or the face; where there is no face, the middle.
    """

    crop: Crop

    def choose(self, image: Image.Image) -> tuple[Box, bool]:
        """Return the square, and whether it is what was asked for."""
        return self.given(image, self.finder.find(image) if self.crop == "face" else None)

    def given(self, image: Image.Image, face: Box | None) -> tuple[Box, bool]:
        """Return the same, where it is known already which face was found, if any."""
        if self.crop == "whole":
            return whole(image), True
        if self.crop == "center":
            return center(image), True
        return (center(image), False) if face is None else (around(face, image), True)

    @cached_property
    def finder(self) -> FaceFinder:
        """What finds the faces."""
        return FaceFinder()


def _new_cascade() -> Any:
    data, feature = (
        nvn.packages.needed(f"skimage.{part}", "finding faces") for part in ("data", "feature")
    )
    return feature.Cascade(data.lbp_frontal_face_cascade_filename())
