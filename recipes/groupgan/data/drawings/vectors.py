"""The drawings that ship: outlines and strokes as SVG, rasterized at the side one needs.

Where they are from, their licenses and how they were packed: `assets/README.md`.
"""

from __future__ import annotations

import io
import json
import lzma
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

import nvn

from .labeled import Drawings

ASSETS = Path(__file__).parent / "assets"
FREEHAND = ASSETS / "freehand.json.xz"
OPENMOJI = ASSETS / "openmoji.json.xz"


@dataclass(frozen=True)
class Vectors:
    """N drawings as vectors.

    Attributes:
        source: Package and version that they were taken from.
        license: The license of the drawings, as an SPDX identifier.
        box: What is seen of the plane: left, top, width, height.
        classes: The names of the classes.
        names: The name of each drawing.
        label: The class of each.
        group: Drawings of nearly the same thing share a number.
        bodies: What stands inside of the `<svg>` element of each.
    """

    source: str
    license: str
    box: tuple[float, float, float, float]
    classes: tuple[str, ...]
    names: tuple[str, ...]
    label: tuple[int, ...]
    group: tuple[int, ...]
    bodies: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.bodies)


def read_vectors(path: Path) -> Vectors:
    """Read a packed set, such as `FREEHAND` or `OPENMOJI`."""
    stored: dict[str, Any] = json.loads(lzma.decompress(path.read_bytes()))
    for name, values in stored.items():
        stored[name] = tuple(values) if isinstance(values, list) else values
    return Vectors(**stored)


def write_vectors(vectors: Vectors, path: Path) -> None:
    """Write a packed set; the same vectors give the same bytes."""
    text = json.dumps(asdict(vectors), ensure_ascii=False, separators=(",", ":"))
    packed = lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME)
    nvn.files.atomic_write(path, packed)


def shipped(path: Path, side: int) -> Drawings:
    """Rasterize a packed set: a thousand drawings of 64 pixels take about a second.

    Args:
        path: `FREEHAND` or `OPENMOJI`.
        side: The side of the pictures, in pixels.

    Raises:
        ConfigError: If resvg-py is not installed.
    """
    vectors = read_vectors(path)
    return Drawings(
        pictures=rasterized(vectors, side),
        label=torch.tensor(vectors.label),
        group=torch.tensor(vectors.group),
        classes=vectors.classes,
        names=vectors.names,
    )


def rasterized(vectors: Vectors, side: int) -> Tensor:
    """The drawings as pictures, (N, 1, side, side) uint8: ink 0, paper 255.

    Raises:
        ConfigError: If resvg-py is not installed.
    """
    box = " ".join(f"{number:g}" for number in vectors.box)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}">'
    pictures = torch.empty(len(vectors), 1, side, side, dtype=torch.uint8)
    with nvn.progress("drawing", total=len(vectors)) as bar:
        for picture, body in zip(pictures, vectors.bodies, strict=True):
            picture[0] = torch.from_numpy(_rasterized(f"{head}{body}</svg>", side))
            bar.advance()
    return pictures


def _rasterized(svg: str, side: int) -> NDArray[np.uint8]:
    """An SVG document on white paper, (side, side)."""
    resvg_py = nvn.packages.needed("resvg_py", "the drawings that ship are vectors")
    png = resvg_py.svg_to_bytes(svg_string=svg, width=side, height=side, background="white")
    return np.array(Image.open(io.BytesIO(bytes(png))).convert("L"))
