"""Where a picture is changed: heat maps (Fig. 5 of Niu et al. 2022)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from PIL import Image
from torch import Tensor

import nvn

from ..data.pairs import Split, to_float
from .figures import bare, figure, picture, shortened
from .numbers import computed_with
from .people import of_each_class
from .sheets import to_image

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIDE = 150  # pixels of a picture, about
MARGIN = 160  # and around all of them
MEANING = "squared difference, summed over the colors; pictures are in [-1, 1]"
BELOW = 0.99  # the share of all pixels that are below the end of the scale

COLUMNS = (
    "weak",
    "magnified",
    "square of\nmagnified - weak",
    "real peak",
    "square of\npeak - weak",
    "square of\npeak - magnified",
)


def heat_map(one: Tensor, other: Tensor) -> Tensor:
    """Return M (N, H, W), M_ij = Σ_k Δ²_ijk, of two sets of pictures (N, C, H, W): (22).

    Δ is their difference, (21); k runs over the channels. For pictures in [-1, 1], M is from 0 to
    4C.
    """
    return (one - other).square().sum(dim=1)


@dataclass(frozen=True)
class HeatMaps:
    """A picture: what is changed in weak faces, and what is different in real peaks.

    Each row is an expression: the weak face, what is made of it, where that differs; the real peak,
    where that differs from the weak one and from what is made. The maps have one common scale.
    The figure in the paper has a map for what is made and one for the real peak, which says little
    about how near the one is to the other; so there is a third.

    Attributes:
        split: The faces.
        weak: The game's weak pictures, (N, C, H, W).
        fake: What it makes of them.
        rows: How many people are shown of each expression.
    """

    split: Split
    weak: nvn.Value
    fake: nvn.Value
    rows: int = 1

    def __call__(self, engine: nvn.Engine) -> Image.Image:
        """Draw."""
        test = self.split.test
        shown = list(of_each_class(test, self.rows))
        names = [shortened(name) for name, chosen in shown for _ in chosen]
        pairs = test.take(torch.cat([chosen for _, chosen in shown]))
        weak, peak = to_float(pairs.shown("weak")), to_float(pairs.shown("peak"))
        with nvn.progress("drawing heat maps", total=len(pairs)) as bar:
            made = computed_with(engine, self.weak, self.fake, weak, bar).clamp(-1, 1)
        maps = torch.stack([heat_map(made, weak), heat_map(peak, weak), heat_map(peak, made)])
        return picture(drawn(names, (weak, made, peak), maps))


def drawn(names: Sequence[str], faces: Sequence[Tensor], maps: Tensor) -> Figure:
    """Draw rows of weak, made and real faces (N, C, H, W), between them maps (3, N, H, W)."""
    page = figure(SIDE * len(COLUMNS) + MARGIN, SIDE * len(names) + MARGIN)
    end = end_of_scale(maps)
    grid = page.subplots(len(names), len(COLUMNS), squeeze=False)
    for row, axes in enumerate(grid):
        shown = (faces[0], faces[1], maps[0], faces[2], maps[1], maps[2])
        for column, (one, each) in enumerate(zip(axes, shown, strict=True)):
            if each.ndim == 3:  # a map
                heat = one.imshow(each[row].numpy(), cmap="inferno", vmin=0, vmax=end)
            else:
                one.imshow(to_image(each[row]), cmap="gray", vmin=0, vmax=255)
            bare(one, "" if row else COLUMNS[column], "" if column else names[row])
    page.colorbar(heat, ax=grid, location="bottom", extend="max", shrink=0.4, label=MEANING)
    return page


def end_of_scale(maps: Tensor) -> float:
    """Return the value that nearly all pixels of heat maps (…) are below: a few are far above it.

    It is more than 0, whatever the maps.
    """
    values = maps.flatten().sort().values
    return max(values[round(BELOW * (len(values) - 1))].item(), 1e-6)
