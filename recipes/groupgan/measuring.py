"""What is measured and shown of a game that magnifies expressions."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

import nvn

from .evaluation import numbers as ev
from .evaluation.faces import Faces as Faces
from .pairs import Split, to_float

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
                return ev.computed_with(engine, self.weak, value, pictures, bar)

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
