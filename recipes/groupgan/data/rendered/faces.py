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
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .. import store
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


@dataclass(frozen=True)
class Faces:
    """N weak frames, each with the neutral frame and the peak of its own sequence.

    A sample's neutral and peak share its light, pose, skin and background, so extrapolating from
    neutral through weak is a fair baseline. neutral, weak, peak: (N, 3, H, W) uint8. label: (N,)
    int64, indices into `classes`; subject: (N,) int64; sequence: (N,) int64; intensity: (N,)
    float32, of the weak frame. Samples of a sequence stand together, weakest first.
    """

    neutral: Tensor
    weak: Tensor
    peak: Tensor
    label: Tensor
    subject: Tensor
    sequence: Tensor
    intensity: Tensor
    classes: tuple[str, ...] = EXPRESSIONS

    def __len__(self) -> int:
        return len(self.weak)


def _silent(done: int, total: int) -> None:
    pass


def render_faces(
    spec: FacesSpec,
    cache: Path | None = None,
    progress: Callable[[int, int], None] = _silent,
    notice: Callable[[str], None] = store.tell,
) -> Faces:
    """The data set of a spec, from the folder `cache` or rendered anew and kept there.

    cache: usually `store.default_cache()`; None keeps nothing. progress is called with frames done
    and frames in all, notice when the cache is damaged or cannot be written. Never raises because
    of the cache.
    """
    path = cache and cache / f"faces-{spec.key()}.npz"
    arrays = store.kept(path, _forms(spec), lambda: _render(spec, progress), notice)
    return _assemble(spec, {name: torch.from_numpy(part) for name, part in arrays.items()})


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


def _render(spec: FacesSpec, progress: Callable[[int, int], None]) -> dict[str, store.Array]:
    """Neutral and peak of each sequence, and its weak frames with their intensities."""
    rig = load_rig()
    shared = surface(rig)
    frames = 2 + spec.levels
    total, done = spec.sequences * frames, 0
    progress(done, total)
    groups = [
        range(first, min(first + PEOPLE, spec.subjects))
        for first in range(0, spec.subjects, PEOPLE)
    ]
    pictures, intensity = [], []
    with workers() as pool:
        for shown, strength in pool.map(lambda group: _shoot(spec, rig, shared, group), groups):
            pictures.append(shown)
            intensity.append(strength)
            done += len(shown)
            progress(done, total)
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


def _assemble(spec: FacesSpec, stored: dict[str, Tensor]) -> Faces:
    """One neutral and one peak for each weak frame."""
    sequence = torch.arange(spec.sequences).repeat_interleave(spec.levels)
    return Faces(
        neutral=stored["neutral"][sequence],
        weak=stored["weak"],
        peak=stored["peak"][sequence],
        label=sequence % len(spec.expressions),
        subject=sequence // len(spec.expressions),
        sequence=sequence,
        intensity=stored["intensity"],
        classes=spec.expressions,
    )
