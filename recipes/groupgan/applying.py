"""What a trained game does to a picture of one's own, whatever its size.

The networks see pictures of one small size. What they change in the small picture is enlarged and
added to the large one, so that all that they leave alone stays as sharp as it was.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import torch
from PIL import Image
from torch import Tensor

import nvn

from .photographs.cropping import Crop, Cropper

CONTRAST = 4.0  # how much steeper from ink to paper a crisp picture is, where it changed

Box: TypeAlias = tuple[int, int, int, int]  # left, top, right, bottom, in pixels


@dataclass(frozen=True)
class FacePart:
    """Which square of a photograph is changed: the one that a photograph is cropped to in training.

    Without scikit-image, which finds faces, it is the middle; a warning says so.

    Attributes:
        crop: All of it, the middle, or the face; where there is no face, the middle.
    """

    crop: Crop

    def __call__(self, image: Image.Image) -> Box:
        """Return the square."""
        box, _ = self._cropper.choose(image)
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
            return Cropper("centre")
        return cropper


def whole(image: Image.Image) -> Box:
    """Return all of a picture."""
    return 0, 0, *image.size


@dataclass(frozen=True)
class Changed:
    """A picture with the changes that a game makes to a part of it; for `nvn.Application`.

    Attributes:
        given: The game's value that the picture stands for, (N, C, H, W); C is 1 or 3.
        made: What the game makes of it, of the same shape.
        size: The side of the pictures that the networks see, in pixels.
        mode: "RGB" for three channels, "L" for one.
        part: Which part of a picture is changed. It is padded to a square, in its middle.
        border: The grey level of what lies beyond a picture's edge.
        crisp: Whether what changes much becomes ink or paper, and no grey in between: an enlarged
            change has soft edges, and strokes have not.
    """

    given: nvn.Value
    made: nvn.Value
    size: int
    mode: str = "RGB"
    part: Callable[[Image.Image], Box] = whole
    border: int = 255
    crisp: bool = False

    def __call__(self, engine: nvn.Engine, image: Image.Image) -> Image.Image:
        """Return the picture, changed."""
        left, top, right, bottom = self.part(image)
        result = image.convert(self.mode)
        side = max(right - left, bottom - top)
        left, top = left - (side - right + left) // 2, top - (side - bottom + top) // 2
        before = Image.new("L", (side, side), self.border).convert(self.mode)
        before.paste(result, (-left, -top))
        seen = tensor(before.resize((self.size, self.size), Image.Resampling.LANCZOS))
        with torch.no_grad():
            made: Tensor = engine.values({str(self.given): seen}, [self.made])[0].float().cpu()
        change = torch.nn.functional.interpolate(
            made.clamp(-1, 1) - seen, size=before.size[::-1], mode="bicubic", align_corners=False
        )
        after = tensor(before) + change
        if self.crisp:
            after = torch.lerp(after, (CONTRAST * after).clamp(-1, 1), change.abs().clamp(max=1))
        result.paste(picture(after), (left, top))
        return result


def tensor(image: Image.Image) -> Tensor:
    """Return a picture as a tensor (1, C, H, W) in [-1, 1]."""
    levels = np.array(image, dtype=np.float32)
    levels = levels[..., None] if levels.ndim == 2 else levels
    return torch.from_numpy(levels).permute(2, 0, 1)[None] / 127.5 - 1


def picture(pixels: Tensor) -> Image.Image:
    """Return a tensor (1, C, H, W) as a picture; what is beyond [-1, 1] is cut off."""
    levels = ((pixels[0].clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    grey = levels.shape[0] == 1
    return Image.fromarray((levels[0] if grey else levels.permute(1, 2, 0)).numpy())
