"""Settings of the games that magnify: what counts, and how much. Each adds to the one before."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from pydantic import Field

from .fitting import Fitting, Presets, Weight, extended
from .play import Content, Family


class Conventional(Fitting):
    """Settings of {G} v {D}."""

    presets: ClassVar[Presets] = {
        "paper": {
            "content": "mse",
            "adversarial": "minimax",
            "a": 2e-3,
            "classifier": "frozen",
            "algorithm1": True,
        },
        "london": {"a": 6e-3},
    }

    content: Content = Field("l1", description="content energy between generated and real peaks")
    adversarial: Family = Field("non_saturating", description="adversarial loss")
    a: Weight = Field(3e-3, description="G's weight on fooling D")
    classifier: Literal["frozen", "cotrained"] = Field(
        "cotrained", description="C is frozen after pre-training, or co-trained"
    )
    algorithm1: bool = Field(False, description="each player moves alone, on a fresh batch")


class OneVersusTwo(Conventional):
    """Settings of {G} v {D, D′}."""

    presets: ClassVar[Presets] = extended(
        Conventional.presets, paper={"b": 2e-3, "c": 1.0}, london={"b": 1e-2, "c": 2e-2}
    )

    b: Weight = Field(3e-3, description="G's weight on the peak, as judged by D′ or C")
    c: Weight = Field(3e-3, description="G's weight on the cross-entropy of C")
    weak_negatives: bool = Field(False, description="D′ also learns that weak faces are no peaks")
    peakness: Literal["critic", "likelihood"] = Field(
        "critic", description="what judges peaks: D′, or the likelihood of the class by C"
    )

    def _problems(self) -> Iterator[str]:
        if self.weak_negatives and self.peakness == "likelihood":
            yield "weak_negatives = true: D′ learns them, and with peakness = likelihood is no D′"

    @property
    def critics(self) -> tuple[str, ...]:
        """D, and D′ where there is one."""
        return ("D", "Dp") if self.peakness == "critic" else ("D",)


class TwoVersusTwo(OneVersusTwo):
    """Settings of {G, E} v {D, D′}."""

    presets: ClassVar[Presets] = extended(
        OneVersusTwo.presets, paper={"ae": 2e-3, "be": 2e-3, "head": 0.0}
    )

    ae: Weight = Field(3e-3, description="E's weight on fooling D")
    be: Weight = Field(3e-3, description="E's weight on the peak, as judged by D′ or C")
    head: Weight = Field(0.3, description="E's weight on the cross-entropy of its own head")
