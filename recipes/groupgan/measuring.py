"""What is measured and shown of a game that magnifies expressions."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

import nvn
from nvn.console import Bar

from . import evaluation as ev
from .pairs import Pairs, Split, to_float

BY_PEAKS = "recognised by a classifier of peaks (%)"
BY_WEAK = "recognised by a classifier of weak faces (%)"
LIKENESS = "likeness to real peaks (PSNR, dB)"


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

    pairs: Split
    weak: nvn.Value
    fake: nvn.Value
    peak_logits: nvn.Value
    weak_logits: nvn.Value
    own_logits: nvn.Value
    C_logits: nvn.Value

    def __call__(self, engine: nvn.Engine) -> dict[str, float]:
        """Measure."""
        test = self.pairs.test
        weak, peak = to_float(test.shown("weak")), to_float(test.shown("peak"))
        assert test.intensity is not None
        stretched = ev.extrapolated(test, test.intensity.mean().item())
        with nvn.progress("measuring", total=8 * len(weak)) as bar:

            def computed(value: nvn.Value, pictures: Tensor) -> Tensor:
                return computed_with(engine, self.weak, value, pictures, bar)

            def right(logits: nvn.Value, pictures: Tensor) -> float:
                return 100 * ev.accuracy(computed(logits, pictures), test.label)

            made = computed(self.fake, weak)
            return {
                f"weak, {BY_PEAKS}": right(self.peak_logits, weak),
                f"stretched, {BY_PEAKS}": right(self.peak_logits, stretched),
                f"magnified, {BY_PEAKS}": right(self.peak_logits, made),
                f"real peaks, {BY_PEAKS}": right(self.peak_logits, peak),
                f"weak, {BY_WEAK}": right(self.weak_logits, weak),
                "weak, recognised by E's own head (%)": right(self.own_logits, weak),
                "magnified, recognised by C (%)": right(self.C_logits, made),
                f"weak, {LIKENESS}": ev.psnr(weak, peak),
                f"stretched, {LIKENESS}": ev.psnr(stretched, peak),
                f"magnified, {LIKENESS}": ev.psnr(made, peak),
            }


@dataclass(frozen=True)
class Faces:
    """A picture: weak, magnified and real peak of each expression, of people never seen."""

    pairs: Split
    weak: nvn.Value
    fake: nvn.Value
    rows: int = 3

    def __call__(self, engine: nvn.Engine) -> Image.Image:
        """Draw."""
        test = self.pairs.test
        blocks = {}
        with nvn.progress("drawing faces") as bar:
            for number, name in enumerate(test.classes):
                chosen = examples(test, number, self.rows)
                weak, peak = (to_float(test.take(chosen).shown(role)) for role in ("weak", "peak"))
                bar.reach(number * len(chosen), len(test.classes) * len(chosen))
                made = computed_with(engine, self.weak, self.fake, weak, bar)
                blocks[name] = {"weak": weak, "magnified": made, "real peak": peak}
        return ev.sheet(blocks)


def examples(pairs: Pairs, label: int, count: int) -> Tensor:
    """Return the numbers (M,) of `count` pairs of a class: of as many people, the middle one each.

    A sequence's weak pictures stand together, weakest first.
    """
    shown = []
    for subject in torch.unique(pairs.subject[pairs.label == label]).tolist()[:count]:
        of_one = ((pairs.label == label) & (pairs.subject == subject)).nonzero().flatten()
        shown.append(of_one[len(of_one) // 2])
    return torch.stack(shown) if shown else torch.empty(0, dtype=torch.long)


def computed_with(
    engine: nvn.Engine, weak: nvn.Value, value: nvn.Value, pictures: Tensor, bar: Bar
) -> Tensor:
    """Return a value, computed with `pictures` (N, C, H, W) as the weak ones."""

    def compute(part: Tensor) -> Tensor:
        result: Tensor = engine.values({str(weak): part}, [value])[0].float()
        return result

    return ev.in_parts(compute, pictures, bar.advance)
