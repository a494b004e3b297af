"""Text on pictures, in the font that comes with nvn."""

from __future__ import annotations

from PIL import Image, ImageDraw, ImageFont

import nvn

TEXT = 16  # the size of letters, in pixels
LINE = 22  # from one line to the next
LONGEST = 24  # letters of a name


def shortened(text: str) -> str:
    """Return a name, or of one that is too long its start."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def fitting(text: str, size: float, width: float) -> ImageFont.FreeTypeFont:
    """Return a font of a size in pixels, or of the smaller one at which text fits a width."""
    font = nvn.lettering.font(size)
    needed = font.getlength(text)
    return font if needed <= width else nvn.lettering.font(max(1.0, size * width / needed))


def written(text: str) -> Image.Image:
    """Return lines of text as an image that they just fill."""
    font = nvn.lettering.font(TEXT)
    lines = [nvn.lettering.drawable(line) for line in text.splitlines() or [""]]
    width = 2 + max(round(font.getlength(line)) for line in lines)
    image = Image.new("RGB", (width, LINE * len(lines)), "white")
    pen = ImageDraw.Draw(image)
    for number, line in enumerate(lines):
        place = (width / 2, LINE * (number + 0.5))
        pen.text(place, line, fill="black", font=font, anchor="mm")
    return image
