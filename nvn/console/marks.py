"""Numbers as marks in a line of text: a trend, an arrow, a gauge."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.text import Text

__all__ = ["arrow", "gauge", "number", "sparkline"]

_BLOCKS = "▁▂▃▄▅▆▇█"
_PLAIN_BLOCKS = "_.-=+*#@"  # where the terminal has letters alone
_FLAT = 0.02  # of what a trend has been through, a change that is none


def number(value: float) -> str:
    """Write a number in three digits, and eight characters at most, nearly always.

    >>> number(0.123456), number(-1234.5), number(0.0001), number(1.55e-7), number(math.nan)
    ('0.123', '-1.23e3', '1e-4', '1.55e-7', 'nan')
    """
    small = 0 < abs(value) < 1e-3  # which has too many zeros otherwise
    mantissa, _, exponent = f"{value:{'.2e' if small else '.3g'}}".partition("e")
    if not exponent:
        return mantissa
    mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    return f"{mantissa}e{int(exponent)}"


def sparkline(values: Sequence[float], width: int, *, plain: bool = False) -> str:
    """Draw the latest values as a row of blocks, from the smallest to the largest.

    >>> sparkline([0.0, 1.0, 2.0, 7.0], 3)
    '▁▂█'
    """
    blocks = _PLAIN_BLOCKS if plain else _BLOCKS
    shown = [x for x in values if math.isfinite(x)][-width:]
    if not shown:
        return ""
    low, high = min(shown), max(shown)
    if high == low:
        return blocks[3] * len(shown)
    # (Halves: of very large numbers, the distance would be infinite.)
    parts = ((x / 2 - low / 2) / (high / 2 - low / 2) for x in shown)
    return "".join(blocks[round(part * (len(blocks) - 1))] for part in parts)


def arrow(values: Sequence[float], *, plain: bool = False) -> str:
    """Say where values are going: the mean of the last third beside that of the first.

    >>> arrow([5.0, 4.0, 3.0, 2.0]), arrow([1.0, 1.0, 1.0]), arrow([])
    ('↓', '→', ' ')
    """
    shown = [x for x in values if math.isfinite(x)]
    third = len(shown) // 3
    if not third:
        return " "
    change = (sum(shown[-third:]) - sum(shown[:third])) / third
    if abs(change) <= _FLAT * (max(shown) - min(shown)):
        return "=" if plain else "→"
    if change < 0:
        return "v" if plain else "↓"
    return "^" if plain else "↑"


def gauge(lead: float | None, width: int = 9, *, plain: bool = False) -> Text:
    """Draw who is ahead: a mark right of the middle is ahead, left of it behind.

    Args:
        lead: How far ahead, in standard deviations: ±2 is as far as it goes. None draws nothing.
        width: An odd number of characters.
        plain: Whether the terminal has letters alone.

    >>> gauge(0.0).plain, gauge(2.5).plain
    ('────●────', '────┼───●')
    """
    if lead is None or not math.isfinite(lead):
        return Text(" " * width)
    line, middle, mark = ("-", "+", "o") if plain else ("─", "┼", "●")
    half = width // 2
    at = half + round(max(-1.0, min(1.0, lead / 2)) * half)
    cells = [line] * width
    cells[half] = middle
    cells[at] = mark
    style = "green" if at > half else "default"
    return Text.assemble(
        ("".join(cells[:at]), "dim"), (cells[at], style), ("".join(cells[at + 1 :]), "dim")
    )
