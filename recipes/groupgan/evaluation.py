"""How well weak expressions are magnified: accuracies, peak signal-to-noise ratio, a picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from .faces import Faces, to_float

Pictures = Callable[[Tensor], Tensor]  # (N, C, H, W) → the same or (N, K) logits
AT_ONCE = 256  # pictures through a network at once
SCALE, GAP, HEADER = 2, 2, 42  # of sheets: enlargement, pixels between pictures, and above them


def in_parts(fn: Pictures, pictures: Tensor) -> Tensor:
    """Return `fn` of pictures (N, …), computed part by part."""
    return torch.cat([fn(part).cpu() for part in torch.split(pictures, AT_ONCE)])


def accuracy(logits: Tensor, labels: Tensor) -> float:
    """Return the share of rows of logits (N, K) whose largest entry is at the label (N,)."""
    return (logits.argmax(dim=1) == labels).double().mean().item()


def psnr(made: Tensor, real: Tensor) -> float:
    """Return the mean peak signal-to-noise ratio in dB of pictures (N, C, H, W) in [-1, 1]."""
    errors = (made.clamp(-1, 1) - real).square().flatten(1).mean(dim=1)
    return (10 * torch.log10(4 / errors)).mean().item()


def extrapolated(faces: Faces, intensity: float) -> Tensor:
    """Return weak pictures (N, C, H, W) stretched away from their neutral ones.

    The baseline that needs no learning: neutral + (weak − neutral)/intensity, for the mean
    intensity of weak pictures. It is told the neutral face, which no network here ever sees.
    """
    neutral, weak = to_float(faces.neutral), to_float(faces.weak)
    return (neutral + (weak - neutral) / intensity).clamp(-1, 1)


def blocks(groups: Mapping[str, Sequence[Tensor]], columns: str) -> Image.Image:
    """Lay groups of columns of pictures (N, C, H, W) in [-1, 1] out side by side.

    Row i shows picture i of every column; above stand the groups' names and what the columns are.
    """
    rows = list(_block_rows(list(groups.values())))
    image = to_image(_stack(rows, GAP), SCALE)
    sheet = Image.new("RGB", (image.width, image.height + HEADER), "white")
    sheet.paste(image, (0, HEADER))
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=15)
    step = (image.width + SCALE * 4 * GAP) / len(groups)
    for number, name in enumerate(groups):
        pen.text((number * step, 2), name, fill="black", font=font)
        pen.text((number * step, 20), columns, fill="#666666", font=font)
    return sheet


def _block_rows(groups: Sequence[Sequence[Tensor]]) -> Iterator[Tensor]:
    for i in range(len(groups[0][0])):
        parts = [_row([column[i] for column in group], GAP) for group in groups]
        yield _row(parts, 4 * GAP)


def _row(pictures: Sequence[Tensor], gap: int) -> Tensor:
    """Put pictures (C, H, W) side by side, with white between them."""
    channels, height, _ = pictures[0].shape
    white = pictures[0].new_ones(channels, height, gap)
    parts = [part for picture in pictures for part in (white, picture)][1:]
    return torch.cat(parts, dim=2)


def _stack(rows: Sequence[Tensor], gap: int) -> Tensor:
    """Put rows (C, H, W) below one another, with white between them."""
    channels, _, width = rows[0].shape
    white = rows[0].new_ones(channels, gap, width)
    return torch.cat([part for row in rows for part in (white, row)][1:], dim=1)


def to_image(picture: Tensor, scale: int = 1) -> Image.Image:
    """Return a picture (C, H, W) in [-1, 1] as an image, enlarged `scale` times."""
    levels = ((picture.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    image = Image.fromarray(levels.permute(1, 2, 0).numpy())
    size = (image.width * scale, image.height * scale)
    return image.resize(size, Image.Resampling.LANCZOS)
