"""Hair that has a shape: a scalp that swells, and two sheets that hang at the sides.

Letters: V vertices of the rig, C vertices of the sheets, S subjects. Lengths are decimeters.
"""

import math

import torch
from torch import Tensor

from .looks import Looks
from .render import Surface
from .rig import AXIS, SKIN, Rig, unwrap

ROUND, DOWN = 9, 9  # the grid of a sheet: points round the head, points downwards
SHEET = 4 * ROUND * DOWN  # left and right, each with an outer and an inner face
UPPER = 8.05  # height at which the sheets leave the scalp
THICKNESS = 0.05


def hair_line(looks: Looks, s: Tensor) -> Tensor:
    """Height of the hairline at s, (S, …): over the forehead, down the temples, before the ear."""
    extra = (1,) * max(s.ndim - 1, 1)
    line, peak, recede = (t.view(-1, *extra) for t in (looks.line, looks.peak, looks.recede))
    away = s.abs()
    front = line - peak * torch.exp(-((away / 0.12) ** 2))
    front = front + recede * torch.exp(-(((away - 0.45) / 0.2) ** 2)) - 0.2 * away**2
    temple = torch.sigmoid((away - 0.95) / 0.05)
    nape = (away - 1.35).clamp(0, 0.35)
    return front * (1 - temple) + (7.12 - 1.5 * nape) * temple


def swelling(rig: Rig, looks: Looks) -> Tensor:
    """Displacement of the scalp under short hair, (V, 3, S)."""
    normals = Surface.of(rig.triangles, rig.base).normals(rig.base[..., None])
    above = rig.base[:, 1] - hair_line(looks, unwrap(rig.base))  # (S, V)
    rise = torch.sigmoid((above - 0.06) / 0.03) * (1 - rig.ear) * (rig.part == SKIN)
    return normals * (rise * looks.volume[:, None]).T[:, None]


def _grid() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Side (±1), face (0 outer, 1 inner), and place round and down in 0..1, each (C,)."""
    axes = (torch.tensor([1.0, -1.0]), torch.tensor([0.0, 1.0]), torch.linspace(0, 1, ROUND),
            torch.linspace(0, 1, DOWN))  # fmt: skip
    side, face, across, down = torch.meshgrid(*axes, indexing="ij")
    return side.flatten(), face.flatten(), across.flatten(), down.flatten()


def sheet_triangles() -> Tensor:
    """Triangles of the sheets on their own vertices; inner faces look inwards."""
    side, face, _, _ = _grid()
    number = torch.arange(SHEET).view(4, ROUND, DOWN)
    a, b = number[:, :-1, :-1].flatten(), number[:, 1:, :-1].flatten()
    c, d = number[:, 1:, 1:].flatten(), number[:, :-1, 1:].flatten()
    quads = torch.stack([torch.stack([a, d, c]), torch.stack([a, c, b])], dim=1)  # (3, 2, n)
    flip = (side[a] * (1 - 2 * face[a])) < 0
    turned = torch.where(flip, quads[[0, 2, 1]], quads)
    return turned.permute(2, 1, 0).reshape(-1, 3)


def sheet_coordinates() -> tuple[Tensor, Tensor, Tensor]:
    """Texture place round and down in 0..1, and ambient light, each (C,)."""
    _, face, across, down = _grid()
    return across, down, 0.85 - 0.6 * face


def sheets(rig: Rig, looks: Looks, neutral: Tensor) -> Tensor:
    """Hair at the sides, (C, 3, S), of neutral heads (V, 3, S); shrunk to a point if there is none.

    The sheets hang from an ellipse round the head as wide as the person's own ears.
    """
    side, face, across, down = (t[:, None] for t in _grid())  # (C, 1)
    skin = neutral[rig.part == SKIN]
    ears = neutral[rig.ear > 0.5]
    low, wide = ears[:, 1].mean(0), ears[:, 0].abs().amax(0)
    lift = low - rig.base[rig.ear > 0.5][:, 1].mean()  # than at rest
    length = UPPER - (UPPER - 5.5) * looks.long
    y = UPPER + (length - UPPER) * down  # (C, S)
    falling = ((UPPER - y) / 1.2).clamp(0, 1)
    front = (58 + 26 * looks.opening * falling) * math.pi / 180
    angle = front + (math.pi * 0.97 - front) * across
    half = (wide - 0.06 + 0.5 * looks.volume) * (0.88 + 0.2 * torch.sin(falling * math.pi / 2))
    half = half - THICKNESS * face + 0.012 * torch.sin(21 * angle) * falling
    x = side * half * torch.sin(angle)
    z = AXIS - 0.1 + 1.05 * half * torch.cos(angle)
    hanging = torch.stack([x, y + lift, z], dim=1)
    middle = skin.mean(0, keepdim=True)
    return torch.where(looks.long > 0, hanging, middle.expand_as(hanging))
