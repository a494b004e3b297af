"""Weak smiles of a person who was photographed neutral and smiling."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

import nvn

from .. import store
from . import thinplate
from .cropping import Box, Crop, Cropper
from .motion import Pose, Window, before, flow, grid, head_pose, looked_up, window
from .reading import UnreadableError, decode

Making: TypeAlias = Literal["motion", "landmarks"]

MAKER = 2  # raise it when the same spec would make other pictures of the same photographs
FINER = 2  # pictures are made so many times as large, and then averaged
POSED = 64  # side of the window in which the pose of the head is sought, in pixels
FLOW = 128  # and that in which the motion of the face is
BENT = 64  # and that of a thin plate, which is smooth
AGAIN = 1  # times that motion is measured once more, from where landmarks have come to: see _bent
# Of the face that was found: its rows and columns around the eyes, which a smile moves least.
EYES = (0.05, 0.5, 0.1, 0.9)
OVAL = (0.55, 0.45)  # half of its height and width, of the face that was found
SOFT = 0.05  # of that: how far its edge fades
# How a head drifts between two frames: its shift (of the window), turn (radians) and scale.
DRIFT = (0.003, 0.006, 0.004)
FIELDS = ("neutral", "peak", "weak", "calm", "intensity", "found")


@dataclass(frozen=True)
class Smile:
    """What is made of a person's two photographs.

    Attributes:
        neutral: The neutral photograph, (3, S, S) uint8.
        peak: The smiling one, the head held as in the neutral one, (3, S, S) uint8.
        weak: Weak smiles, weakest first, (L, 3, S, S) uint8.
        calm: As many neutral faces, drifting as the weak smiles do, (L, 3, S, S) uint8.
        intensity: How much of the smile's motion is in each, (L,) float32.
        found: Whether the crop was found.
    """

    neutral: Tensor
    peak: Tensor
    weak: Tensor
    calm: Tensor
    intensity: Tensor
    found: bool


@dataclass(frozen=True)
class SmileSpec:
    """All that the pictures depend on but for the photographs: settings of `London`."""

    side: int
    crop: Crop
    levels: int
    weak: tuple[float, float]
    seed: int
    by: Making = "motion"

    def files(self, neutral: Path, smiling: Path) -> tuple[Path, ...]:
        """Return all that the pictures are made of."""
        more = (thinplate.template(neutral),) if self.by == "landmarks" else ()
        return neutral, smiling, *more


def smile_of(
    neutral: Path, smiling: Path, spec: SmileSpec, cropper: Cropper, cache: Path | None
) -> Smile:
    """Return a person's weak smiles, from the cache if they were made before.

    Raises:
        UnreadableError: If a photograph cannot be read.
    """

    def made() -> dict[str, store.Array]:
        # A person's own: it does not depend on who else is there.
        rng = np.random.default_rng([spec.seed, int.from_bytes(neutral.stem.encode())])
        smile = make(neutral, smiling, spec, cropper, rng)
        return {name: np.asarray(getattr(smile, name)) for name in FIELDS}

    key = _key(spec, *spec.files(neutral, smiling))
    kept = store.kept(cache and cache / f"smile-{key}.npz", _forms(spec), made)
    found = bool(kept.pop("found"))
    return Smile(**{name: torch.from_numpy(part) for name, part in kept.items()}, found=found)


def _forms(spec: SmileSpec) -> dict[str, store.Form]:
    """The shapes and types of what is kept of a person."""
    picture = (3, spec.side, spec.side)
    one, several = store.Form(picture), store.Form((spec.levels, *picture))
    numbers, truth = store.Form((spec.levels,), np.float32), store.Form((), np.bool_)
    return dict(zip(FIELDS, (one, one, several, several, numbers, truth), strict=True))


def _key(spec: SmileSpec, *files: Path) -> str:
    """A hash of the spec, of this file's version, and of the files, name and content."""
    contents = [(path.stem, _digest(path)) for path in files]
    text = json.dumps([MAKER, dataclasses.asdict(spec), contents])
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _digest(path: Path) -> str:
    try:
        with nvn.files.open_regular(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UnreadableError(path, error) from error


def make(
    neutral: Path, smiling: Path, spec: SmileSpec, cropper: Cropper, rng: np.random.Generator
) -> Smile:
    """Make a person's weak smiles.

    Neutral faces drift as the weak smiles do, so that these are known by the smile, and not by
    having been moved.
    """
    first, last = decode(neutral), decode(smiling)
    face = cropper.finder.find(first)
    box, found = cropper.given(first, face)
    side = FINER * spec.side
    still, moved = window(first, box, side), window(last, box, side)
    way = _way(still, moved, _in_window(face, box))
    if spec.by == "landmarks":
        way = _bent(way, thinplate.landmarks(thinplate.template(neutral)), box)
    places = grid(side)
    intensity = _intensities(spec, rng)
    drifted = [_drift(rng)(places) for _ in intensity]
    weak = [way.at(share, where) for share, where in zip(intensity.tolist(), drifted, strict=True)]
    return Smile(
        neutral=_levels(still.at(places)),
        peak=_levels(moved.at(way.head(places))),
        weak=torch.stack([_levels(picture) for picture in weak]),
        calm=torch.stack([_levels(still.at(where)) for where in drifted]),
        intensity=intensity,
        found=found,
    )


@dataclass(frozen=True)
class Way:
    """The way from one photograph of a face to another.

    Attributes:
        still: Where it begins.
        moved: Where it ends, but for how the head is held.
        head: How it is held then.
        smile: How the face moves besides, (2, N, N).
        face: How much of each place is face and not what is around it, (1, N, N) from 0 to 1.
        blended: Whether the end is seen on the way, or the beginning alone, moved.
    """

    still: Window
    moved: Window
    head: Pose
    smile: Tensor
    face: Tensor
    blended: bool = True

    def at(self, share: float, places: Tensor) -> Tensor:
        """Return the face (3, M, N) at places (2, M, N), a share of the way along.

        Both photographs are moved to where the face is then, and blended. The second weighs share²,
        not share: teeth that one of them does not show would be seen as a ghost. Around the face
        nothing moves: a plain wall has no measurable motion, and hair motion is not modeled.
        """
        motion = self.smile * self.face
        begun = before(places, motion, share)
        if not self.blended:
            return self.still.at(begun)
        ended = begun + looked_up(motion, begun)
        weight = share**2 * looked_up(self.face, begun)
        return torch.lerp(self.still.at(begun), self.moved.at(self.head(ended)), weight)


def _way(still: Window, moved: Window, face: Box) -> Way:
    """Find how the head moved from one photograph to the other, and how the face did besides.

    Args:
        still: Where it begins.
        moved: Where it ends.
        face: Where the face is in `still`, in units of the window.
    """
    coarse, fine = grid(POSED), grid(FLOW)
    head = head_pose(flow(still.at(coarse), moved.at(coarse)), _around_eyes(face))
    smile = flow(still.at(fine), moved.at(head(fine)))
    return Way(still, moved, head, smile, _oval(face))


def _bent(way: Way, landmarks: Tensor, box: Box) -> Way:
    """Return a way on which the neutral photograph alone is bent, as its landmarks move.

    Where they are, there is something to be seen, and motion can be measured. Between them a thin
    plate bends: it tears no mouth open, and what was closed stays closed, without teeth. What is
    measured once falls short of large motions, so the rest is measured too.

    Args:
        way: The way by motion.
        landmarks: Their places in the photograph, (K, 2), in its pixels.
        box: The window's, in the same.
    """
    places = (landmarks - torch.tensor([box.top, box.left], dtype=landmarks.dtype)) / box.side
    smile = thinplate.spread(places, _at(places, way.smile), BENT)
    fine = grid(FLOW)
    for _ in range(AGAIN):
        arrived = _at(places, smile)
        rest = flow(way.still.at(before(fine, smile, 1.0)), way.moved.at(way.head(fine)))
        smile = thinplate.spread(places, arrived + _at(places + arrived, rest), BENT)
    everywhere = torch.ones(1, BENT, BENT)  # a plate ends by itself, at the window's edges
    return dataclasses.replace(way, smile=smile, face=everywhere, blended=False)


def _at(places: Tensor, motion: Tensor) -> Tensor:
    """Return a motion (2, N, N) at places (K, 2): (K, 2) float64."""
    return looked_up(motion, places.T[:, None].float())[:, 0].T.double()


def _in_window(face: Box | None, box: Box) -> Box:
    """Where a face is, in units of the window; one that was not found is supposed to fill it."""
    if face is None:
        return Box(0.1, 0.1, 0.8)
    left, top = (face.left - box.left) / box.side, (face.top - box.top) / box.side
    return Box(left, top, face.side / box.side)


def _around_eyes(face: Box) -> tuple[slice, slice]:
    """The rows and columns around the eyes, in pixels of the window in which the pose is sought."""
    rows, columns = (
        slice(*(min(max(round((start + share * face.side) * POSED), 0), POSED) for share in span))
        for start, span in ((face.top, EYES[:2]), (face.left, EYES[2:]))
    )
    return rows, columns


def _oval(face: Box) -> Tensor:
    """What of the window is face, (1, N, N): 1 in an oval, 0 around it, with a soft edge."""
    rows, columns = grid(FLOW)
    down = (rows - face.top - face.side / 2) / (OVAL[0] * face.side)
    across = (columns - face.left - face.side / 2) / (OVAL[1] * face.side)
    return torch.sigmoid((1 - torch.hypot(down, across)) / SOFT)[None]


def _intensities(spec: SmileSpec, rng: np.random.Generator) -> Tensor:
    """One in each of equal parts of the range, (L,) float32."""
    low, high = spec.weak
    part = (np.arange(spec.levels) + rng.random(spec.levels)) / spec.levels
    return torch.from_numpy((low + (high - low) * part).astype(np.float32))


def _drift(rng: np.random.Generator) -> Pose:
    """A small similarity about the middle of the window."""
    down, right, turn, growth = rng.standard_normal(4) * np.array([DRIFT[0], *DRIFT])
    turned = (1 + growth) * np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    shift = 0.5 - turned @ [0.5, 0.5] + [down, right]
    return Pose(torch.from_numpy(np.column_stack([turned, shift])).float())


def _levels(picture: Tensor) -> Tensor:
    """A picture (3, F·S, F·S) from 0 to 1, averaged to (3, S, S) uint8."""
    return (avg_pool2d(picture, FINER) * 255).round().to(torch.uint8)
