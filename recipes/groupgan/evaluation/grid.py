"""Small images in rows and columns that have names: what tables of pictures are drawn with."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from PIL import Image, ImageDraw, ImageFont

GAP = 6  # pixels between cells
MARGIN = 24  # around everything
TEXT = 17  # the height of a line's letters, in pixels
LINE = 24  # from one line to the next
LONGEST = 28  # letters of a name; of a longer one, the start

Row = tuple[str, Sequence[Image.Image]]


def grid(
    rows: Sequence[Row],
    columns: Sequence[str],
    head: str = "",
    foot: Image.Image | None = None,
    gap: int = GAP,
) -> Image.Image:
    """Lay images out in rows and columns.

    Args:
        rows: The name of each row, and its images; each has as many as there are columns.
        columns: The names of the columns. Where one is too long, all of them are turned.
        head: Lines to stand above.
        foot: An image to stand below, at the left edge of the first column.
        gap: Pixels between the images.
    """
    font = ImageFont.load_default(TEXT)
    widths = [max(images[n].width for _, images in rows) for n in range(len(columns))]
    heights = [max(image.height for image in images) for _, images in rows]
    names = [written(name, font) for name, _ in rows]
    titles = _titles([written(name, font) for name in columns], widths)

    left = MARGIN + max(name.width for name in names) + 2 * GAP
    lefts = list(accumulate(widths, lambda at, width: at + width + gap, initial=left))
    top = MARGIN + LINE * len(head.splitlines()) + GAP * bool(head)
    first = top + max(title.height for title in titles) + GAP
    tops = list(accumulate(heights, lambda at, height: at + height + gap, initial=first))
    lines = [font.getlength(line) for line in head.splitlines()]
    wide = max(
        [lefts[-1], MARGIN + round(max(lines, default=0)), left + (foot.width if foot else 0)]
    )
    size = (wide + MARGIN, tops[-1] + (foot.height + 2 * GAP if foot else 0) + MARGIN)

    whole = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(whole)
    pen.multiline_text((MARGIN, MARGIN), head, fill="black", font=font, spacing=LINE - TEXT)
    for title, x, width in zip(titles, lefts, widths, strict=False):
        whole.paste(title, (x + (width - title.width) // 2, first - GAP - title.height))
    for (_, images), name, y, height in zip(rows, names, tops, heights, strict=False):
        whole.paste(name, (left - 2 * GAP - name.width, y + (height - name.height) // 2))
        for image, x in zip(images, lefts, strict=False):
            whole.paste(image, (x, y))
    if foot:
        whole.paste(foot, (left, tops[-1] + 2 * GAP))
    return whole


def written(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> Image.Image:
    """Return a line of text as an image that it just fills; one that is too long is cut."""
    shown = text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."
    image = Image.new("RGB", (max(1, round(font.getlength(shown)) + 2), LINE), "white")
    ImageDraw.Draw(image).text((1, LINE // 2), shown, fill="black", font=font, anchor="lm")
    return image


def _titles(titles: list[Image.Image], widths: Sequence[int]) -> list[Image.Image]:
    """The titles of columns, all of them turned to be read upwards if one is too wide."""
    if all(title.width <= width for title, width in zip(titles, widths, strict=True)):
        return titles
    return [title.transpose(Image.Transpose.ROTATE_90) for title in titles]
