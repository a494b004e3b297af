"""Painting heads: one texture per subject, drawn on the unwrapped head at rest.

The head is unwrapped (see `rig`) to s, along the skin, and y, height, so what is painted moves with
the mesh. Below the skin the texture has a strip of tiles for eyes, teeth and tongue. Letters:
S subjects, V vertices, H×W texels.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from .hair import SHEET, hair_line, sheet_coordinates, sheet_triangles
from .looks import Looks
from .render import Skins, Surface
from .rig import EYE, TEETH, TONGUE, Rig, unwrap

REACH, BOTTOM, TOP = 1.75, 5.6, 8.5  # decimeters: the painted skin is |s| < REACH, BOTTOM..TOP
STRIP = 0.2  # share of the texture's height given to the tiles
EYE_CENTER = (0.3078, 7.284)
EYE_RADIUS, IRIS_RADIUS, PUPIL_RADIUS = 0.16, 0.056, 0.023


def surface(rig: Rig) -> Surface:
    """The rig as the renderer wants it: where each vertex lies on the texture, and its masks."""
    x, y = rig.base[:, 0], rig.base[:, 1]
    u = (unwrap(rig.base) / REACH).clamp(-1, 1) * 0.5 + 0.5
    v = ((TOP - y) / (TOP - BOTTOM)).clamp(0, 1) * (1 - STRIP)
    eye = rig.part == EYE
    middle = torch.where(x > 0, EYE_CENTER[0], -EYE_CENTER[0])
    u = torch.where(eye, _tile(0, (x - middle) / EYE_RADIUS * 0.5 + 0.5), u)
    v = torch.where(eye, 1 - STRIP * ((y - EYE_CENTER[1]) / EYE_RADIUS * 0.5 + 0.5), v)
    for tile, part in ((1, TEETH), (2, TONGUE)):
        u = torch.where(rig.part == part, _tile(tile, torch.tensor(0.5)), u)
        v = torch.where(rig.part == part, 1 - STRIP / 2, v)
    light = torch.where(rig.part == EYE, 0.6 + 0.4 * rig.light, rig.light)
    deep = ((rig.base[:, 2] - 1.05) / 0.4).clamp(0, 1)  # it is dark at the back of the mouth
    light = torch.where(rig.part == TEETH, 0.1 + 0.85 * deep, light)
    light = torch.where(rig.part == TONGUE, 0.1 + 0.6 * deep, light)
    head = torch.stack([u, v, rig.lip, rig.mouth, rig.ear, rig.lash, light], dim=1)
    across, down, lit = sheet_coordinates()
    sheet = torch.zeros(SHEET, head.shape[1])
    sheet[:, 0], sheet[:, 1] = _tile(3, 0.05 + 1.9 * across), 1 - STRIP * (0.95 - 0.9 * down)
    sheet[:, -1] = lit
    triangles = torch.cat([rig.triangles, sheet_triangles() + len(head)])
    return Surface.of(triangles, torch.cat([head, sheet]))


def _tile(number: int, inside: Tensor) -> Tensor:
    """Horizontal texture coordinate of a place (0..1) in a tile; the tiles are square."""
    return (number + inside) * STRIP


def paint(looks: Looks, size: int) -> Skins:
    """Textures of S subjects, `size` texels wide and high."""
    rows = size - round(size * STRIP)
    s = ((torch.arange(size) + 0.5) / size * 2 - 1) * REACH
    y = TOP - (torch.arange(rows) + 0.5) / rows * (TOP - BOTTOM)
    s, y = s[None, None, :], y[None, :, None]  # (1, 1, W), (1, H, 1)
    fine, coarse = _noise(looks.grain, rows, size)
    color = _skin(looks, s, y, fine, coarse)
    color = _beard(color, looks, s, y, fine)
    color = _brows(color, looks, s, y, fine)
    strands = _strands(looks.grain, rows, size)
    hair = torch.sigmoid((y - hair_line(looks, s) + 0.16 * (strands - 0.5)) / 0.02)
    strands = 0.7 + 0.6 * strands
    color = torch.lerp(color, looks.hair[:, :, None, None] * strands[:, None], hair[:, None])
    oily = torch.exp(-((s / 0.35) ** 2)) * torch.exp(-(((y - 7.1) / 0.8) ** 2))
    gloss = (0.05 + 0.06 * oily) * (1 - hair) + 0.16 * hair * strands
    head = torch.cat([color.clamp(0, 1) ** 2, gloss[:, None]], dim=1)
    texture = torch.cat([head, _tiles(looks, size - rows, size)], dim=2)
    return Skins(texture.permute(0, 2, 3, 1).contiguous(), looks.lip**2, looks.skin**2)


def _noise(grain: Tensor, rows: int, size: int) -> tuple[Tensor, Tensor]:
    """Fine and coarse noise about 0, each (S, H, W)."""
    fine: list[Tensor] = []
    coarse: list[Tensor] = []
    for seed in grain.tolist():
        generator = torch.Generator().manual_seed(seed)
        for cells, found in ((96, fine), (14, coarse)):
            grid = torch.randn(1, 1, cells, cells, generator=generator)
            found.append(F.interpolate(grid, (rows, size), mode="bicubic")[0, 0])
    return torch.stack(fine), torch.stack(coarse)


def _strands(grain: Tensor, rows: int, size: int) -> Tensor:
    """Noise drawn out along the hair, 0..1, (S, H, W)."""
    found = []
    for seed in grain.tolist():
        generator = torch.Generator().manual_seed(seed + 1)
        grid = torch.rand(1, 1, 7, 110, generator=generator)
        found.append(F.interpolate(grid, (rows, size), mode="bilinear")[0, 0])
    return torch.stack(found)


def _blob(s: Tensor, y: Tensor, at: tuple[float, float], radius: tuple[float, float]) -> Tensor:
    """A soft spot on both sides of the face, (1, H, W)."""
    return torch.exp(-(((s.abs() - at[0]) / radius[0]) ** 2) - ((y - at[1]) / radius[1]) ** 2)


def _skin(looks: Looks, s: Tensor, y: Tensor, fine: Tensor, coarse: Tensor) -> Tensor:
    """Skin color with cheeks, nose, sockets, mottling and freckles, (S, 3, H, W)."""
    red = 0.5 * _blob(s, y, (0.42, 6.95), (0.22, 0.2)) + 0.5 * _blob(s, y, (0, 6.95), (0.12, 0.14))
    red = red * looks.blush[:, None, None] + 0.15 * looks.mottling[:, None, None] * coarse
    dark = 0.10 * _blob(s, y, (0.3, 7.2), (0.22, 0.09)) + 0.05 * _blob(
        s, y, (0.3, 7.38), (0.25, 0.1)
    )
    shade = 1 - dark + 0.018 * fine * looks.mottling[:, None, None] + 0.012 * coarse
    spots = ((fine - 1.1).clamp(0, 1) * looks.freckles[:, None, None]).clamp(0, 0.5)
    spots = spots * (_blob(s, y, (0.25, 7.0), (0.4, 0.25)))
    tint = torch.tensor([0.04, -0.05, -0.04])[None, :, None, None] * red[:, None]
    freckle = 1 - spots[:, None] * torch.tensor([0.25, 0.4, 0.5])[None, :, None, None]
    return (looks.skin[:, :, None, None] * shade[:, None] * (1 + 1.6 * tint)) * freckle


def _beard(color: Tensor, looks: Looks, s: Tensor, y: Tensor, fine: Tensor) -> Tensor:
    """Beard, moustache and stubble over the skin."""
    jaw = torch.sigmoid((6.72 + 0.55 * (s.abs() - 0.45).clamp(min=0) - y) / 0.05)
    jaw = jaw * torch.sigmoid(
        (s.abs() - 0.12 - 0.9 * (y - 6.42).clamp(min=0)) / 0.04 + (6.4 - y) / 0.03
    )
    jaw = jaw * torch.sigmoid((y - 5.95) / 0.06) * torch.sigmoid((1.2 - s.abs()) / 0.05)
    lip = torch.exp(-(((y - 6.76 + 0.12 * s.abs()) / 0.055) ** 4)) * torch.sigmoid(
        (0.3 - s.abs()) / 0.03
    )
    full = torch.maximum(looks.beard, looks.stubble)[:, None, None] * jaw
    full = torch.maximum(full, torch.maximum(looks.moustache, looks.stubble)[:, None, None] * lip)
    density = (full * (0.92 + 0.1 * fine)).clamp(0, 1)
    hue = 0.8 * looks.hair[:, :, None, None]
    return torch.lerp(color, torch.minimum(hue, color), density[:, None])


def _brows(color: Tensor, looks: Looks, s: Tensor, y: Tensor, fine: Tensor) -> Tensor:
    """Brows: an arch that thins outwards."""
    along = (s.abs() - 0.10) / 0.46  # 0 at the inner end, 1 at the outer
    arch, height = looks.brow_arch[:, None, None], looks.brow_height[:, None, None]
    rise = (0.005 + 0.045 * arch) * torch.sin((along.clamp(0, 1) ** 1.2) * math.pi * 0.9)
    middle = 7.482 + height + rise - 0.035 * along.clamp(min=0) ** 2
    half = looks.brow_half[:, None, None] * (1.05 - 0.65 * along.clamp(0, 1))
    inside = torch.exp(-(((y - middle) / half) ** 4))
    inside = inside * torch.sigmoid(along / 0.05) * torch.sigmoid((1 - along) / 0.05)
    density = inside * looks.brow_density[:, None, None] * (0.95 + 0.08 * fine)
    hue = 0.85 * torch.minimum(looks.hair, 0.75 * looks.skin)[:, :, None, None]
    return torch.lerp(color, hue.expand_as(color), density.clamp(0, 0.97)[:, None])


def _tiles(looks: Looks, height: int, width: int) -> Tensor:
    """The strip of tiles (S, 4, h, W): eye, teeth, tongue, and two of hair."""
    eye = _eye(looks, height)
    teeth = torch.tensor([0.80, 0.77, 0.70, 0.15])[None, :, None, None]
    tongue = torch.tensor([0.42, 0.14, 0.13, 0.15])[None, :, None, None]
    strip = torch.zeros(len(eye), 4, height, width)
    strip[..., :height] = eye
    strip[..., height : 2 * height] = teeth
    strip[..., 2 * height : 3 * height] = tongue
    strands = (0.7 + 0.6 * _strands(looks.grain, height, width - 3 * height))[:, None]
    strip[:, :3, :, 3 * height :] = (looks.hair[:, :, None, None] * strands).clamp(0, 1) ** 2
    strip[:, 3:, :, 3 * height :] = 0.16 * strands
    return strip


def _eye(looks: Looks, size: int) -> Tensor:
    """An eye seen from in front (S, 4, h, h): sclera, iris with a dark rim, pupil."""
    at = ((torch.arange(size) + 0.5) / size * 2 - 1) * EYE_RADIUS
    radius = (at[None, :] ** 2 + at[:, None] ** 2).sqrt()[None]
    soft = EYE_RADIUS / size
    iris = torch.sigmoid((IRIS_RADIUS - radius) / soft)[:, None]
    pupil = torch.sigmoid((PUPIL_RADIUS - radius) / soft)[:, None]
    rim = torch.exp(-(((radius - IRIS_RADIUS) / 0.012) ** 2))[:, None]
    veins = (radius / EYE_RADIUS).clamp(0, 1)[:, None] ** 2
    white = (
        torch.tensor([0.86, 0.84, 0.82])[None, :, None, None]
        - veins * torch.tensor([0.10, 0.22, 0.22])[None, :, None, None]
    )
    glow = 1.25 - 0.5 * (radius / IRIS_RADIUS).clamp(0, 1)[:, None]
    color = torch.lerp(white, looks.iris[:, :, None, None] * glow, iris)
    color = color * (1 - 0.4 * rim)
    color = torch.lerp(color, torch.tensor(0.02), pupil).clamp(0, 1)
    # The lamp's reflection is painted: the iris of the mesh is flat and would flash as a whole.
    off = (at[None, :] - 0.022) ** 2 + (at[:, None] + 0.026) ** 2
    color = torch.lerp(color, torch.tensor(0.95), torch.sigmoid((0.010 - off.sqrt()) / soft))
    gloss = torch.full((len(color), 1, size, size), 0.12)
    return torch.cat([color**2, gloss], dim=1)
