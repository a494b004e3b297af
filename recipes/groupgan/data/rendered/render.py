"""From deformed meshes to pictures: normals, projection, visibility, texture, light.

Letters: N frames, V vertices, T triangles, S subjects, R×R samples, A attributes, P samples that
hit the mesh. Colors are linear light inside and gamma 2 outside.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .raster import rasterize

SUPERSAMPLING = 2
ATTRIBUTES = ("u", "v", "lip", "mouth", "ear", "lash", "light")


@dataclass(frozen=True)
class Surface:
    """What all frames share: triangles (T, 3), attributes (V, A), faces around a vertex (V, D)."""

    triangles: Tensor
    attributes: Tensor
    around: Tensor

    @staticmethod
    def of(triangles: Tensor, attributes: Tensor) -> "Surface":
        """Find the faces around each vertex, padded with T."""
        order = triangles.flatten().argsort(stable=True)
        owner = triangles.flatten()[order]
        degree = torch.bincount(owner, minlength=len(attributes))
        rank = torch.arange(len(owner)) - (degree.cumsum(0) - degree)[owner]
        around = torch.full((len(attributes), int(degree.max())), len(triangles))
        around[owner, rank] = order // 3
        return Surface(triangles, attributes, around)

    def normals(self, vertices: Tensor) -> Tensor:
        """Unit normals (V, 3, N) of vertices (V, 3, N), the mean of the faces around by area."""
        a, b, c = (vertices.index_select(0, self.triangles[:, k]) for k in range(3))
        faces = torch.linalg.cross(b - a, c - a, dim=1)
        faces = torch.cat([faces, torch.zeros_like(faces[:1])]).flatten(1)
        total = F.embedding_bag(self.around, faces, mode="sum", padding_idx=len(self.triangles))
        return F.normalize(total.view(vertices.shape), dim=1)


@dataclass(frozen=True)
class Shots:
    """How each frame is taken.

    rotation: (N, 3, 3); center: (N, 3), the point in the middle of the frame; half_width: (N,),
    decimeters from there to its edge; shift: (N, 2), fractions of the half-width. light: (N, 3),
    unit vector to the lamp; lamp, sky, ground: (N, 3), colors; back: (N, 2, 3), colors of the
    background above and below.
    """

    rotation: Tensor
    center: Tensor
    half_width: Tensor
    shift: Tensor
    light: Tensor
    lamp: Tensor
    sky: Tensor
    ground: Tensor
    back: Tensor

    def take(self, chosen: Tensor) -> "Shots":
        """Some of the frames."""
        return Shots(**{name: value[chosen] for name, value in self.__dict__.items()})


@dataclass(frozen=True)
class Skins:
    """Painted subjects: texture (S, Ht, Wt, 4), linear color and gloss; lip and skin (S, 3)."""

    texture: Tensor
    lip: Tensor
    skin: Tensor


DISTANCE = 9.0  # decimeters from the camera to the center: a portrait lens


def project(vertices: Tensor, shots: Shots, size: int) -> Tensor:
    """Vertices (V, 3, N) as seen: pixels x, y (down) and depth 0..1, (V, 3, N)."""
    away = vertices - shots.center.T
    turned = _turn(shots.rotation.permute(1, 2, 0)[:, :, None], away.unbind(1), dim=1)
    nearer = DISTANCE / (DISTANCE - turned[:, 2])
    half = size / 2
    x = (turned[:, 0] * nearer / shots.half_width + shots.shift[:, 0] + 1) * half
    y = (1 + shots.shift[:, 1] - turned[:, 1] * nearer / shots.half_width) * half
    return torch.stack([x, y, (1.5 - turned[:, 2]) / 4], dim=1)


def render(surface: Surface, vertices: Tensor, shots: Shots, skins: Skins, subject: Tensor,
           size: int) -> Tensor:  # fmt: skip
    """Pictures (N, 3, H, W) in uint8, H = W = size, of vertices (V, 3, N) of subjects (N,)."""
    fine = size * SUPERSAMPLING
    screen = project(vertices, shots, fine)
    normals = surface.normals(vertices)
    seen = rasterize(screen, surface.triangles, fine)
    picture = _background(shots, fine)
    hit = (seen.flatten() >= 0).nonzero().flatten()
    frame = hit // (fine * fine)
    values, normal = _interpolate(surface, screen, normals, seen.flatten()[hit], hit, fine)
    turn = shots.rotation.permute(1, 2, 0)[:, :, frame]
    normal = F.normalize(_turn(turn, normal.unbind(1), dim=1), dim=1)
    albedo, gloss = _albedo(values, skins, subject[frame])
    color = _shade(albedo, gloss, values, normal, shots, frame)
    picture.view(-1, 3)[hit] = color
    picture = picture.clamp_(0, 1).permute(0, 3, 1, 2)
    return (F.avg_pool2d(picture, SUPERSAMPLING).sqrt() * 255).round().to(torch.uint8)


def _turn(rotation: Tensor, point: tuple[Tensor, ...], dim: int) -> Tensor:
    """Rotate points given by coordinate, written out so that each point's bits are its own."""
    x, y, z = point
    return torch.stack([r[0] * x + r[1] * y + r[2] * z for r in rotation], dim=dim)


def _background(shots: Shots, size: int) -> Tensor:
    """A vertical fade between two colors, (N, R, R, 3)."""
    fade = torch.linspace(0, 1, size, device=shots.back.device)[:, None]
    rows = torch.lerp(shots.back[:, :1], shots.back[:, 1:], fade)
    return rows[:, :, None].expand(-1, -1, size, -1).contiguous()


def _interpolate(
    surface: Surface, screen: Tensor, normals: Tensor, triangle: Tensor, hit: Tensor, size: int
) -> tuple[Tensor, Tensor]:
    """Attributes (P, A) and normals (P, 3) at the samples hit."""
    frames = screen.shape[2]
    frame = hit // (size * size)
    column, row = hit % size + 0.5, hit // size % size + 0.5
    moving = torch.cat([screen[:, :2], normals], dim=1).permute(0, 2, 1).reshape(-1, 5)
    corner = surface.triangles[triangle]
    rows = [moving.index_select(0, corner[:, k] * frames + frame) for k in range(3)]
    x, y = [r[:, 0] - column for r in rows], [r[:, 1] - row for r in rows]
    shares = torch.stack(
        [x[b] * y[a] - x[a] * y[b] for a, b in ((1, 2), (2, 0), (0, 1))], dim=1
    ).clamp_(min=0)  # snapping may put a sample a hair outside
    shares = shares / shares.sum(1, keepdim=True).clamp_(min=1e-12)
    weights = [shares[:, k : k + 1] for k in range(3)]
    fixed = [surface.attributes.index_select(0, corner[:, k]) for k in range(3)]
    values = fixed[0] * weights[0] + fixed[1] * weights[1] + fixed[2] * weights[2]
    turned = [row[:, 2:] for row in rows]
    normal = turned[0] * weights[0] + turned[1] * weights[1] + turned[2] * weights[2]
    return values, normal


def _sample(texture: Tensor, owner: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """Bilinear texture (S, H, W, C) at u, v (P,) in 0..1 of subjects (P,): (P, C)."""
    height, width, channels = texture.shape[1:]
    flat = texture.view(-1, channels)
    x, y = (u * width - 0.5).clamp(0, width - 1.001), (v * height - 0.5).clamp(0, height - 1.001)
    column, row = x.long(), y.long()
    x, y = (x - column)[:, None], (y - row)[:, None]
    start = (owner * height + row) * width + column
    top = torch.lerp(flat[start], flat[start + 1], x)
    bottom = torch.lerp(flat[start + width], flat[start + width + 1], x)
    return torch.lerp(top, bottom, y)


def _albedo(values: Tensor, skins: Skins, owner: Tensor) -> tuple[Tensor, Tensor]:
    """Color (P, 3) and gloss (P, 1): the texture, then lips, ears, mouth and lashes over it."""
    u, v, lip, mouth, ear, lash, _ = (values[:, k] for k in range(len(ATTRIBUTES)))
    painted = _sample(skins.texture, owner, u, v)
    color, gloss = painted[:, :3], painted[:, 3:]
    color = torch.lerp(color, skins.skin[owner], ear[:, None])
    color = torch.lerp(color, skins.lip[owner], lip[:, None])
    color = torch.lerp(color, skins.lip[owner] * 0.25, mouth[:, None])
    color = color * (1 - 0.8 * lash[:, None])
    gloss = torch.lerp(gloss, torch.full_like(gloss, 0.3), lip[:, None])
    return color, gloss * (1 - mouth[:, None])


def _shade(
    albedo: Tensor, gloss: Tensor, values: Tensor, normal: Tensor, shots: Shots, frame: Tensor
) -> Tensor:
    """Light leaving the surface (P, 3): sky and ground, a lamp that wraps, a highlight."""
    light = shots.light[frame]
    ambient = values[:, ATTRIBUTES.index("light"), None]
    facing = (normal * light).sum(1, keepdim=True)
    # light bleeds round a skin's terminator, red the furthest
    wrap = torch.tensor([0.32, 0.22, 0.18], device=albedo.device)
    lamp = ((facing + wrap) / (1 + wrap)).clamp_(min=0) ** 1.3 * (0.4 + 0.6 * ambient)
    up = 0.5 + 0.5 * normal[:, 1:2]
    dome = torch.lerp(shots.ground[frame], shots.sky[frame], up) * ambient
    halfway = F.normalize(light + torch.tensor([0.0, 0.0, 1.0], device=light.device), dim=1)
    shine = (normal * halfway).sum(1, keepdim=True).clamp_(min=0)
    highlight = gloss * (shine ** (14 + 200 * gloss**2)) * shots.lamp[frame]
    return albedo * (dome + shots.lamp[frame] * lamp) + highlight
