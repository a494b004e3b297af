"""Where a picture is changed: heat maps (Fig. 5 of Niu et al. 2022)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

import nvn

from ..pairs import Split, to_float
from .colours import heat
from .grid import GAP, LINE, TEXT, grid
from .numbers import computed_with
from .people import of_each_class, tested
from .sheets import enlarged, to_image

SIDE = 144  # pixels that a small picture is enlarged to
BAR = 320  # pixels of the scale
SATURATED = 0.995  # the share of all pixels that are below the end of the scale

COLUMNS = (
    "weak",
    "magnified",
    "|magn. - weak|²",
    "real peak",
    "|peak - weak|²",
    "|peak - magn.|²",
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
        test = tested(self.split)
        shown = list(of_each_class(test, self.rows))
        names = [name for name, chosen in shown for _ in chosen]
        pairs = test.take(torch.cat([chosen for _, chosen in shown]))
        weak, peak = to_float(pairs.shown("weak")), to_float(pairs.shown("peak"))
        with nvn.progress("drawing heat maps", total=len(pairs)) as bar:
            made = computed_with(engine, self.weak, self.fake, weak, bar).clamp(-1, 1)
        maps = torch.stack([heat_map(made, weak), heat_map(peak, weak), heat_map(peak, made)])
        end = max(
            torch.quantile(maps.flatten()[:: 1 + maps.numel() // 2**24], SATURATED).item(), 1e-6
        )

        scale = enlarged(weak.shape[-1], SIDE)
        hot = [[_hot(one / end, scale) for one in several] for several in maps]
        faces = [[to_image(one, scale) for one in several] for several in (weak, made, peak)]
        columns = (faces[0], faces[1], hot[0], faces[2], hot[1], hot[2])
        rows = list(zip(names, zip(*columns, strict=True), strict=True))
        return grid(rows, COLUMNS, foot=_legend(end))


def _hot(shares: Tensor, scale: int) -> Image.Image:
    """A map (H, W) in colours, 1 and more in the last one."""
    image = Image.fromarray(heat(shares).numpy())
    return image.resize((image.width * scale, image.height * scale), Image.Resampling.NEAREST)


def _legend(end: float) -> Image.Image:
    """The colours from 0 to `end`, and what they stand for."""
    image = Image.new("RGB", (3 * BAR, 2 * LINE + GAP), "white")
    colours = heat(torch.linspace(0, 1, BAR)).expand(TEXT, -1, -1)
    image.paste(Image.fromarray(colours.contiguous().numpy()), (0, 0))
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(TEXT)
    for share, anchor in ((0.0, "la"), (0.5, "ma"), (1.0, "ra")):
        text = f"{end * share:.2g}" + (" and more" if share == 1 else "")
        pen.text((BAR * share, TEXT + GAP), text, fill="black", font=font, anchor=anchor)
    pen.text((BAR + 2 * GAP, 0), "squared difference, summed over the colours; pictures in [-1, 1]",
             fill="black", font=font)  # fmt: skip
    return image
