"""What is in front of the camera: people, sequences of an expression, and their frames.

A sequence is one person making one expression under one light in one pose: a neutral frame, the
peak, and a few weak levels. Everything is drawn from generators keyed by (seed, subject) or (seed,
subject, expression), so a person is the same whatever else is rendered. Letters: S subjects,
Q sequences, L weak levels, F = 2 + L frames of a sequence (neutral, peak, weak…), U face units.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from .hair import sheets, swelling
from .looks import Looks, sample_look, stack_looks
from .render import Shots
from .rig import EXPRESSIONS, EYE, Person, Rig, peak_units, sample_person, stack_shapes

FRAME = 1.14  # half-width of the picture, in distances from the eyes to the mouth
STILL = (
    "tongueOut",
    "cheekPuff",
    "mouthPucker",
    "jawLeft",
    "jawRight",
    "mouthLeft",
    "mouthRight",
)  # units that never stray


@dataclass(frozen=True)
class Nuisance:
    """How strongly things vary that are not the expression; 0 switches each off.

    pose: standard deviation of the head's turn, nod and tilt, radians (also of the framing).
    light: of the lamp's direction and strength, relative. drift: of the pose from frame to frame of
    a sequence, radians. jitter: of a face unit's strength between sequences, relative; half as much
    between the frames of one, so that a weak frame is not a blend of neutral and peak. stray:
    mean weight of units that do not belong to the expression.
    """

    pose: float = 0.04
    light: float = 0.2
    drift: float = 0.006
    jitter: float = 0.15
    stray: float = 0.02


@dataclass(frozen=True)
class Cast:
    """S people: their heads at rest, looks, and how to frame them.

    neutral: (V, 3, S), the scalp swollen by hair; sheets: (C, 3, S), long hair; center: (S, 3);
    half_width: (S,).
    """

    neutral: Tensor
    looks: Looks
    center: Tensor
    half_width: Tensor
    sheets: Tensor

    def vertices(self, rig: Rig, units: Tensor, subject: Tensor) -> Tensor:
        """Heads with hair, (V + C, 3, N), of subjects (N,) with face units (N, U)."""
        head = rig.express(self.neutral[..., subject], units)
        return torch.cat([head, self.sheets[..., subject]])


def cast(rig: Rig, seed: int, subjects: Sequence[int]) -> Cast:
    """Draw people and measure their neutral heads."""
    people: list[Person] = []
    drawn = []
    for subject in subjects:
        rng = np.random.default_rng([seed, 0, subject])
        people.append(sample_person(rig, rng))
        drawn.append(sample_look(people[-1], rng))
    neutral, looks = rig.neutral(stack_shapes(people)), stack_looks(drawn)
    eyes, lips = neutral[rig.part == EYE].mean(0), neutral[rig.lip > 0.5].mean(0)
    height = eyes[1] - lips[1]
    center = torch.stack([eyes[0] * 0, 0.5 * (eyes[1] + lips[1]) - 0.02 * height, eyes[2] - 0.3], 1)
    return Cast(
        neutral=neutral + swelling(rig, looks),
        looks=looks,
        center=center,
        half_width=FRAME * height,
        sheets=sheets(rig, looks, neutral),
    )


@dataclass(frozen=True)
class Takes:
    """Frames of Q sequences, frames of a sequence together: N = Q·F.

    units: (N, U); intensity: (N,), 0 neutral, 1 peak; shots: N; subject: (N,).
    """

    units: Tensor
    intensity: Tensor
    shots: Shots
    subject: Tensor


def weak_levels(rng: np.random.Generator, levels: int, low: float, high: float
                ) -> NDArray[np.float64]:  # fmt: skip
    """Ascending intensities (L,), one anywhere in each of L equal parts of low..high."""
    return np.asarray(low + (high - low) * (np.arange(levels) + rng.random(levels)) / levels)


def film(
    rig: Rig, people: Cast, seed: int, subjects: Sequence[int], levels: int,
    weak: tuple[float, float], nuisance: Nuisance, expressions: Sequence[str] = EXPRESSIONS,
) -> Takes:  # fmt: skip
    """A sequence of each expression of each subject; `Takes.subject` counts within `subjects`."""
    units, intensity, shots = [], [], []
    frames = 2 + levels
    for place, subject in enumerate(subjects):
        for expression in expressions:  # a sequence is the same whatever else is shown
            rng = np.random.default_rng([seed, 1, subject, EXPRESSIONS.index(expression)])
            strength = np.concatenate([[0.0, 1.0], weak_levels(rng, levels, *weak)])
            intensity.append(strength)
            units.append(_units(rig, expression, strength, nuisance, rng))
            shots.append(_shots(people, place, frames, nuisance, rng))
    return Takes(
        torch.from_numpy(np.concatenate(units)).float(),
        torch.from_numpy(np.concatenate(intensity)).float(),
        Shots(**{n: torch.cat([getattr(s, n) for s in shots]) for n in Shots.__annotations__}),
        torch.arange(len(subjects)).repeat_interleave(len(expressions) * frames),
    )


def _units(
    rig: Rig, expression: str, strength: NDArray[np.float64], nuisance: Nuisance,
    rng: np.random.Generator,
) -> NDArray[np.float64]:  # fmt: skip
    """Face units (F, U) of a sequence: each unit has its own strength and its own onset."""
    names, frames = rig.unit_names, len(strength)
    peak = peak_units(rig, expression).double().numpy()
    sides = [n.removesuffix("Left").removesuffix("Right") for n in names]
    own = {side: rng.standard_normal(3) for side in dict.fromkeys(sides)}  # both sides alike
    shared = np.array([own[side] for side in sides])
    peak = peak * (1 + nuisance.jitter * (shared[:, 0] + 0.12 * rng.standard_normal(len(names))))
    onset = 0.95 * np.exp(nuisance.jitter * shared[:, 1])
    wobble = 1 + 0.4 * nuisance.jitter * rng.standard_normal((frames, len(names)))
    weights = peak * strength[:, None] ** onset * wobble
    habit = nuisance.stray * np.abs(shared[:, 2])  # of the sequence, in all its frames
    passing = 0.4 * nuisance.stray * np.abs(rng.standard_normal((frames, len(names))))
    stray = (habit + passing) * [n not in STILL for n in names]
    return np.asarray(np.clip(weights + stray, 0, 1))


def _rotation(turn: Tensor) -> Tensor:
    """Rotation matrices (F, 3, 3) of yaw, pitch and roll (F, 3) in radians."""
    (cy, cp, cr), (sy, sp, sr) = turn.cos().unbind(1), turn.sin().unbind(1)
    one, nil = torch.ones_like(cy), torch.zeros_like(cy)
    yaw = torch.stack([cy, nil, sy, nil, one, nil, -sy, nil, cy], 1).view(-1, 3, 3)
    pitch = torch.stack([one, nil, nil, nil, cp, -sp, nil, sp, cp], 1).view(-1, 3, 3)
    roll = torch.stack([cr, -sr, nil, sr, cr, nil, nil, nil, one], 1).view(-1, 3, 3)
    return roll @ pitch @ yaw


def _shots(people: Cast, place: int, frames: int, nuisance: Nuisance, rng: np.random.Generator
           ) -> Shots:  # fmt: skip
    """The shots of a sequence: one light, one background, one pose that drifts a little."""

    def normal(*shape: int) -> Tensor:
        return torch.from_numpy(rng.standard_normal(shape)).float()

    turn = nuisance.pose * torch.tensor([1.0, 0.8, 0.5]) * normal(3)
    turn = turn + nuisance.drift * normal(frames, 3)
    shift = 0.4 * nuisance.pose * normal(2) + nuisance.drift * normal(frames, 2)
    scale = 1 + 0.5 * nuisance.pose * normal(1)
    light = torch.tensor([0.0, 0.45, 0.85]) + nuisance.light * torch.tensor(
        [1.5, 0.8, 0.4]
    ) * normal(3)
    level = (nuisance.light * torch.tensor([0.5, 0.4, 0.3]) * normal(3)).exp()
    warmth = 0.2 * nuisance.light * normal(1) * torch.tensor([1.0, 0.0, -1.0])
    lamp = torch.tensor([0.95, 0.92, 0.88]) * level[0] * (1 + warmth)
    hue = (math.tau * torch.from_numpy(rng.random(1)).float() + torch.tensor([0, 2.1, 4.2])).cos()
    value = 0.1 + 0.35 * rng.random() ** 1.5
    back = torch.stack([value * (1.15 + 0.2 * hue), value * (0.7 + 0.15 * hue)])

    def all_frames(value: Tensor) -> Tensor:
        return value.expand(frames, *value.shape).contiguous()

    return Shots(
        rotation=_rotation(turn),
        center=all_frames(people.center[place]),
        half_width=(people.half_width[place] * scale).expand(frames).contiguous(),
        shift=shift,
        light=all_frames(F.normalize(light, dim=0)),
        lamp=all_frames(lamp),
        sky=all_frames(torch.tensor([0.42, 0.44, 0.48]) * level[1]),
        ground=all_frames(torch.tensor([0.22, 0.20, 0.18]) * level[2]),
        back=all_frames(back),
    )
