"""Pictures laid out in blocks, rows and columns, with their names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

import nvn

Font: TypeAlias = ImageFont.FreeTypeFont | ImageFont.ImageFont

ACROSS = 96  # of a sheet: pixels that a small picture is enlarged to


def sheet(blocks: Mapping[str, Mapping[str, Tensor]], across: int = 3) -> Image.Image:
    """Lay blocks out, `across` in a row; a block has columns of pictures (N, C, H, W) in [-1, 1].

    Row i of a block shows picture i of each of its columns; above stand the names of the block and
    of the columns. Small pictures are enlarged, and all else is as large as the pictures ask for.
    Blocks may differ in size.
    """
    made = [_block(name, columns) for name, columns in blocks.items()]
    across = min(across, len(made))
    width, height = (max(block.size[axis] for block in made) for axis in (0, 1))
    gap = height // 20
    rows = -(-len(made) // across)
    size = (across * (width + gap) + gap, rows * (height + gap) + gap)
    whole = Image.new("RGB", size, "white")
    for number, block in enumerate(made):
        row, column = divmod(number, across)
        whole.paste(block, (gap + column * (width + gap), gap + row * (height + gap)))
    return whole


def _block(name: str, columns: Mapping[str, Tensor]) -> Image.Image:
    """One block: its name, its columns' names, and below them its pictures."""
    rows, _, height, width = next(iter(columns.values())).shape
    scale = enlarged(width)
    side, tall = width * scale, height * scale
    gap, line = max(1, side // 40), side // 5
    size = (len(columns) * (side + gap) - gap, 2 * line + rows * (tall + gap))
    block = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(block)
    name = nvn.lettering.drawable(name)
    pen.text((0, 0), name, fill="black", font=fitting(name, 0.8 * line, size[0]))
    for column, (title, pictures) in enumerate(columns.items()):
        left = column * (side + gap)
        font = fitting(title, 0.65 * line, side)
        pen.text((left, line), title, fill="#555555", font=font)
        for row, picture in enumerate(pictures):
            block.paste(to_image(picture, scale), (left, 2 * line + row * (tall + gap)))
    return block


def enlarged(width: int, across: int = ACROSS) -> int:
    """Return how many times a picture is enlarged to be about `across` pixels wide, at least 1."""
    return max(1, round(across / width))


def to_image(picture: Tensor, scale: int = 1) -> Image.Image:
    """Return a picture (C, H, W) in [-1, 1] as an image, enlarged `scale` times; C is 1 or 3."""
    levels = ((picture.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    shown = levels[0] if len(levels) == 1 else levels.permute(1, 2, 0)
    image = Image.fromarray(shown.numpy())
    size = (image.width * scale, image.height * scale)
    return image.resize(size, Image.Resampling.LANCZOS)


def fitting(text: str, size: float, width: float) -> Font:
    """Return a font of a size in pixels, or of the smaller one at which text fits a width."""
    font = ImageFont.load_default(size)
    needed = font.getlength(text)
    return font if needed <= width else ImageFont.load_default(max(1.0, size * width / needed))
