"""A picture of what a game makes of weak faces."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

import nvn

from ..data.pairs import Split, to_float
from .numbers import computed_with
from .people import of_each_class
from .sheets import sheet


@dataclass(frozen=True)
class Faces:
    """A picture: weak, magnified and real peak of each expression, of people never seen.

    Attributes:
        split: The faces.
        weak: The game's weak pictures, (N, C, H, W).
        fake: What it makes of them.
        rows: How many people are shown of each expression.
    """

    split: Split
    weak: nvn.Value
    fake: nvn.Value
    rows: int = 3

    def __call__(self, engine: nvn.Engine) -> Image.Image:
        """Draw."""
        test = self.split.test
        shown = dict(of_each_class(test, self.rows))
        blocks = {}
        with nvn.progress("drawing faces", total=sum(map(len, shown.values()))) as bar:
            for name, chosen in shown.items():
                weak, peak = (to_float(test.take(chosen).shown(role)) for role in ("weak", "peak"))
                made = computed_with(engine, self.weak, self.fake, weak, bar)
                blocks[name] = {"weak": weak, "magnified": made, "real peak": peak}
        return sheet(blocks)
