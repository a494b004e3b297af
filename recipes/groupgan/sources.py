"""Which pictures a recipe on expressions learns from: settings, and the source that they choose."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

import nvn

from .pairs import Source, Split
from .photographs.ckplus import CKPlus
from .photographs.cropping import Crop
from .photographs.folder import Folder
from .photographs.london import London
from .photographs.lsemsw import Lsemsw
from .photographs.mix import Mix
from .photographs.oulu import OuluCasia
from .photographs.smiles import Making
from .rendered.faces import LARGEST, FacesSpec
from .rendered.rig import EXPRESSIONS
from .rendered.source import RenderedFaces

# A run remembers where its data are, also for who looks at it from another folder.
OwnPath = Annotated[Path, AfterValidator(lambda path: path.expanduser().absolute())]


class SplitConfig(nvn.Config):
    """Settings of how data are split in those to learn from and those to test on."""

    folds: int = Field(
        5, ge=2, le=100_000, description="parts that the data are split into, one to test on"
    )
    fold: int = Field(0, ge=0, le=100_000, description="which part to test on; the first is 0")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if problems := list(self._problems()):
            raise ValueError("\n".join(problems))
        return self

    def _problems(self) -> Iterator[str]:
        """Say each pair of settings that do not fit together."""
        if self.fold >= self.folds:
            yield f"fold = {self.fold}: the folds are 0 to {self.folds - 1} (folds = {self.folds})"


class DataConfig(SplitConfig):
    """Settings of the data: rendered faces by default, photographs of one's own by `root`."""

    data: Literal["rendered", "ckplus", "oulu", "mix", "london", "lsemsw", "folder"] = Field(
        "rendered", description="the data set; docs/data.md tells what each one expects in `root`"
    )
    root: OwnPath | None = Field(None, description="the folder of a data set of photographs")
    crop: Crop | None = Field(
        None,
        description="what is seen of photographs: all, the middle square or the face; "
        "if not set, the face (of lsemsw, which is cut already, the middle)",
    )
    first_weak: int = Field(
        6, ge=2, le=10_000, description="films: the first frame that counts as weak"
    )
    last_weak: int = Field(
        8, ge=2, le=10_000, description="films: the last frame that counts as weak"
    )
    peaks_file: OwnPath | None = Field(
        None,
        description="lsemsw: a file of how sure a classifier is of each picture",
    )
    peaks_from: Literal["train", "validation"] = Field(
        "train", description="lsemsw: the part of the set that peaks are chosen from"
    )
    smiles: Making = Field(
        "motion",
        description="london: weak smiles by the motion between both photographs, or by that of the "
        "neutral one's landmarks, which bend it",
    )
    subjects: int = Field(200, ge=10, le=100_000, description="people, if they are rendered")
    levels: int = Field(
        3,
        ge=1,
        le=100,
        description="weak pictures of each expression, if rendered or made of london",
    )
    size: int = Field(
        48, ge=16, le=256, multiple_of=16, description="side of the pictures seen, in pixels"
    )
    margin: int = Field(
        0, ge=0, le=240, description="pixels beyond that side, to crop a part at random"
    )
    variation: float = Field(
        0.0,
        ge=0,
        le=3,
        description="training: how much light, color, sharpness and place vary; 1 is a lot",
    )
    batch: int = Field(24, ge=2, le=100_000, description="pairs of pictures in a batch")

    def _problems(self) -> Iterator[str]:
        yield from super()._problems()
        if self.data == "rendered":
            yield from self._rendered_problems()
        elif self.root is None:
            yield f"data = {self.data}: where are the photographs? Set root, e.g. --set root=FOLDER"
        if self.peaks_file is not None and self.data != "lsemsw":
            yield f"peaks_file = {self.peaks_file}: only lsemsw has its peaks chosen by scores"
        if self.smiles == "landmarks" and self.data != "london":
            yield "smiles = landmarks: only of london are weak smiles made; set data=london"
        if self.first_weak > self.last_weak:
            yield f"first_weak = {self.first_weak} comes after last_weak = {self.last_weak}"

    def _rendered_problems(self) -> Iterator[str]:
        if self.root is not None:
            yield f"root = {self.root}: rendered faces need no folder; set data, e.g. data=folder"
        if self.folds > self.subjects:
            yield (
                f"folds = {self.folds}: {self.subjects} people (subjects) can be split into "
                f"{self.subjects} parts at most"
            )
        tested = len(range(self.fold, self.subjects, self.folds))
        pairs = (self.subjects - tested) * len(EXPRESSIONS) * self.levels
        if self.batch > pairs:
            yield f"batch = {self.batch}: there are only {pairs} pairs to train on"
        if (side := self.size + self.margin) > LARGEST:
            yield f"size + margin = {side}: faces are rendered at {LARGEST} pixels at most"

    @property
    def seen(self) -> Crop:
        """What is seen of photographs."""
        return self.crop or ("center" if self.data == "lsemsw" else "face")

    @property
    def pairs_needed(self) -> bool:
        """Whether the recipe looks at peaks; LSEMSW has them only for who can tell them."""
        return True

    @cached_property
    def source(self) -> Source:
        """Where the pairs come from."""
        side = self.size + self.margin
        if self.root is None:
            return RenderedFaces(FacesSpec(self.subjects, side, self.levels))
        if self.data == "lsemsw":
            return Lsemsw(
                self.root,
                side,
                self.seen,
                self.peaks_file,
                self.peaks_from,
                paired=self.pairs_needed,
            )
        if self.data == "london":
            return London(self.root, side, self.seen, self.levels, by=self.smiles)
        frames = (self.root, side, self.seen, self.first_weak, self.last_weak)
        if self.data == "ckplus":
            return CKPlus(*frames)
        if self.data == "oulu":
            return OuluCasia(*frames)
        return Mix(*frames) if self.data == "mix" else Folder(*frames)

    @cached_property
    def pairs(self) -> Split:
        """The pairs to train and to test on, read when they are first asked for."""
        return Split(self.source, self.size, self.fold, self.folds, self.variation)
