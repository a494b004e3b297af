"""Where a picture is changed: heat maps (Fig. 5 of Niu et al. 2022)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

import nvn

from ..data.pairs import Split, to_float
from .colors import heat, scale
from .grid import grid
from .lettering import shortened
from .numbers import computed_with
from .people import of_each_class
from .sheets import enlarged, to_image

SIDE = 144  # pixels that a small picture is enlarged to
MEANING = "squared difference, summed over the colors; pictures are in [-1, 1]"
BELOW = 0.99  # the share of all pixels that are below the end of the scale

COLUMNS = (  # none wider than 128 pixels, the least that a picture is shown at
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
        """Draw.

        Raises:
            DataError: If there is nobody to test on.
        """
        test = self.split.test
        shown = list(of_each_class(test, self.rows))
        names = [shortened(name) for name, chosen in shown for _ in chosen]
        pairs = test.take(torch.cat([chosen for _, chosen in shown]))
        weak, peak = to_float(pairs.shown("weak")), to_float(pairs.shown("peak"))
        with nvn.progress("drawing heat maps", total=len(pairs)) as bar:
            made = computed_with(engine, self.weak, self.fake, weak, bar).clamp(-1, 1)
        maps = torch.stack([heat_map(made, weak), heat_map(peak, weak), heat_map(peak, made)])
        end = end_of_scale(maps)
        marks = ["0", f"{end / 2:.2g}", f"{end:.2g} or more"]

        times = enlarged(weak.shape[-1], SIDE)
        hot = [[_hot(one / end, times) for one in several] for several in maps]
        faces = [[to_image(one, times) for one in several] for several in (weak, made, peak)]
        columns = (faces[0], faces[1], hot[0], faces[2], hot[1], hot[2])
        rows = list(zip(names, zip(*columns, strict=True), strict=True))
        return grid(rows, COLUMNS, foot=scale(heat, marks, MEANING))


def end_of_scale(maps: Tensor) -> float:
    """Return the value that nearly all pixels of heat maps (…) are below: a few are far above it.

    It is more than 0, whatever the maps.
    """
    values = maps.flatten().sort().values
    return max(values[round(BELOW * (len(values) - 1))].item(), 1e-6)


def _hot(shares: Tensor, times: int) -> Image.Image:
    """A map (H, W) in colors, 1 and more in the last one."""
    image = Image.fromarray(heat(shares).numpy())
    return image.resize((image.width * times, image.height * times), Image.Resampling.NEAREST)
