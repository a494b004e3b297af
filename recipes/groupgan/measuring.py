"""What is measured and shown of a game that magnifies expressions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from PIL import Image
from torch import Tensor

import nvn

from . import evaluation as ev
from .faces import to_float
from .pairs import FacePairs


@dataclass(frozen=True)
class Recognition:
    """Accuracies (%) and likeness to the real peaks (PSNR, dB), on people never seen in training.

    Attributes:
        pairs: The faces.
        weak: The game's weak pictures.
        fake: What it makes of them.
        peak_logits: What a classifier trained on peaks says of `weak`, if it is given that.
        weak_logits: What a classifier trained on weak pictures says of `weak`.
        own_logits: What E's own head says of `weak`.
        C_logits: What C says of `weak`, if it is given that.
    """

    pairs: FacePairs
    weak: nvn.Value
    fake: nvn.Value
    peak_logits: nvn.Value
    weak_logits: nvn.Value
    own_logits: nvn.Value
    C_logits: nvn.Value

    def __call__(self, engine: nvn.Engine) -> dict[str, float]:
        """Measure."""
        test = self.pairs.test
        weak, peak = to_float(test.weak), to_float(test.peak)
        stretched = ev.extrapolated(test, sum(self.pairs.spec.weak) / 2)
        made = self._compute(engine, self.fake, weak)
        right = partial(self._accuracy, engine)
        return {
            "weak, judged by peaks": right(self.peak_logits, weak),
            "magnified, judged by peaks": right(self.peak_logits, made),
            "extrapolated, judged by peaks": right(self.peak_logits, stretched),
            "real peak, judged by peaks": right(self.peak_logits, peak),
            "weak, judged by weak": right(self.weak_logits, weak),
            "weak, judged by E": right(self.own_logits, weak),
            "magnified, judged by C": right(self.C_logits, made),
            "psnr of weak": ev.psnr(weak, peak),
            "psnr of magnified": ev.psnr(made, peak),
            "psnr of extrapolated": ev.psnr(stretched, peak),
        }

    def _accuracy(self, engine: nvn.Engine, logits: nvn.Value, pictures: Tensor) -> float:
        return 100 * ev.accuracy(self._compute(engine, logits, pictures), self.pairs.test.label)

    def _compute(self, engine: nvn.Engine, value: nvn.Value, pictures: Tensor) -> Tensor:
        """Return a value, computed with `pictures` (N, C, H, W) as the weak ones."""
        name = str(self.weak)
        return ev.in_parts(lambda part: engine.values({name: part}, [value])[0].float(), pictures)


@dataclass(frozen=True)
class Faces:
    """A picture: weak, magnified and real peak of each expression, of people never seen."""

    pairs: FacePairs
    weak: nvn.Value
    fake: nvn.Value
    rows: int = 5

    def __call__(self, engine: nvn.Engine) -> Image.Image:
        """Draw."""
        test = self.pairs.test
        levels = self.pairs.spec.levels
        middle = torch.arange(len(test)) % levels == levels // 2
        groups = {}
        for number, name in enumerate(test.classes):
            chosen = ((test.label == number) & middle).nonzero().flatten()[: self.rows]
            weak, peak = to_float(test.weak[chosen]), to_float(test.peak[chosen])
            made = engine.values({str(self.weak): weak}, [self.fake])[0].float().cpu()
            groups[name] = [weak, made, peak]
        return ev.blocks(groups, "weak, magnified, real peak")
