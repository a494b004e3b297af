"""Text on pictures, in a font that comes with nvn: Pillow's own has no accents."""

from __future__ import annotations

import unicodedata
from pathlib import Path

from PIL import ImageFont

__all__ = ["drawable", "font"]

_FONT = Path(__file__).parent / "fonts" / "DejaVuSans-subset.ttf"
_NONE = "\U0010ffff"  # a letter that no font has: what is drawn for it stands for all it lacks


def font(size: float) -> ImageFont.FreeTypeFont:
    """Return the font, in a size in pixels; it has Latin, Greek and Cyrillic letters.

    >>> font(12).getlength("Ü") > 0
    True
    """
    return ImageFont.truetype(_FONT, size)


def drawable(text: str) -> str:
    """Return text in letters that the font has: else without accents, or `?`.

    >>> drawable("Größe Ǻ, 怒")
    'Größe Ǻ, ?'
    """
    letters = font(16)
    missing = _drawn(letters, _NONE)

    def known(letter: str) -> bool:
        return letter.isprintable() and _drawn(letters, letter) != missing

    def nearest(letter: str) -> str:
        return "".join(x if known(x) else "?" for x in _bare(unicodedata.normalize("NFKD", letter)))

    # Accents as part of letters, which is how the font has them.
    composed = _bare(unicodedata.normalize("NFC", text))
    return "".join(letter if known(letter) else nearest(letter) for letter in composed)


def _bare(text: str) -> str:
    """Return text without accents that are not part of a letter."""
    return "".join(letter for letter in text if not unicodedata.combining(letter))


def _drawn(letters: ImageFont.FreeTypeFont, letter: str) -> tuple[object, bytes]:
    return letters.getbbox(letter), bytes(letters.getmask(letter))
