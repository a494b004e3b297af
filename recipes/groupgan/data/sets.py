"""Which pictures a recipe on expressions learns from: a kind of data for each set.

A kind has the settings of its set alone, and makes the source that reads it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, ClassVar, Literal, TypeAlias

from pydantic import AfterValidator, Field

from ..fitting import Folds, Presets, extended
from .pairs import Source, Split
from .photographs.ckplus import CKPlus
from .photographs.cropping import Crop
from .photographs.folder import Folder
from .photographs.london import London
from .photographs.lsemsw import Lsemsw
from .photographs.mix import Mix
from .photographs.oulu import OuluCasia
from .photographs.sequences import FilmSet
from .photographs.smiles import Making
from .rendered.faces import LARGEST, FacesSpec, RenderedFaces
from .rendered.rig import EXPRESSIONS

# A run remembers where its data are, also for who looks at it from another folder.
OwnPath = Annotated[Path, AfterValidator(lambda path: path.expanduser().absolute())]


class Pictures(Folds):
    """What all sets have: how large pictures are, and how people are split."""

    presets: ClassVar[Presets] = {
        "gpu": {"size": 64, "margin": 8},
        "paper": {"size": 128, "margin": 16},
    }

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
        description="training: how much light, color, sharpness, place vary; 1: a lot",
    )

    @property
    def side(self) -> int:
        """The side of the pictures that are read, in pixels."""
        return self.size + self.margin

    @property
    def seen(self) -> Crop:
        """What is seen of photographs, also of one's own that a trained game is applied to."""
        return "face"

    @property
    def trained(self) -> int | None:
        """How many pairs there are to train on, where that is known before they are read."""
        return None

    @abstractmethod
    def source(self, *, paired: bool) -> Source:
        """Return where the pairs come from; `paired` tells whether peaks are looked at."""

    def split(self, *, paired: bool) -> Split:
        """Return the pairs to train and to test on, read when they are first asked for."""
        source = self.source(paired=paired)
        return Split(source, self.size, self.fold, self.folds, self.variation)


class RenderedData(Pictures):
    """Rendered faces: nothing is needed for them."""

    presets: ClassVar[Presets] = extended(Pictures.presets, gpu={"subjects": 1000})

    kind: Literal["rendered"] = "rendered"
    subjects: int = Field(200, ge=10, le=100_000, description="people")
    levels: int = Field(3, ge=1, le=100, description="weak pictures of each expression")

    def _problems(self) -> Iterator[str]:
        yield from super()._problems()
        if self.folds > self.subjects:
            yield (
                f"folds = {self.folds}: {self.subjects} people (subjects) can be split into "
                f"{self.subjects} parts at most"
            )
        if self.side > LARGEST:
            yield f"size + margin = {self.side}: faces are rendered at {LARGEST} pixels at most"

    @property
    def trained(self) -> int:
        """How many pairs there are to train on."""
        tested = len(range(self.fold, self.subjects, self.folds))
        return (self.subjects - tested) * len(EXPRESSIONS) * self.levels

    def source(self, *, paired: bool) -> Source:
        """Return the faces; all of them have peaks."""
        return RenderedFaces(FacesSpec(self.subjects, self.side, self.levels))


class Photographs(Pictures):
    """What all sets of photographs have."""

    root: OwnPath = Field(description="the folder of the photographs (docs/data.md)")
    crop: Crop = Field("face", description="what is seen: all, the middle square or the face")

    @property
    def seen(self) -> Crop:
        """What is seen of photographs."""
        return self.crop


class Films(Photographs):
    """What all sets of films have: which of their frames are weak."""

    reader: ClassVar[type[FilmSet]]

    first_weak: int = Field(6, ge=2, le=10_000, description="the first frame that counts as weak")
    last_weak: int = Field(8, ge=2, le=10_000, description="the last frame that counts as weak")

    def _problems(self) -> Iterator[str]:
        yield from super()._problems()
        if self.first_weak > self.last_weak:
            yield f"first_weak = {self.first_weak} comes after last_weak = {self.last_weak}"

    def source(self, *, paired: bool) -> Source:
        """Return the films; all of them have peaks."""
        return self.reader(self.root, self.side, self.crop, self.first_weak, self.last_weak)


class CKPlusData(Films):
    """CK+."""

    reader: ClassVar = CKPlus
    kind: Literal["ckplus"] = "ckplus"


class OuluData(Films):
    """Oulu-CASIA."""

    reader: ClassVar = OuluCasia
    kind: Literal["oulu"] = "oulu"


class MixData(Films):
    """CK+ and Oulu-CASIA together."""

    reader: ClassVar = Mix
    kind: Literal["mix"] = "mix"


class FolderData(Films):
    """A folder of one's own."""

    reader: ClassVar = Folder
    kind: Literal["folder"] = "folder"


class LondonData(Photographs):
    """The London set."""

    kind: Literal["london"] = "london"
    levels: int = Field(3, ge=1, le=100, description="weak pictures made of each expression")
    smiles: Making = Field(
        "motion", description="weak smiles: both photographs moved, or one bent by its landmarks"
    )

    def source(self, *, paired: bool) -> Source:
        """Return the smiles; all of them have peaks."""
        return London(self.root, self.side, self.crop, self.levels, by=self.smiles)


class LsemswData(Photographs):
    """LSEMSW."""

    kind: Literal["lsemsw"] = "lsemsw"
    crop: Crop = Field("center", description="what is seen of pictures that are cut out already")
    peaks_file: OwnPath | None = Field(
        None, description="a file of how sure a classifier is of each picture"
    )
    peaks_from: Literal["train", "validation"] = Field(
        "train", description="the part of the set that peaks are chosen from"
    )

    def source(self, *, paired: bool) -> Source:
        """Return the stills, with the peaks that the file tells if they are looked at."""
        files = (self.peaks_file, self.peaks_from)
        return Lsemsw(self.root, self.side, self.crop, *files, paired=paired)


Data: TypeAlias = Annotated[
    RenderedData | CKPlusData | OuluData | MixData | LondonData | LsemswData | FolderData,
    Field(discriminator="kind"),
]
