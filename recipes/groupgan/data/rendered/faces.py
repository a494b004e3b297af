"""Rendered faces: for each weak expression the same person's neutral face and peak.

The data set of the GroupGAN recipes. 200 people show six expressions; of each there is a neutral
frame, the peak and a few weak levels under one light and in one pose, so that what differs is the
expression (and a little drift, as in a film). It is computed from a CC0 rig, takes well under a
minute, and is then kept on disk. The same spec gives the same pictures: to the last bit on one
machine with one number of threads; between machines a few samples may differ by a level of 255.
"""

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import nvn

from .. import store
from ..pairs import Pairs
from ..workers import workers
from .paint import paint, surface
from .render import Surface, render
from .rig import EXPRESSIONS, RIG_FILE, Rig, load_rig
from .scenes import Nuisance, cast, film

LARGEST = 256  # side of a picture, in pixels
RENDERER = 3  # raise it when the same spec would give other pictures
TOGETHER = 32  # frames rendered at once
PEOPLE = 4  # subjects at once


@dataclass(frozen=True)
class FacesSpec:
    """Everything the pictures depend on.

    subjects: people. size: side of a picture in pixels. levels: weak frames of a sequence. weak:
    the range their intensity is drawn from, 1 being the peak. seed: another one, other people.
    expressions: which of them people show, in the order of EXPRESSIONS.
    """

    subjects: int = 200
    size: int = 48
    levels: int = 3
    weak: tuple[float, float] = (0.10, 0.40)
    seed: int = 0
    nuisance: Nuisance = field(default_factory=Nuisance)
    expressions: tuple[str, ...] = EXPRESSIONS

    def __post_init__(self) -> None:
        low, high = self.weak
        if not (self.subjects > 0 and self.levels > 0 and 0 <= low <= high <= 1):
            raise ValueError(f"no faces can be rendered of {self}")
        if not self.expressions or not set(self.expressions) <= set(EXPRESSIONS):
            raise ValueError(f"expressions are some of {EXPRESSIONS}, not {self.expressions}")
        if not 16 <= self.size <= LARGEST:
            raise ValueError(f"the size of a picture is 16..{LARGEST} pixels, not {self.size}")

    @property
    def sequences(self) -> int:
        """Subjects times expressions."""
        return self.subjects * len(self.expressions)

    def key(self) -> str:
        """A hash of the spec, the renderer's version and the rig."""
        text = json.dumps([RENDERER, dataclasses.asdict(self)], sort_keys=True)
        return hashlib.sha256(text.encode() + RIG_FILE.read_bytes()).hexdigest()[:24]


def render_faces(spec: FacesSpec, cache: Path | None = None) -> Pairs:
    """The pairs of a spec, from the folder `cache` or rendered anew, with a bar, and kept there.

    Samples of a sequence stand together, weakest first. Their neutral frame and peak share their
    light, pose, skin and background, so extrapolating from neutral through weak is a fair baseline.

    cache: usually `store.default_cache()`; None keeps nothing. Never raises because of the cache:
    it warns when this is damaged or cannot be written.
    """
    path = cache and cache / f"faces-{spec.key()}.npz"
    arrays = store.kept(path, _forms(spec), lambda: _render(spec))
    kept = {name: torch.from_numpy(part) for name, part in arrays.items()}
    sequence = torch.arange(spec.sequences).repeat_interleave(spec.levels)
    return Pairs(
        pictures=torch.cat([kept["neutral"], kept["peak"], kept["weak"]]),
        neutral=sequence,
        peak=spec.sequences + sequence,
        weak=2 * spec.sequences + torch.arange(len(sequence)),
        label=sequence % len(spec.expressions),
        subject=sequence // len(spec.expressions),
        classes=spec.expressions,
        intensity=kept["intensity"],
    )


def _forms(spec: FacesSpec) -> dict[str, store.Form]:
    """The shapes and types of what is kept."""
    picture = (3, spec.size, spec.size)
    weak = spec.sequences * spec.levels
    return {
        "neutral": store.Form((spec.sequences, *picture)),
        "weak": store.Form((weak, *picture)),
        "peak": store.Form((spec.sequences, *picture)),
        "intensity": store.Form((weak,), np.float32),
    }


def _render(spec: FacesSpec) -> dict[str, store.Array]:
    """Neutral and peak of each sequence, and its weak frames with their intensities."""
    rig = load_rig()
    shared = surface(rig)
    frames = 2 + spec.levels
    groups = [
        range(first, min(first + PEOPLE, spec.subjects))
        for first in range(0, spec.subjects, PEOPLE)
    ]
    pictures, intensity = [], []
    with nvn.progress("rendering faces", spec.sequences * frames) as bar, workers() as pool:
        for shown, strength in pool.map(lambda group: _shoot(spec, rig, shared, group), groups):
            pictures.append(shown)
            intensity.append(strength)
            bar.advance(len(shown))
    stacked = torch.cat(pictures).view(spec.sequences, frames, 3, spec.size, spec.size)
    levels = torch.cat(intensity).view(spec.sequences, frames)[:, 2:]
    return {
        "neutral": stacked[:, 0].numpy(),
        "peak": stacked[:, 1].numpy(),
        "weak": stacked[:, 2:].flatten(0, 1).numpy(),
        "intensity": levels.flatten().numpy(),
    }


def _shoot(spec: FacesSpec, rig: Rig, shared: Surface, subjects: range) -> tuple[Tensor, Tensor]:
    """All frames (N, 3, H, W) of some subjects and their intensities (N,)."""
    people = cast(rig, spec.seed, subjects)
    shown = spec.expressions
    takes = film(rig, people, spec.seed, subjects, spec.levels, spec.weak, spec.nuisance, shown)
    skins = paint(people.looks, 256 if spec.size <= 64 else 512)
    pictures = []
    for chosen in torch.split(torch.arange(len(takes.units)), TOGETHER):
        subject = takes.subject[chosen]
        heads = people.vertices(rig, takes.units[chosen], subject)
        shots = takes.shots.take(chosen)
        pictures.append(render(shared, heads, shots, skins, subject, spec.size))
    return torch.cat(pictures), takes.intensity


@dataclass(frozen=True)
class RenderedFaces:
    """The faces of a spec as a source of pairs, from the cache if an earlier run rendered them."""

    spec: FacesSpec

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the expressions."""
        return self.spec.expressions

    def read(self) -> Pairs:
        """Return every pair."""
        return render_faces(self.spec, store.default_cache())

    def sample(self, count: int) -> Pairs:
        """Return the pairs of the first few people: rendering all of them would take minutes."""
        each = self.spec.levels * len(self.spec.expressions)
        people = min(self.spec.subjects, -(-count // each))
        return render_faces(dataclasses.replace(self.spec, subjects=people))
