"""What is measured and shown of drawings restored: Fig. 6 of Niu et al. 2022, in numbers too."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

import nvn

from ..data.drawings.repairing import Repair
from .numbers import accuracy, computed_with, ink_iou, psnr, ssim, undecided
from .sheets import sheet


@dataclass(frozen=True)
class Restoration:
    """Likeness to the whole drawings, and how well they are recognized; drawings never seen.

    Attributes:
        repair: The drawings.
        damaged: The game's damaged drawings.
        made: What the game makes of them.
        unplayed: What the same G makes of them, trained by the content energy alone.
        judge: Logits (N, K) of a classifier of whole drawings that the game never meets, as a
            function of `damaged`.
    """

    repair: Repair
    damaged: nvn.Value
    made: nvn.Value
    unplayed: nvn.Value
    judge: nvn.Value

    def __call__(self, engine: nvn.Engine) -> dict[str, float]:
        """Measure."""
        damaged, whole = self.repair.pairs
        label = self.repair.test.label
        found: dict[str, float] = {}
        with nvn.progress("measuring", total=6 * len(damaged)) as bar:

            def computed(value: nvn.Value, pictures: Tensor) -> Tensor:
                return computed_with(engine, self.damaged, value, pictures, bar)

            shown = {
                "restored": computed(self.made, damaged),
                "content alone": computed(self.unplayed, damaged),
                "damaged": damaged,
            }
            for name, pictures in {**shown, "original": whole}.items():
                right = accuracy(computed(self.judge, pictures), label)
                found[f"{name}, recognized (%)"] = 100 * right
        for name, pictures in shown.items():
            found[f"{name}, PSNR (dB)"] = psnr(pictures, whole)
            found[f"{name}, SSIM"] = ssim(pictures, whole)
            found[f"{name}, ink IoU"] = ink_iou(pictures, whole)
            found[f"{name}, undecided (%)"] = 100 * undecided(pictures, whole)
        return found


@dataclass(frozen=True)
class Sketches:
    """A picture: damaged, restored, by content alone, original; drawings never seen.

    Before the game begins, what the content energy alone makes is what is restored.

    Attributes:
        repair: The drawings.
        damaged: The game's damaged drawings.
        made: What the game makes of them.
        unplayed: What the same G makes of them, trained by the content energy alone.
        blocks: How many groups of drawings stand side by side.
        rows: Drawings in each.
    """

    repair: Repair
    damaged: nvn.Value
    made: nvn.Value
    unplayed: nvn.Value
    blocks: int = 3
    rows: int = 5

    def __call__(self, engine: nvn.Engine) -> Image.Image:
        """Draw."""
        damaged, whole = self.repair.pairs
        shown = {}
        with nvn.progress("drawing sketches") as bar:
            for number, chosen in enumerate(self._chosen(len(damaged))):
                made = {
                    name: self._computed(engine, value, damaged[chosen], bar)
                    for name, value in self._made(engine).items()
                }
                shown[f"drawings never seen ({number + 1})"] = {
                    "damaged": damaged[chosen],
                    **made,
                    "original": whole[chosen],
                }
        return sheet(shown, across=self.blocks)

    def _made(self, engine: nvn.Engine) -> dict[str, nvn.Value]:
        begun = engine.state.iterations.get("main", 0) > 0
        alone = {"content alone": self.unplayed} if begun else {}
        return {"restored": self.made, **alone}

    def _chosen(self, drawings: int) -> Iterator[Tensor]:
        """The numbers of the drawings shown, spread over all classes, block by block."""
        count = min(drawings, self.blocks * self.rows)
        order = torch.argsort(self.repair.test.label, stable=True)
        spread = order[torch.linspace(0, drawings - 1, count).round().long()]
        yield from torch.split(spread, self.rows)

    def _computed(
        self, engine: nvn.Engine, value: nvn.Value, pictures: Tensor, bar: nvn.Bar
    ) -> Tensor:
        return computed_with(engine, self.damaged, value, pictures, bar)
