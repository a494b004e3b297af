"""What a trained game does to a picture of one's own, whatever its size.

The networks see pictures of one small size. What they change in the small picture is enlarged and
added to the large one, a strip at a time, so that all that they leave alone stays as sharp as it
was, and memory and time are those of the picture itself.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

import nvn

from .data.drawings.pictures import too_narrow
from .data.photographs.cropping import Crop, Cropper
from .evaluation.sheets import to_image

FINER = 8  # a large picture is shrunk to so many times what the networks see, before it is padded
STRIP = 1 << 20  # pixels that are changed at once, about
CONTRAST = 4.0  # how much steeper from ink to paper a crisp picture is, where it changed

NO_FACE = "no face is found in it: the middle is changed"

Box: TypeAlias = tuple[int, int, int, int]  # left, top, right, bottom, in pixels


@dataclass(frozen=True)
class FacePart:
    """Which square of a photograph is changed: the one that a photograph is cropped to in training.

    Where a face is not found it is the middle, and so it is without scikit-image, which finds them;
    a warning says so.

    Attributes:
        crop: All of it, the middle, or the face; where there is no face, the middle.
    """

    crop: Crop

    def __call__(self, image: Image.Image) -> Box:
        """Return the square."""
        box, found = self._cropper.choose(image)
        if not found:
            warnings.warn(NO_FACE, nvn.NvnWarning, stacklevel=2)
        left, top, side = round(box.left), round(box.top), round(box.side)
        return left, top, left + side, top + side

    @cached_property
    def _cropper(self) -> Cropper:
        """What chooses it; said once if faces cannot be found."""
        cropper = Cropper(self.crop)
        try:
            cropper.choose(Image.new("RGB", (64, 64)))
        except nvn.ConfigError as error:
            warnings.warn(f"{error}; the middle of pictures is taken", nvn.NvnWarning, stacklevel=2)
            return Cropper("center")
        return cropper


def whole(image: Image.Image) -> Box:
    """Return all of a picture."""
    return 0, 0, *image.size


@dataclass(frozen=True)
class Part:
    """What of a picture is seen, in pixels, and the square around it.

    Attributes:
        box: The part, inside of the picture.
        right_of: How far it lies to the right of the square's left edge.
        below: How far it lies below the square's upper edge.
        side: The square's side.
    """

    box: Box
    right_of: int
    below: int
    side: int

    @classmethod
    def of(cls, box: Box, image: Image.Image) -> Part:
        """Return the part in a box, which may reach beyond the picture's edges."""
        left, top, right, bottom = box
        side = max(right - left, bottom - top)
        corner = left - (side - right + left) // 2, top - (side - bottom + top) // 2
        inside = (max(left, 0), max(top, 0), min(right, image.width), min(bottom, image.height))
        return cls(inside, inside[0] - corner[0], inside[1] - corner[1], side)

    @property
    def width(self) -> int:
        """The part's width."""
        return self.box[2] - self.box[0]

    @property
    def height(self) -> int:
        """The part's height."""
        return self.box[3] - self.box[1]

    def strip(self, start: int, height: int) -> Box:
        """Return some rows of the part, in the picture."""
        top = self.box[1] + start
        return self.box[0], top, self.box[2], top + height


def never(image: Image.Image) -> bool:
    """Return that a picture is none: of no picture it holds."""
    return False


@dataclass(frozen=True)
class Changed:
    """A picture with the changes that a game makes to a part of it; for `nvn.Application`.

    Attributes:
        given: The game's value that the picture stands for, (N, C, H, W); C is 1 or 3.
        made: What the game makes of it, of the same shape.
        size: The side of the pictures that the networks see, in pixels.
        mode: "RGB" for three channels, "L" for one.
        part: Which part of a picture is changed. It is padded to a square, in its middle.
        border: The gray level of what lies beyond a picture's edge.
        crisp: Whether what changes much becomes ink or paper, and no gray in between: an enlarged
            change has soft edges, and strokes have not.
        negative: Whether a picture shows light on dark, where the networks know dark on light: it
            is seen, and changed, with dark and light exchanged.
    """

    given: nvn.Value
    made: nvn.Value
    size: int
    mode: str = "RGB"
    part: Callable[[Image.Image], Box] = whole
    border: int = 255
    crisp: bool = False
    negative: Callable[[Image.Image], bool] = never

    def __call__(self, engine: nvn.Engine, image: Image.Image) -> Image.Image:
        """Return the picture, changed.

        Raises:
            DataError: If the part is so narrow that the networks could see nothing of it.
        """
        seen_part = Part.of(self.part(image), image)
        if too_narrow(seen_part.width, seen_part.height, self.size):
            raise nvn.DataError(f"{seen_part.width} × {seen_part.height} pixels are too narrow")
        result = image.convert(self.mode)
        inverted = self.negative(result)
        result = ImageOps.invert(result) if inverted else result
        seen = tensor(self._shrunk(result, seen_part))
        with torch.no_grad():
            made: Tensor = engine.values({str(self.given): seen}, [self.made])[0].float().cpu()
        self._change(result, seen_part, made.clamp(-1, 1) - seen)
        return ImageOps.invert(result) if inverted else result

    def _shrunk(self, image: Image.Image, part: Part) -> Image.Image:
        """Return what the networks see of a part: padded to a square, of their size."""
        side = min(part.side, FINER * self.size)  # a whole square may be far larger than the part
        scale = side / part.side
        size = (max(1, round(scale * part.width)), max(1, round(scale * part.height)))
        inner = image.resize(size, Image.Resampling.LANCZOS, box=part.box, reducing_gap=3.0)
        square = Image.new("L", (side, side), self.border).convert(self.mode)
        square.paste(inner, (round(scale * part.right_of), round(scale * part.below)))
        return square.resize((self.size, self.size), Image.Resampling.LANCZOS)

    def _change(self, image: Image.Image, part: Part, change: Tensor) -> None:
        """Add a change of the square around a part, (1, C, S, S), to the part of a picture."""
        planes = [Image.fromarray(plane) for plane in change[0].numpy()]
        scale = self.size / part.side
        left, right = scale * part.right_of, scale * (part.right_of + part.width)
        rows = max(1, STRIP // part.width)
        for start in range(0, part.height, rows):
            height = min(rows, part.height - start)
            top = scale * (part.below + start)
            seen, size = (left, top, right, top + scale * height), (part.width, height)
            enlarged = [plane.resize(size, Image.Resampling.BICUBIC, box=seen) for plane in planes]
            strip = part.strip(start, height)
            change = torch.from_numpy(np.stack([np.asarray(plane) for plane in enlarged]))
            added = self._added(tensor(image.crop(strip)), change)
            image.paste(to_image(added[0]), strip[:2])

    def _added(self, before: Tensor, change: Tensor) -> Tensor:
        after = before + change
        if self.crisp:
            after = torch.lerp(after, (CONTRAST * after).clamp(-1, 1), change.abs().clamp(max=1))
        return after


def tensor(image: Image.Image) -> Tensor:
    """Return a picture as a tensor (1, C, H, W) in [-1, 1]."""
    levels = np.array(image, dtype=np.float32)
    levels = levels[..., None] if levels.ndim == 2 else levels
    return torch.from_numpy(levels).permute(2, 0, 1)[None] / 127.5 - 1
