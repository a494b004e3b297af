"""Where the lines of a picture run: past the boxes of the columns that they cross, not behind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Column", "path"]

CLEAR = 28.0  # from the middle of a box to a line that passes it: between two that are stacked


@dataclass(frozen=True)
class Column:
    """A column of boxes: its left and right edge, and the height of each box's middle."""

    left: float
    right: float
    boxes: tuple[float, ...]

    def free(self, wish: float) -> float:
        """Return the height nearest to a wish at which no box is.

        >>> Column(0, 10, (100.0, 156.0)).free(90)
        72.0
        >>> Column(0, 10, (100.0, 156.0)).free(120)
        128.0
        """
        tried = [wish, *(box + side for box in self.boxes for side in (-CLEAR, CLEAR))]
        clear = [y for y in tried if all(abs(y - box) >= CLEAR for box in self.boxes)]
        return min(clear or tried, key=lambda y: abs(y - wish))


def path(start: tuple[float, float], end: tuple[float, float], between: Sequence[Column]) -> str:
    """Return an SVG path from a box to another, through the columns between them.

    >>> path((0, 10), (100, 10), [])
    'M0,10 C50,10 50,10 100,10'
    """
    drawn = [f"M{start[0]:.0f},{start[1]:.0f}"]
    x, y = start
    for column in between:
        share = (column.left - start[0]) / (end[0] - start[0])
        height = column.free(start[1] + share * (end[1] - start[1]))
        drawn += [_bend(x, y, column.left, height), f"L{column.right:.0f},{height:.0f}"]
        x, y = column.right, height
    return " ".join([*drawn, _bend(x, y, *end)])


def _bend(x: float, y: float, to_x: float, to_y: float) -> str:
    """Return a curve that leaves and arrives horizontally."""
    far = max(20.0, (to_x - x) / 2)
    return f"C{x + far:.0f},{y:.0f} {to_x - far:.0f},{to_y:.0f} {to_x:.0f},{to_y:.0f}"
