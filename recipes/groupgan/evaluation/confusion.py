"""Which expressions are taken for which: the confusion matrix (Table 2 of Niu et al. 2022)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torchmetrics.functional.classification import multiclass_confusion_matrix

import nvn

from ..data.pairs import Split, to_float
from .colors import ink, luminance, scale
from .grid import grid
from .lettering import TEXT, shortened
from .numbers import computed_with

CELL = 80  # pixels of a field
MIDDLE = 0.18  # the luminance that is as far from black as from white, for eyes


def confusion(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the confusion matrix (K, K): how many of class i (row) are taken for class j.

    Args:
        logits: (N, K), K classes.
        labels: (N,), the classes they are of.
    """
    return multiclass_confusion_matrix(logits, labels, num_classes=logits.shape[1])


@dataclass(frozen=True)
class Confusion:
    """A picture: the confusion matrix in % of each row, on people never seen.

    Attributes:
        split: The faces.
        weak: The game's weak pictures, (N, C, H, W).
        answer: How they are recognized: logits (N, K), K classes.
    """

    split: Split
    weak: nvn.Value
    answer: nvn.Value

    def __call__(self, engine: nvn.Engine) -> Image.Image:
        """Draw.

        Raises:
            DataError: If there is nobody to test on.
        """
        test = self.split.test
        with nvn.progress("drawing the confusion matrix", total=len(test)) as bar:
            weak = to_float(test.shown("weak"))
            logits = computed_with(engine, self.weak, self.answer, weak, bar)
        return drawn(confusion(logits, test.label), test.classes)


def drawn(counts: Tensor, classes: Sequence[str]) -> Image.Image:
    """Return a picture of a confusion matrix (K, K): in each row, % of the pictures of a class.

    The darker, the more; a class without pictures has dashes.
    """
    pictures = counts.sum(dim=1)
    shares = counts / pictures[:, None]
    right = counts.diagonal().sum() / pictures.sum()
    average = shares.diagonal()[pictures > 0].mean()
    rows = [
        (f"{shortened(name)} ({number})", [_cell(share) for share in row.tolist()])
        for name, number, row in zip(classes, pictures.tolist(), shares, strict=True)
    ]
    head = [
        f"accuracy {100 * right:.1f} % of {pictures.sum()} pictures; "
        f"mean of the classes {100 * average:.1f} %",
        "row: what is shown (how many); column: what it is taken for",
    ]
    return grid(
        rows,
        [*map(shortened, classes)],
        head,
        scale(ink, ["0", "50", "100"], "% of the row"),
        gap=-1,
    )


def _cell(share: float) -> Image.Image:
    """One field of the matrix: a color, and the number on it in black or white."""
    known = not math.isnan(share)
    color = ink(torch.tensor(share if known else 0.0))
    cell = Image.fromarray(color.expand(CELL, CELL, 3).contiguous().numpy())
    pen = ImageDraw.Draw(cell)
    pen.rectangle((0, 0, CELL - 1, CELL - 1), outline="#a0a4ac")
    pen.text(
        (CELL // 2, CELL // 2),
        f"{100 * share:.1f}" if known else "-",
        fill="black" if luminance(color) > MIDDLE else "white",
        font=ImageFont.load_default(TEXT),
        anchor="mm",
    )
    return cell
