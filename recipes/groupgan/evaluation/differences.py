"""Where the features of two faces differ (Fig. 4 of Niu et al. 2022)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from PIL import Image, ImageDraw
from torch import Tensor

import nvn

from ..data.pairs import Pairs, Split, to_float
from .grid import grid
from .lettering import LINE, shortened, written
from .numbers import computed_with
from .people import of_each_class
from .sheets import enlarged, to_image

ACROSS = 32  # cells in a row, as in the paper: 256 features are 8 × 32
CELL = 12  # pixels of a cell, of which one is the line between two
LIT, DARK = "#f4a000", "#20242c"
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
        if not shown:  # do not fail a finished run
            return written("no two people of one class among those to test on:\nnothing to compare")
        weak = to_float(test.shown("weak"))
        with nvn.progress("comparing features", total=len(self.features) * len(weak)) as bar:
            found = {
                name: scaled(computed_with(engine, self.weak, value, weak, bar).flatten(1))
                for name, value in self.features.items()
            }
        rows = []
        scale = enlarged(weak.shape[-1])
        for name, (one, other) in shown:
            faces = [to_image(weak[number], scale) for number in (one, other)]
            lit = [(each[one] - each[other]).abs() > self.threshold for each in found.values()]
            rows.append((shortened(name), [*faces, *map(_cells, lit)]))
        return grid(rows, ["one", "another", *map(shortened, found)], self._said(test, found))

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


def _couples(test: Pairs, count: int) -> list[tuple[str, tuple[int, int]]]:
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


def _cells(lit: Tensor) -> Image.Image:
    """Cells (F,), the lit ones bright, and below them how many they are."""
    rows, across = shape_of(len(lit))
    said = written(f"{int(lit.sum())} of {len(lit)} lit, {100 * lit.double().mean():.1f} %")
    width = max(across * CELL, said.width)
    image = Image.new("RGB", (width, rows * CELL + LINE), "white")
    pen = ImageDraw.Draw(image)
    for number, on in enumerate(lit.tolist()):
        row, column = divmod(number, across)
        x, y = column * CELL, row * CELL
        pen.rectangle((x, y, x + CELL - 2, y + CELL - 2), fill=LIT if on else DARK)
    image.paste(said, (0, rows * CELL))
    return image
