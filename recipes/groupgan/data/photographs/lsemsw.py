"""LSEMSW as pairs: each still with one of its class that a classifier finds easy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import torch
from torch import Tensor

import nvn
from nvn.folders import LeftOut

from ..pairs import Pairs
from . import stills
from .cropping import Crop
from .easy import easiest, partners, read_scores
from .reading import read_groups
from .sequences import without_unused
from .source import PhotoSet
from .stills import CLASSES, Part, Still

NO_PEAKS = (
    "LSEMSW has no peaks: they are the pictures that a trained classifier finds easy, and which "
    "these are has to be known. Set peaks_file=FILE, a file of scores; how to make one with a "
    "classifier of your own is told in docs/data.md, under LSEMSW."
)


@dataclass(frozen=True)
class Lsemsw(PhotoSet):
    """LSEMSW, each picture paired with an easy one of its class.

    Every picture of the training and of the test part, easy or not, is a weak one. The test part is
    what is tested on, in every fold. Nobody knows who is seen: each still counts as a person.

    Attributes:
        peaks: The file of scores by which peaks are chosen, as easy.write_scores writes it.
        peaks_from: The part that peaks are chosen from; the paper says validation.
        easy: The share of the scored pictures of a class that are taken for peaks.
        seed: Another one, other partners.
        paired: If false, each picture is its own peak and no scores are needed: so a classifier can
            be trained that finds the easy ones.
    """

    crop: Crop = "center"  # faces that were cut out already
    peaks: Path | None = None
    peaks_from: Literal["train", "validation"] = "train"
    easy: float = 0.2
    seed: int = 0
    paired: bool = True

    name: ClassVar[str] = stills.NAME
    layout: ClassVar[str] = stills.LAYOUT

    @property
    def classes(self) -> tuple[str, ...]:
        """The thirteen expressions."""
        return CLASSES

    def every(self, left_out: LeftOut) -> Pairs:
        """Return the pairs of all parts but the validation part.

        Raises:
            DataError: If a class is without a peak.
            ConfigError: If there are no scores.
        """
        found = stills.find(self.root, left_out)
        shown = [still for still in found if still.part != "validation"]
        return self._pairs(shown, self._peaks(found), left_out)

    def sample(self, count: int) -> Pairs:
        """Return a few pairs of the training part, `count` or more, with few different peaks."""
        unsaid = self.unsaid()
        found = stills.find(self.root, unsaid)
        first = {still.label: still for still in reversed(self._peaks(found))}
        train = [still for still in found if still.part == "train"]
        taken = min(count, len(train))
        while taken < len(train):
            few = train[:: len(train) // taken][:taken]
            pairs = self._pairs(few, list(first.values()), unsaid)
            if len(pairs) >= count:
                return pairs
            taken *= 2  # some could not be read
        return (
            self._pairs(train, self._peaks(found), unsaid) or self.read()
        )  # which says why there are none

    def stills(self, part: Part) -> tuple[list[str], Tensor, Tensor]:
        """Return a part as it is, to be scored: paths beneath the root, pictures and classes.

        Returns:
            The paths, with slashes, N of them; the pictures, (N, 3, S, S) uint8; (N,) int64.

        Raises:
            DataError: If there is nothing in it.
        """
        left_out = self.unsaid()
        found = [still for still in stills.find(self.root, left_out) if still.part == part]
        pictures, good = self._read(found, left_out)
        if not good.any():
            raise left_out.nothing_left(self.layout)
        kept = [still for still, read in zip(found, good.tolist(), strict=True) if read]
        names = [self._name(still) for still in kept]
        label = torch.tensor([still.label for still in kept])
        return names, pictures if good.all() else pictures[good], label

    def _read(self, found: Sequence[Still], left_out: LeftOut) -> tuple[Tensor, Tensor]:
        groups = [(still.path,) for still in found]
        return read_groups(groups, self.side, self.crop, left_out)

    def _name(self, still: Still) -> str:
        """The path with slashes, from the root on if it lies there."""
        path = still.path
        beneath = path.relative_to(self.root) if path.is_relative_to(self.root) else path
        return beneath.as_posix()

    def _peaks(self, found: Sequence[Still]) -> list[Still]:
        """The easiest pictures of the part that peaks come from; none, if pictures are unpaired."""
        if not self.paired:
            return []
        if self.peaks is None:
            raise nvn.ConfigError(NO_PEAKS)
        scores = read_scores(self.peaks)
        pool = [still for still in found if still.part == self.peaks_from]
        known = [still for still in pool if self._name(still) in scores]
        if not known:
            example = f", such as {self._name(pool[0])}" if pool else ""
            raise nvn.DataError(
                f"{self.peaks}: none of its {len(scores)} paths is a picture of the part "
                f"{self.peaks_from} in {self.root}{example}"
            )
        confidence = torch.tensor([scores[self._name(still)] for still in known])
        chosen = easiest(confidence, torch.tensor([still.label for still in known]), self.easy)
        return [still for still, easy in zip(known, chosen.tolist(), strict=True) if easy]

    def _pairs(self, shown: Sequence[Still], peaks: Sequence[Still], left_out: LeftOut) -> Pairs:
        """Read pictures and their peaks, each once, and bring them together."""
        both = list(dict.fromkeys([*shown, *peaks]))
        place = {still: number for number, still in enumerate(both)}
        pictures, good = self._read(both, left_out)
        label = torch.tensor([still.label for still in both], dtype=torch.long)
        weak = torch.tensor([place[still] for still in shown], dtype=torch.long)
        weak = weak[good[weak]]
        peak = weak
        if self.paired:
            easy = torch.tensor([place[still] for still in peaks], dtype=torch.long)
            easy = easy[good[easy]]
            _require_every_class(label[weak], label[easy])
            generator = torch.Generator().manual_seed(self.seed)
            peak = partners(label[weak], weak, label[easy], easy, generator)
        reserved = torch.tensor([still.part == "test" for still in both], dtype=torch.bool)[weak]
        who = torch.arange(len(weak))
        return without_unused(
            Pairs(pictures, weak, peak, label[weak], who, CLASSES, reserved=reserved)
        )


def _require_every_class(shown: Tensor, peaks: Tensor) -> None:
    missing = set(shown.tolist()) - set(peaks.tolist())
    if missing:
        names = ", ".join(CLASSES[label] for label in sorted(missing))
        raise nvn.DataError(
            f"LSEMSW: there is no peak of {names}: score pictures of every expression"
        )
