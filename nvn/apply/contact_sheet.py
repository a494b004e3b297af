"""Contact sheets: thumbnails of pictures before and after, each pair with its name."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from nvn.lettering import drawable, font

__all__ = ["PAGE", "Pair", "beside", "contact_sheet", "small"]

PAGE = 32  # pairs on a sheet
_COLUMNS = 4  # at most
_SIDE = 160  # px of a picture on a sheet; all lengths here are in px
_GAP, _BETWEEN, _MARGIN, _LINE = 4, 20, 24, 20
_PAIR = 2 * _SIDE + _GAP
_SMALLEST, _LARGEST = 128, 1024  # px of the longer side of pictures side by side
_PAPER, _INK = "#e9ebee", "#33373d"  # not white, as drawings are


@dataclass(frozen=True)
class Pair:
    """Thumbnails of a picture before and after, and its name."""

    name: str
    before: Image.Image
    after: Image.Image


def beside(before: Image.Image, after: Image.Image) -> Image.Image:
    """Return two pictures side by side, in one size.

    Both keep their proportions; the longer side of each is that of the larger picture, clamped to
    128 to 1024 px.
    """
    longest = max(*before.size, *after.size)
    side = min(max(longest, _SMALLEST), _LARGEST)
    left, right = _fit(before, side), _fit(after, side)
    height = max(left.height, right.height)
    sheet = Image.new("RGB", (left.width + 2 * _GAP + right.width, height), _PAPER)
    sheet.paste(left, (0, (height - left.height) // 2))
    sheet.paste(right, (sheet.width - right.width, (height - right.height) // 2))
    return sheet


def small(image: Image.Image) -> Image.Image:
    """Return the thumbnail of a picture for a contact sheet."""
    return _fit(image, _SIDE)


def contact_sheet(title: str, pairs: Sequence[Pair]) -> Image.Image:
    """Lay out up to `PAGE` pairs in a grid, about as wide as high."""
    columns = max(1, min(_COLUMNS, round(math.sqrt(len(pairs) / 2))))
    rows = [pairs[start : start + columns] for start in range(0, len(pairs), columns)]
    heights = [max(max(p.before.height, p.after.height) for p in row) for row in rows]
    width = 2 * _MARGIN + columns * (_PAIR + _BETWEEN) - _BETWEEN
    height = 2 * _MARGIN + 2 * _LINE + sum(heights) + len(rows) * (_LINE + _BETWEEN) - _BETWEEN
    sheet = Image.new("RGB", (width, height), _PAPER)
    _write(sheet, (_MARGIN, _MARGIN), title, width - 2 * _MARGIN, size=16)
    y = _MARGIN + 2 * _LINE
    for row, row_height in zip(rows, heights, strict=True):
        for number, pair in enumerate(row):
            _place(sheet, (_MARGIN + number * (_PAIR + _BETWEEN), y), pair, row_height)
        y += row_height + _LINE + _BETWEEN
    return sheet


def _place(sheet: Image.Image, corner: tuple[int, int], pair: Pair, height: int) -> None:
    """Paste a pair onto a sheet, both pictures centered, with the name below."""
    x, y = corner
    for image, left in ((pair.before, x), (pair.after, x + _SIDE + _GAP)):
        sheet.paste(image, (left + (_SIDE - image.width) // 2, y + (height - image.height) // 2))
    _write(sheet, (x, y + height + 3), pair.name, _PAIR, size=12)


def _fit(image: Image.Image, side: int) -> Image.Image:
    """Return a picture whose longer side is `side`, its proportions kept as far as pixels allow."""
    scale = side / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return (
        image
        if size == image.size
        else image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    )


def _write(sheet: Image.Image, place: tuple[int, int], text: str, width: int, size: int) -> None:
    """Write a line of text; if too long, only its end, where file names differ."""
    draw = ImageDraw.Draw(sheet)
    letters = font(size)
    shown = text = drawable(text)
    start = 0
    while draw.textlength(shown, font=letters) > width and start < len(text):
        start += 1
        shown = f"…{text[start:]}"
    draw.text(place, shown, fill=_INK, font=letters)
