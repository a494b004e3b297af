"""Which expressions are taken for which: the confusion matrix (Table 2 of Niu et al. 2022)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from torch import Tensor
from torchmetrics.functional.classification import multiclass_confusion_matrix

import nvn

from ..data.pairs import Split, to_float
from .figures import figure, picture, shortened
from .numbers import computed_with

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CELL = 64  # pixels of a field, about
MARGIN = 240  # and around all of them


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
        """Draw."""
        test = self.split.test
        with nvn.progress("drawing the confusion matrix", total=len(test)) as bar:
            weak = to_float(test.shown("weak"))
            logits = computed_with(engine, self.weak, self.answer, weak, bar)
        return picture(drawn(confusion(logits, test.label), test.classes))


def drawn(counts: Tensor, classes: Sequence[str]) -> Figure:
    """Draw a confusion matrix (K, K): in each row, % of the pictures of a class.

    The darker, the more; a class without pictures has dashes.
    """
    pictures = counts.sum(dim=1)
    shares = 100 * counts / pictures[:, None]
    right = 100 * counts.diagonal().sum() / pictures.sum()
    average = shares.diagonal()[pictures > 0].mean()
    side = MARGIN + CELL * len(classes)
    page = figure(side + MARGIN, side)
    axes = page.subplots()
    shown = axes.imshow(shares.nan_to_num().numpy(), cmap="Blues", vmin=0, vmax=100)
    for (row, column), share in np.ndenumerate(shares.numpy()):
        said = "-" if math.isnan(share) else f"{share:.1f}"
        axes.text(column, row, said, ha="center", va="center", color=_on(share))
    each = zip(classes, pictures.tolist(), strict=True)
    rows = [f"{shortened(name)} ({count})" for name, count in each]
    numbers = range(len(classes))
    axes.set_xticks(numbers, map(shortened, classes), rotation=45, ha="right", parse_math=False)
    axes.set_yticks(numbers, rows, parse_math=False)
    axes.set(xlabel="taken for", ylabel="what is shown (how many)")
    axes.set_title(
        f"accuracy {right:.1f} % of {pictures.sum()} pictures; mean of the classes {average:.1f} %",
        fontsize="medium",
    )
    page.colorbar(shown, label="% of the row")
    return page


def _on(share: float) -> str:
    """Return the color of a number on a field: light on dark."""
    return "white" if share > 50 else "black"
