"""Where the features of two faces differ (Fig. 4 of Niu et al. 2022)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

import nvn

from ..data.pairs import Pairs, Split, to_float
from .figures import bare, figure, picture, shortened
from .numbers import computed_with
from .people import of_each_class
from .sheets import to_image

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Couple: TypeAlias = tuple[str, tuple[int, int]]  # a class, and the numbers of two pictures of it

ACROSS = 32  # cells in a row, as in the paper: 256 features are 8 × 32
FACE, WIDE, MARGIN = 130, 400, 120  # pixels of a face, of cells, around all of them, about
COMPARED = 20_000  # pairs of faces that are drawn by lot for the averages


@dataclass(frozen=True)
class Differences:
    """A picture: which features of two people's faces differ, though their expression is the same.

    The paper: "Feature differences are normalized to a range of 0∼1. Locations will be lighted on
    if their values are larger than a fixed threshold value." By what they are normalized is not
    said. Here all features of a network are scaled by one number, the span from the least to the
    largest value of any of them on the faces compared. So differences lie in 0..1, networks can be
    compared whatever the unit of their features, and a feature that hardly ever moves stays dark.

    Fewer lit cells mean more similar features. Features that say nothing are similar too: so it is
    also said how many differ between faces of different expressions, which should be many more.

    Attributes:
        split: The faces.
        weak: The game's weak pictures, (N, C, H, W).
        features: The features (N, F) that networks find in them, and what to call each.
        threshold: From which difference on, of 0..1, a cell is lit; the paper tells none.
        count: How many pairs of people are shown of each class.
    """

    split: Split
    weak: nvn.Value
    features: Mapping[str, nvn.Value]
    threshold: float = 0.1
    count: int = 1

    def __call__(self, engine: nvn.Engine) -> Image.Image:
        """Draw; of each class that two people show."""
        test = self.split.test
        shown = _couples(test, self.count)
        weak = to_float(test.shown("weak"))
        with nvn.progress("comparing features", total=len(self.features) * len(weak)) as bar:
            found = {
                name: scaled(computed_with(engine, self.weak, value, weak, bar).flatten(1))
                for name, value in self.features.items()
            }
        return picture(self.drawn(shown, weak, found))

    def drawn(self, shown: Sequence[Couple], weak: Tensor, found: Mapping[str, Tensor]) -> Figure:
        """Draw couples of weak faces (N, C, H, W), and where the features found in them differ."""
        test = self.split.test
        width = FACE * 2 + WIDE * len(found) + MARGIN
        page = figure(width, FACE * max(1, len(shown)) + MARGIN)
        page.suptitle("\n".join(self._said(test, found)), fontsize="medium", parse_math=False)
        if not shown:  # do not fail a finished run
            page.text(0.5, 0.4, "no two people of one class among those to test on", ha="center")
            return page
        ratios = [1.0, 1.0] + [WIDE / FACE] * len(found)
        grid = page.subplots(len(shown), len(ratios), squeeze=False, width_ratios=ratios)
        for row, (name, couple) in enumerate(shown):
            for axes, number, said in zip(grid[row], couple, ("one", "another"), strict=False):
                axes.imshow(to_image(weak[number]), cmap="gray", vmin=0, vmax=255)
                bare(axes, "" if row else said, shortened(name) if said == "one" else "")
            for axes, (network, features) in zip(grid[row][2:], found.items(), strict=True):
                lit = (features[couple[0]] - features[couple[1]]).abs() > self.threshold
                axes.pcolormesh(_cells(lit), cmap="inferno", vmin=0, vmax=1.2, edgecolors="w")
                axes.invert_yaxis()
                share = f"{int(lit.sum())} of {len(lit)} lit, {100 * lit.double().mean():.1f} %"
                bare(axes, "" if row else shortened(network), below=share)
        return page

    def _said(self, test: Pairs, found: Mapping[str, Tensor]) -> list[str]:
        """What stands above: the averages of each network, nothing of what the lot left out."""
        alike, unlike = by_lot(test)
        said = [f"lit: differs by more than {self.threshold:g} of the span of all features"]
        lots = {"between two people of one class": alike, "of different classes": unlike}
        for name, features in found.items():
            shares = {
                which: 100 * lit_share(features, lot, self.threshold)
                for which, lot in lots.items()
                if len(lot)
            }
            averages = ", ".join(f"{share:.1f} % {which}" for which, share in shares.items())
            said.append(f"{name}: on average lit {averages}")
        return said


def scaled(features: Tensor) -> Tensor:
    """Return features (N, F) as (N, F) in 0..1: from the least to the largest of all of them."""
    least, most = features.min(), features.max()
    return (features - least) / (most - least).clamp(min=torch.finfo(features.dtype).tiny)


def by_lot(test: Pairs) -> tuple[Tensor, Tensor]:
    """Return pairs (M, 2) of pictures of different people: of one class, and of different ones.

    They are drawn by lot, the same ones every time; M differs.
    """
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randint(len(test), (COMPARED, 2), generator=generator)
    person, label = test.subject[drawn], test.label[drawn]
    people, same = person[:, 0] != person[:, 1], label[:, 0] == label[:, 1]
    return drawn[people & same], drawn[people & ~same]


def lit_share(features: Tensor, couples: Tensor, threshold: float) -> float:
    """Return the share of features (N, F) that differ by more than a threshold.

    Args:
        features: In 0..1.
        couples: Which are compared, (M, 2) their numbers.
        threshold: From which difference on, of 0..1.
    """
    one, other = features[couples[:, 0]], features[couples[:, 1]]
    return ((one - other).abs() > threshold).double().mean().item()


def _couples(test: Pairs, count: int) -> list[Couple]:
    """The numbers of two people's pictures, `count` times in each class that has them."""
    return [
        (name, (one, other))
        for name, chosen in of_each_class(test, 2 * count, least=2)
        for one, other in zip(chosen[::2].tolist(), chosen[1::2].tolist(), strict=False)
    ]


def shape_of(features: int) -> tuple[int, int]:
    """Return rows and columns of cells for so many features: rows of 32, or nearly a square."""
    across = ACROSS if features % ACROSS == 0 else math.ceil(math.sqrt(features))
    return math.ceil(features / across), across


def _cells(lit: Tensor) -> NDArray[np.float64]:
    """Cells (F,) in rows, 1 where they are lit; what the last row has too much is no number."""
    rows, across = shape_of(len(lit))
    none = (0, rows * across - len(lit))
    return np.pad(lit.double().numpy(), none, constant_values=np.nan).reshape(rows, across)
