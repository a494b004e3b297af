"""Colors for numbers from 0 to 1: ordered as eyes see them, in print without colors too."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from PIL import Image, ImageDraw
from torch import Tensor

import nvn

from .lettering import LINE, TEXT

LONG = 320  # pixels of a scale

# Oklab (Björn Ottosson 2020, "A perceptual color space for image processing"): from lightness and
# two opponent colors to cone responses (their cube roots), and from these to linear sRGB.
_CONES = torch.tensor(
    [
        [1.0, 0.3963377774, 0.2158037573],
        [1.0, -0.1055613458, -0.0638541728],
        [1.0, -0.0894841775, -1.2914855480],
    ]
)
_SRGB = torch.tensor(
    [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]
)


def heat(shares: Tensor) -> Tensor:
    """Return (…, 3) uint8 for numbers (…) in [0, 1]: from black over violet and red to pale yellow.

    Lightness rises evenly; the hue turns from 290° to 460°, the chroma is largest in the middle.
    """
    shares = shares.clamp(0, 1)
    hue = torch.deg2rad(290 + 170 * shares)
    bow = 4 * shares * (1 - shares)  # 0 at both ends, 1 in the middle
    return _oklch(0.97 * shares, 0.17 * bow**0.7, hue)


def ink(shares: Tensor) -> Tensor:
    """Return (…, 3) uint8 for numbers (…) in [0, 1]: from white to dark blue."""
    shares = shares.clamp(0, 1)
    hue = torch.full_like(shares, torch.pi * 260 / 180)
    return _oklch(1 - 0.65 * shares, 0.13 * torch.sin(torch.pi * shares / 2), hue)


def luminance(color: Tensor) -> float:
    """Return the relative luminance of an sRGB color (3,) uint8, from 0 to 1 (IEC 61966-2-1)."""
    coded = color / 255
    linear = torch.where(coded > 0.04045, ((coded + 0.055) / 1.055) ** 2.4, coded / 12.92)
    return (linear * torch.tensor([0.2126, 0.7152, 0.0722])).sum().item()


def _oklch(lightness: Tensor, chroma: Tensor, hue: Tensor) -> Tensor:
    """Colors (…, 3) uint8 of lightness, chroma and hue in radians, each (…); clipped to sRGB."""
    lab = torch.stack([lightness, chroma * torch.cos(hue), chroma * torch.sin(hue)], dim=-1)
    linear = ((lab @ _CONES.T) ** 3 @ _SRGB.T).clamp(0, 1)
    coded = torch.where(linear > 0.0031308, 1.055 * linear ** (1 / 2.4) - 0.055, 12.92 * linear)
    return (255 * coded).round().to(torch.uint8)


def scale(colors: Callable[[Tensor], Tensor], marks: Sequence[str], said: str) -> Image.Image:
    """Return a scale to stand below a picture: colors from 0 to 1, marks, what they stand for.

    Args:
        colors: What gives (M, 3) uint8 for numbers (M,).
        marks: Two or more, evenly spaced below the colors; the first at 0, the last at 1.
        said: What stands beside it.
    """
    font = nvn.lettering.font(TEXT)
    width = LONG + TEXT + round(font.getlength(said)) + 1
    image = Image.new("RGB", (width, 2 * LINE), "white")
    pen = ImageDraw.Draw(image)
    band = colors(torch.linspace(0, 1, LONG)).expand(TEXT, -1, -1).contiguous()
    image.paste(Image.fromarray(band.numpy()), (0, 0))
    pen.rectangle((0, 0, LONG - 1, TEXT - 1), outline="#808080")
    last = len(marks) - 1
    for number, mark in enumerate(marks):
        anchor = "la" if number == 0 else "ra" if number == last else "ma"
        pen.text((LONG * number / last, LINE), mark, fill="black", font=font, anchor=anchor)
    pen.text((LONG + TEXT, TEXT / 2), said, fill="black", font=font, anchor="lm")
    return image
