"""The face rig: a sculpted CC0 head, the shapes that make it a person, the units that move it.

Lengths are decimeters, x to the person's left, y up, z toward the viewer. Letters: V vertices,
T triangles, U face units (52, named as in ARKit), K identity shapes, S subjects, N frames.
Vertex arrays that belong to several frames keep the frames last, (V, 3, N), so that gathering a
vertex copies one contiguous row.

The unwrapped head is azimuth along the skin, and height: s = RADIUS·azimuth is 0 on the nose and
positive to the person's left; near the front it is about the length along the skin in decimeters.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

RIG_FILE = Path(__file__).parent / "assets" / "face_rig.npz"
EXPRESSIONS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise")
SKIN, EYE, TEETH, TONGUE = range(4)
RADIUS, AXIS = 0.85, 0.55  # decimeters: the unwrapping cylinder's radius and the depth of its axis


@dataclass(frozen=True)
class Rig:
    """The head at rest and what deforms it.

    base: (V, 3); triangles: (T, 3) int64; part: (V,) one of SKIN, EYE, TEETH, TONGUE.
    lip, mouth, ear, lash: (V,) how much a vertex belongs there, 0..1 (mouth is its inside).
    light: (V,) the ambient light that reaches it at rest, 0..1.
    units: (3V, U) and shapes: (3V, K) displacements in float64, named in that order.
    """

    base: Tensor
    triangles: Tensor
    part: Tensor
    lip: Tensor
    mouth: Tensor
    ear: Tensor
    lash: Tensor
    light: Tensor
    units: Tensor
    shapes: Tensor
    unit_names: tuple[str, ...]
    shape_names: tuple[str, ...]

    def neutral(self, shape: Tensor) -> Tensor:
        """Heads at rest (V, 3, S) of people with identity weights (S, K)."""
        return self.base[..., None] + self._sum(self.shapes, shape)

    def express(self, heads: Tensor, unit: Tensor) -> Tensor:
        """Heads (V, 3, N) moved by unit weights (N, U)."""
        return heads + self._sum(self.units, unit)

    def _sum(self, targets: Tensor, weights: Tensor) -> Tensor:
        """Displacements (V, 3, N); the last bits do not depend on what else is in the product."""
        return (targets @ weights.double().T).float().view(*self.base.shape, -1)


def unwrap(points: Tensor) -> Tensor:
    """Place s along the unwrapped head (V,) of points (V, 3)."""
    return torch.atan2(points[:, 0], points[:, 2] - AXIS) * RADIUS


def _dense(data: "np.lib.npyio.NpzFile", kind: str, vertices: int) -> Tensor:
    """The sparse deltas of the file as one matrix (3V, number of targets)."""
    offsets: NDArray[np.int32] = data[f"{kind}_offsets"]
    where = data[f"{kind}_vertex"].astype(np.int64)
    dense = np.zeros((vertices, 3, len(offsets) - 1))
    target = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    dense[where, :, target] = data[f"{kind}_delta"] * float(data["step"])
    return torch.from_numpy(dense.reshape(3 * vertices, -1))


def load_rig(path: Path = RIG_FILE) -> Rig:
    """Read the rig file that `tools/extract_face_rig.py` wrote."""
    with np.load(path, allow_pickle=False) as data:
        names = json.loads(data["names"].tobytes())
        base = torch.from_numpy(data["base"] * np.float32(data["step"]))
        masks = {
            name: torch.from_numpy(data[name].astype(np.float32) / 255)
            for name in ("lip", "mouth", "ear", "lash", "light")
        }
        return Rig(
            base=base,
            triangles=torch.from_numpy(data["triangles"].astype(np.int64)),
            part=torch.from_numpy(data["part"].astype(np.int64)),
            units=_dense(data, "unit", len(base)),
            shapes=_dense(data, "shape", len(base)),
            unit_names=tuple(names["unit"]),
            shape_names=tuple(names["shape"]),
            **masks,
        )


# Face-unit weights of each expression at its peak, after EMFACS (Friesen & Ekman, 1983). A name
# without a side stands for its Left and Right. `mouthPress` lifts the corners of this rig's mouth,
# hence anger presses with the rolled lips instead, or it would smirk.
PEAKS: dict[str, dict[str, float]] = {
    "anger": {
        "browDown": 1.0, "eyeSquint": 0.55, "noseSneer": 0.4, "mouthRollUpper": 0.85,
        "mouthRollLower": 0.85, "mouthFrown": 0.35, "mouthPress": 0.15, "jawForward": 0.4,
        "mouthShrugLower": 0.25,
    },
    "disgust": {
        "noseSneer": 1.0, "mouthUpperUp": 0.9, "browDown": 0.45, "cheekSquint": 0.8,
        "eyeSquint": 0.6, "mouthFrown": 0.35, "mouthShrugLower": 0.35, "mouthLowerDown": 0.2,
    },
    "fear": {
        "browInnerUp": 1.0, "browOuterUp": 0.35, "browDown": 0.25, "eyeWide": 1.0,
        "mouthStretch": 1.0, "jawOpen": 0.22, "mouthLowerDown": 0.55, "mouthFrown": 0.15,
    },
    "happiness": {
        "mouthSmile": 1.0, "cheekSquint": 0.9, "mouthUpperUp": 0.35, "jawOpen": 0.1,
        "eyeSquint": 0.3, "mouthDimple": 0.3, "mouthLowerDown": 0.2,
    },
    "sadness": {
        "browInnerUp": 1.0, "mouthFrown": 1.0, "mouthShrugLower": 0.75, "eyeBlink": 0.12,
        "eyeLookDown": 0.25, "mouthRollLower": 0.15,
    },
    "surprise": {
        "browInnerUp": 0.9, "browOuterUp": 1.0, "eyeWide": 0.9, "jawOpen": 0.75,
        "mouthFunnel": 0.25,
    },
}  # fmt: skip


def peak_units(rig: Rig, expression: str) -> Tensor:
    """Unit weights (U,) in 0..1 of an expression at its peak."""
    weights = torch.zeros(len(rig.unit_names))
    for name, weight in PEAKS[expression].items():
        for unit in (name, name + "Left", name + "Right"):
            if unit in rig.unit_names:
                weights[rig.unit_names.index(unit)] = weight
    return weights


OPPOSITES = {
    "incr": "decr", "up": "down", "in": "out", "forward": "backward", "convex": "concave",
    "uncompress": "compress",
}  # fmt: skip
# Spread and bound of the local shapes of a region. Eyelids are held tight, since the eyeballs
# do not follow them; so are mouth and chin, or teeth would come through the lips.
SPREAD = {
    "asym": (0.05, 0.12), "eye": (0.25, 0.45), "mouth": (0.25, 0.45), "lowerlip": (0.25, 0.45),
    "chin": (0.35, 0.6), "ear": (0.3, 0.6), "head": (0.2, 0.4), "nose": (0.4, 0.75),
    "neck": (0.15, 0.3), "cheek": (0.4, 0.7), "forehead": (0.3, 0.5), "eyebrows": (0.2, 0.35),
    "eyebrows-angle": (0.1, 0.2), "mouth-angles": (0.1, 0.2),
}  # fmt: skip


def _macros(rig: Rig, ancestry: NDArray[np.float64], male: float, old: float, weight: float
            ) -> dict[str, float]:  # fmt: skip
    """Weights of the whole-head shapes: products of ancestry, sex, age and body weight."""
    sexes = {"male": male, "female": 1 - male}
    ages = {"old": old, "young": 1 - old}
    build = {
        "minweight": max(0.0, -weight), "averageweight": 1 - abs(weight),
        "maxweight": max(0.0, weight),
    }  # fmt: skip
    origins = dict(zip(("african", "asian", "caucasian"), ancestry, strict=True))
    found = {}
    for name in rig.shape_names:
        first, *rest = name.split("-")
        if first in origins:
            found[name] = float(origins[first] * sexes[rest[0]] * ages[rest[1]])
        elif first == "universal":
            found[name] = sexes[rest[0]] * ages[rest[1]] * build[rest[3]]
    return found


@dataclass(frozen=True)
class Person:
    """What identity decides: shape (K,), and the traits that the painter wants to know."""

    shape: Tensor
    male: float
    old: float
    ancestry: tuple[float, float, float]


def sample_person(rig: Rig, rng: np.random.Generator) -> Person:
    """Draw an identity; every call draws the same number of variates from `rng`."""
    ancestry = rng.dirichlet([0.35, 0.35, 0.35])
    male = float(np.clip(rng.choice([0.08, 0.92]) + 0.12 * rng.standard_normal(), 0, 1))
    old, weight = float(rng.beta(1.2, 2.2)), float(np.clip(0.35 * rng.standard_normal(), -0.7, 0.7))
    weights = _macros(rig, ancestry, male, old, weight)
    for name in rig.shape_names:
        stem, _, end = name.rpartition("-")
        spread, bound = SPREAD.get(stem) or SPREAD.get(name.split("-")[0], (0.3, 0.5))
        drawn = float(np.clip(spread * rng.standard_normal(), -bound, bound))
        if name in weights:
            continue
        if end in OPPOSITES:  # a pair of opposite shapes is one signed quantity
            opposite = f"{stem}-{OPPOSITES[end]}"
            weights[name if drawn > 0 else opposite] = abs(drawn)
        elif end not in OPPOSITES.values():
            weights[name] = max(drawn, 0.0)
    shape = torch.tensor([weights.get(name, 0.0) for name in rig.shape_names])
    return Person(shape, male, old, (ancestry[0], ancestry[1], ancestry[2]))


def stack_shapes(people: Sequence[Person]) -> Tensor:
    """Identity weights (S, K)."""
    return torch.stack([person.shape for person in people])
