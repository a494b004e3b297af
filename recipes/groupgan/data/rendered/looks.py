"""What a person looks like apart from shape: colors, brows, hair, beard. Drawn, not painted.

Letters: S subjects. Colors are gamma-encoded RGB in 0..1; lengths are decimeters on the unwrapped
head (see `paint`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .rig import Person

# Skin from light to dark, as measured tones look under white light.
TONES = np.array(
    [[0.92, 0.78, 0.71], [0.87, 0.71, 0.61], [0.78, 0.61, 0.50], [0.65, 0.48, 0.38],
     [0.51, 0.36, 0.28], [0.39, 0.27, 0.21]]
)  # fmt: skip
HAIR = np.array(
    [[0.12, 0.105, 0.10], [0.19, 0.13, 0.10], [0.30, 0.19, 0.11], [0.46, 0.31, 0.17],
     [0.72, 0.56, 0.34], [0.50, 0.22, 0.10], [0.62, 0.61, 0.60]]
)  # fmt: skip
IRIS = np.array([[0.24, 0.14, 0.08], [0.40, 0.27, 0.13], [0.36, 0.40, 0.22], [0.30, 0.45, 0.60],
                 [0.45, 0.52, 0.55]])  # fmt: skip


@dataclass(frozen=True)
class Looks:
    """Traits of S subjects, each (S,) or (S, 3).

    skin, lip, iris, hair: colors. blush, freckles, mottling: strengths. brow_*: height above its
    usual place, arch, half thickness, density. line: height of the hairline; peak: how far it dips
    in the middle; recede: how far it climbs at the temples; volume: thickness of the hair; long:
    length of the hair at the sides, 0 for none; opening: how far the sides stand off the face.
    beard, moustache, stubble: densities. grain: a seed for the noise of the skin.
    """

    skin: Tensor
    lip: Tensor
    iris: Tensor
    hair: Tensor
    blush: Tensor
    freckles: Tensor
    mottling: Tensor
    brow_height: Tensor
    brow_arch: Tensor
    brow_half: Tensor
    brow_density: Tensor
    line: Tensor
    peak: Tensor
    recede: Tensor
    volume: Tensor
    long: Tensor
    opening: Tensor
    beard: Tensor
    moustache: Tensor
    stubble: Tensor
    grain: Tensor

    def take(self, chosen: Tensor) -> "Looks":
        """Some of the subjects."""
        return Looks(**{field.name: getattr(self, field.name)[chosen] for field in fields(self)})


def _palette(colors: NDArray[np.float64], place: float) -> NDArray[np.float64]:
    """The color at 0..1 along a palette."""
    at = np.clip(place, 0, 1) * (len(colors) - 1)
    low = min(int(at), len(colors) - 2)
    return np.asarray(colors[low] + (at - low) * (colors[low + 1] - colors[low]))


def sample_look(person: Person, rng: np.random.Generator) -> dict[str, NDArray[np.float64] | float]:
    """Draw the traits of a person, by the names of `Looks`; ancestry, sex and age lean on them."""
    african, asian, _ = person.ancestry
    male = person.male > 0.5
    tone = 0.10 + 0.72 * african + 0.15 * asian + 0.13 * rng.standard_normal()
    skin = _palette(TONES, tone) * (1 + 0.02 * rng.standard_normal(3))
    fair = (rng.random() < 1 - african - asian) and tone < 0.4
    gray = person.old > 0.5 and rng.random() < 0.6
    hair = HAIR[rng.integers(0, 6) if fair else rng.integers(0, 3)]
    hair = (HAIR[6] if gray else hair) * rng.uniform(0.8, 1.2)
    iris = IRIS[rng.integers(0, 5) if fair else rng.integers(0, 2)] * rng.uniform(0.8, 1.2)
    red = rng.uniform(0.25, 0.7) * (0.5 if male else 1.0)
    lip = (1 - red) * skin * [0.88, 0.68, 0.68] + red * skin * [0.85, 0.42, 0.46]
    long = 0.0 if rng.random() < (0.93 if male else 0.3) else rng.uniform(0.7, 1.0)
    bearded, shaven = male and rng.random() < 0.28, male and rng.random() < 0.5
    return {
        "skin": skin, "lip": lip, "iris": iris, "hair": hair,
        "blush": rng.uniform(0.1, 1.0), "freckles": max(0.0, rng.normal(-0.5, 0.7)) * fair,
        "mottling": rng.uniform(0.3, 1.0),
        "brow_height": 0.02 * rng.standard_normal(), "brow_arch": rng.uniform(0.0, 1.0),
        "brow_half": rng.uniform(0.028, 0.05) if male else rng.uniform(0.018, 0.034),
        "brow_density": rng.uniform(0.55, 1.0) * (0.7 if gray else 1.0),
        "line": 7.98 + 0.09 * rng.standard_normal() - 0.3 * (rng.random() < 0.22),
        "peak": max(0.0, 0.08 * rng.standard_normal()),
        "recede": max(0.0, rng.normal(0.1, 0.15)) if male else 0.0,
        "volume": rng.uniform(0.02, 0.12) if male else rng.uniform(0.06, 0.16),
        "long": long, "opening": rng.uniform(0.0, 1.0),
        "beard": rng.uniform(0.5, 0.95) * bearded,
        "moustache": rng.uniform(0.4, 0.9) * (bearded or (male and rng.random() < 0.08)),
        "stubble": rng.uniform(0.05, 0.4) * (male and not shaven),
        "grain": float(rng.integers(0, 2**31)),
    }  # fmt: skip


def stack_looks(drawn: Sequence[dict[str, NDArray[np.float64] | float]]) -> Looks:
    """The traits of all subjects together."""

    def column(name: str) -> Tensor:
        kind = torch.int64 if name == "grain" else torch.float32
        values = torch.tensor(np.array([look[name] for look in drawn])).to(kind)
        return values.clamp(0, 1) if values.ndim == 2 else values

    return Looks(**{field.name: column(field.name) for field in fields(Looks)})
