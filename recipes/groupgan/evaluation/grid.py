"""Small images in rows and columns that have names: what tables of pictures are drawn with."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import TypeAlias

from PIL import Image, ImageDraw

import nvn

from .lettering import LINE, TEXT, written

GAP = 6  # pixels between cells
MARGIN = 24  # around everything

Row: TypeAlias = tuple[str, Sequence[Image.Image]]


def grid(
    rows: Sequence[Row],
    columns: Sequence[str],
    head: Sequence[str] = (),
    foot: Image.Image | None = None,
    gap: int = GAP,
) -> Image.Image:
    """Lay images out in rows and columns.

    Args:
        rows: The name of each row, and its images; each has as many as there are columns.
        columns: The names of the columns. Where one is too wide, all of them are turned.
        head: Lines to stand above.
        foot: An image to stand below, at the left edge of the first column.
        gap: Pixels between the images; -1 for images that share their borders.
    """
    widths = [max(images[n].width for _, images in rows) for n in range(len(columns))]
    heights = [max(image.height for image in images) for _, images in rows]
    names = [written(name) for name, _ in rows]
    titles = _titles([written(name) for name in columns], widths)

    top = MARGIN + LINE * len(head) + (2 * GAP if head else 0)
    left = MARGIN + max(name.width for name in names) + GAP
    first = top + max(title.height for title in titles) + GAP
    lefts = list(accumulate((width + gap for width in widths), initial=left))
    tops = list(accumulate((height + gap for height in heights), initial=first))
    below = tops[-1] - gap + 2 * GAP

    words = [
        (MARGIN, MARGIN + LINE * number, nvn.lettering.drawable(line))
        for number, line in enumerate(head)
    ]
    pasted = [(foot, left, below)] if foot else []
    for title, x, width in zip(titles, lefts, widths, strict=False):
        pasted.append((title, x + (width - title.width) // 2, first - GAP - title.height))
    for (_, images), name, y, height in zip(rows, names, tops, heights, strict=False):
        pasted.append((name, left - GAP - name.width, y + (height - name.height) // 2))
        for image, x in zip(images, lefts, strict=False):
            pasted.append((image, x, y + (height - image.height) // 2))
    return _painted(pasted, words)


def _titles(titles: list[Image.Image], widths: Sequence[int]) -> list[Image.Image]:
    """The titles of columns, all of them turned to be read upwards if one is too wide."""
    if all(title.width <= width for title, width in zip(titles, widths, strict=True)):
        return titles
    return [title.transpose(Image.Transpose.ROTATE_90) for title in titles]


def _painted(
    pasted: Sequence[tuple[Image.Image, int, int]], words: Sequence[tuple[int, int, str]]
) -> Image.Image:
    """A white page as large as what is on it asks for: images and lines, where they belong."""
    font = nvn.lettering.font(TEXT)
    right = max([x + image.width for image, x, _ in pasted] +
                [x + round(font.getlength(text)) for x, _, text in words])  # fmt: skip
    bottom = max(y + image.height for image, _, y in pasted)
    page = Image.new("RGB", (right + MARGIN, bottom + MARGIN), "white")
    for image, x, y in pasted:
        page.paste(image, (x, y))
    pen = ImageDraw.Draw(page)
    for x, y, text in words:
        pen.text((x, y), text, fill="black", font=font)
    return page
