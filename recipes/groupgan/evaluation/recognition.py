"""How well weak expressions are recognized, and how well they are magnified."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

import nvn

from ..data.pairs import Pairs, Split, to_float
from .numbers import accuracy, computed_with, extrapolated, psnr, ssim

BY_PEAKS = "recognized by a classifier of peaks (%)"


@dataclass(frozen=True)
class Recognition:
    """Accuracies (%) and likeness to the real peaks (PSNR in dB, SSIM), on people never seen.

    Attributes:
        split: The faces.
        weak: The game's weak pictures, (N, C, H, W).
        answer: How this method recognizes them: logits (N, K), K classes.
        fake: What it makes of them, (N, C, H, W), if it magnifies.
        judge: Logits (N, K) of a classifier that knows only peaks, as a function of `weak`.
        others: Further logits (N, K), and who gives them.
    """

    split: Split
    weak: nvn.Value
    answer: nvn.Value
    fake: nvn.Value | None = None
    judge: nvn.Value | None = None
    others: Mapping[str, nvn.Value] = field(default_factory=dict)

    def __call__(self, engine: nvn.Engine) -> dict[str, float]:
        """Measure."""
        test = self.split.test
        peak, shown = to_float(test.shown("peak")), _without_learning(test)
        weak = shown["weak"]
        magnifies = self.fake is not None
        judged = len(shown) + magnifies + 1 if self.judge is not None else 0
        passes = 1 + magnifies + judged + len(self.others)
        with nvn.progress("measuring", total=passes * len(test)) as bar:

            def computed(value: nvn.Value, pictures: Tensor = weak) -> Tensor:
                return computed_with(engine, self.weak, value, pictures, bar)

            found = {"accuracy (%)": 100 * accuracy(computed(self.answer), test.label)}
            if self.fake is not None:
                shown["magnified"] = computed(self.fake)
            if self.judge is not None:
                for name, pictures in {**shown, "real peaks": peak}.items():
                    said = computed(self.judge, pictures)
                    found[f"{name}, {BY_PEAKS}"] = 100 * accuracy(said, test.label)
                    found.update(_of_two(name, said, test))
            for name, logits in self.others.items():
                right = accuracy(computed(logits), test.label)
                found[f"weak, recognized by {name} (%)"] = 100 * right
        return {**found, **_likeness(shown, peak, _two(test))} if magnifies else found


def _of_two(name: str, logits: Tensor, test: Pairs) -> dict[str, float]:
    """How many in % of each class are recognized, if there are two.

    Of two, one alone may be all that is ever answered, or made, and half of that is right.
    """
    return {
        f"{name}, {each}, {BY_PEAKS}": 100 * accuracy(logits[rows], test.label[rows])
        for each, rows in _two(test).items()
    }


def _two(test: Pairs) -> dict[str, Tensor]:
    """Which pictures are of each class, (N,) bool, if there are two, as far as they are shown."""
    if len(test.classes) != 2:
        return {}
    shown = {each: test.label == number for number, each in enumerate(test.classes)}
    return {each: rows for each, rows in shown.items() if rows.any()}


def _without_learning(test: Pairs) -> dict[str, Tensor]:
    """The weak pictures, and stretched ones where it is known how weak they are."""
    shown = {"weak": to_float(test.shown("weak"))}
    if test.neutral is not None and test.intensity is not None:
        shown["stretched"] = extrapolated(test, test.intensity.mean().item())
    return shown


def _likeness(
    shown: Mapping[str, Tensor], peak: Tensor, classes: Mapping[str, Tensor]
) -> dict[str, float]:
    """How much pictures look like the real peaks; PSNR is told of some classes by themselves."""
    found = {}
    for unit, measure in (("PSNR, dB", psnr), ("SSIM", ssim)):
        for kind, pictures in shown.items():
            found[f"{kind}, likeness to real peaks ({unit})"] = measure(pictures, peak)
    for each, rows in classes.items():
        for kind, pictures in shown.items():
            name = f"{kind}, {each}, likeness to real peaks (PSNR, dB)"
            found[name] = psnr(pictures[rows], peak[rows])
    return found
