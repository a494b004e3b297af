"""Pictures of numbers, drawn by matplotlib: figures that belong to nobody else, as pictures."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

import nvn

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 100
LONGEST = 24  # letters of a name


def figure(width: int, height: int) -> Figure:
    """Return an empty figure of so many pixels.

    Raises:
        ConfigError: If matplotlib is not installed.
    """
    made: Any = nvn.packages.needed("matplotlib.figure", "pictures of numbers").Figure
    return made(figsize=(width / DPI, height / DPI), dpi=DPI, layout="compressed")  # type: ignore[no-any-return]


def picture(drawn: Figure) -> Image.Image:
    """Return what is drawn, in RGB."""
    canvas: Any = nvn.packages.needed("matplotlib.backends.backend_agg", "pictures of numbers")
    with warnings.catch_warnings():  # a letter that the font has not is a box, and no failure
        warnings.filterwarnings("ignore", r"Glyph \d+")
        agg = canvas.FigureCanvasAgg(drawn)
        agg.draw()
    return Image.fromarray(np.asarray(agg.buffer_rgba())).convert("RGB")


def shortened(text: str) -> str:
    """Return a name, or of one that is too long its start."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def bare(axes: Axes, title: str = "", row: str = "", below: str = "") -> None:
    """Take all but the picture away, and write beside it what is to be said; no mathematics."""
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    axes.set_title(title, parse_math=False, fontsize="medium")
    axes.set_ylabel(row, parse_math=False, rotation=0, ha="right", va="center")
    axes.set_xlabel(below, parse_math=False)
