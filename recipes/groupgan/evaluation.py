"""How well weak expressions are magnified: accuracies, peak signal-to-noise ratio, a picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from .pairs import Pairs, to_float

Pictures = Callable[[Tensor], Tensor]  # (N, C, H, W) → the same or (N, K) logits
AT_ONCE = 256 * 48 * 48  # pixels through a network at once
ACROSS = 96  # of a sheet: pixels that a small picture is enlarged to


def _nobody(done: int) -> None:
    pass


def in_parts(fn: Pictures, pictures: Tensor, done: Callable[[int], None] = _nobody) -> Tensor:
    """Return `fn` of pictures (N, C, H, W), computed part by part; `done` hears how many."""
    parts = []
    for part in torch.split(pictures, max(1, AT_ONCE // pictures.shape[2:].numel())):
        parts.append(fn(part).cpu())
        done(len(part))
    return torch.cat(parts)


def accuracy(logits: Tensor, labels: Tensor) -> float:
    """Return the share of rows of logits (N, K) whose largest entry is at the label (N,)."""
    return (logits.argmax(dim=1) == labels).double().mean().item()


def psnr(made: Tensor, real: Tensor) -> float:
    """Return the mean peak signal-to-noise ratio in dB of pictures (N, C, H, W) in [-1, 1]."""
    errors = (made.clamp(-1, 1) - real).square().flatten(1).mean(dim=1)
    return (10 * torch.log10(4 / errors)).mean().item()


def extrapolated(pairs: Pairs, intensity: float) -> Tensor:
    """Return weak pictures (N, C, H, W) stretched away from their neutral ones.

    The baseline that needs no learning: neutral + (weak − neutral)/intensity, for the mean
    intensity of weak pictures. It is told the neutral face, which no network here ever sees.
    """
    neutral, weak = to_float(pairs.shown("neutral")), to_float(pairs.shown("weak"))
    return (neutral + (weak - neutral) / intensity).clamp(-1, 1)


def sheet(blocks: Mapping[str, Mapping[str, Tensor]], across: int = 3) -> Image.Image:
    """Lay blocks out, `across` in a row; a block has columns of pictures (N, C, H, W) in [-1, 1].

    Row i of a block shows picture i of each of its columns; above stand the names of the block and
    of the columns. Small pictures are enlarged, and all else is as large as the pictures ask for.
    """
    made = [_block(name, columns) for name, columns in blocks.items()]
    width, height = made[0].size
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
    scale = max(1, round(ACROSS / width))
    side, tall = width * scale, height * scale
    gap, line = max(1, side // 40), side // 5
    size = (len(columns) * (side + gap) - gap, 2 * line + rows * (tall + gap))
    block = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(block)
    large, small = (ImageFont.load_default(size=line * part / 100) for part in (80, 65))
    pen.text((0, 0), name, fill="black", font=large)
    for column, (title, pictures) in enumerate(columns.items()):
        left = column * (side + gap)
        pen.text((left, line), title, fill="#555555", font=small)
        for row, picture in enumerate(pictures):
            block.paste(to_image(picture, scale), (left, 2 * line + row * (tall + gap)))
    return block


def to_image(picture: Tensor, scale: int = 1) -> Image.Image:
    """Return a picture (C, H, W) in [-1, 1] as an image, enlarged `scale` times."""
    levels = ((picture.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    image = Image.fromarray(levels.permute(1, 2, 0).numpy())
    size = (image.width * scale, image.height * scale)
    return image.resize(size, Image.Resampling.LANCZOS)
