"""Omniglot (Lake, Salakhutdinov, Tenenbaum 2015): characters, each drawn by twenty people.

What ships are the eight alphabets of its two small background sets, all of them on one sheet. Where
it is from, its license and how it was packed: `assets/README.md`.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

import nvn

from .labeled import Drawings
from .pictures import darkened
from .vectors import ASSETS

OMNIGLOT = ASSETS / "omniglot.tif"
DESCRIPTION = 270  # the number of TIFF's tag ImageDescription


@dataclass(frozen=True)
class About:
    """What is on a sheet: a row for each character, in it a square for each person.

    Attributes:
        source: Where the drawings are from.
        license: Their license, as an SPDX identifier.
        side: The side of a square, in pixels.
        people: How many people drew each character. Those of two alphabets are others.
        alphabets: How many characters each alphabet has, from the top of the sheet down.
    """

    source: str
    license: str
    side: int
    people: int
    alphabets: Mapping[str, int]

    @property
    def classes(self) -> tuple[str, ...]:
        """The name of each row: "Greek 3" is the third character of that alphabet."""
        return tuple(
            f"{alphabet} {number}"
            for alphabet, characters in self.alphabets.items()
            for number in range(1, characters + 1)
        )


def read_about(path: Path = OMNIGLOT) -> About:
    """Read what is on a sheet, without decoding it."""
    with Image.open(path) as sheet:
        return About(**json.loads(sheet.getexif()[DESCRIPTION]))


def omniglot(side: int, path: Path = OMNIGLOT) -> Drawings:
    """Read all drawings of a sheet: the 4840 that ship take a second or two.

    What one person drew of one alphabet is a group: whoever is tested on was never learned from.

    Args:
        side: The side of the pictures, in pixels.
        path: The sheet.
    """
    about = read_about(path)
    paper = _squares(path, about)
    pictures = torch.empty(len(paper), 1, side, side, dtype=torch.uint8)
    with nvn.progress("drawing", total=len(paper)) as bar:
        for picture, square in zip(pictures, paper, strict=True):
            small = Image.fromarray(square).convert("L").resize((side, side), _SHRINKING)
            picture[0] = torch.from_numpy(darkened(np.asarray(small)))
            bar.advance()
    row = torch.arange(len(about.classes)).repeat_interleave(about.people)
    person = torch.arange(about.people).repeat(len(about.classes))
    alphabet = torch.arange(len(about.alphabets)).repeat_interleave(
        torch.tensor([*about.alphabets.values()])
    )
    return Drawings(
        pictures=pictures,
        label=row,
        group=alphabet[row] * about.people + person,
        classes=about.classes,
        names=tuple(f"{name}, {k + 1}" for name in about.classes for k in range(about.people)),
    )


_SHRINKING = Image.Resampling.LANCZOS


def _squares(path: Path, about: About) -> NDArray[np.bool_]:
    """The drawings on a sheet, row by row, (N, side, side): whether a pixel is paper."""
    with Image.open(path) as sheet:
        paper = np.asarray(sheet)
    side = about.side
    squares = paper.reshape(-1, side, about.people, side).swapaxes(1, 2)
    return squares.reshape(-1, side, side)


def write_sheet(paper: NDArray[np.bool_], about: About, path: Path) -> None:
    """Write a sheet; the same drawings give the same bytes.

    Args:
        paper: Whether a pixel of a drawing is paper, (characters, people, side, side).
        about: What the sheet says of them.
        path: The file.
    """
    rows, people, side, _ = paper.shape
    sheet = Image.fromarray(paper.swapaxes(1, 2).reshape(rows * side, people * side))
    packed = io.BytesIO()
    # Group 4 is made for black on white: half of what PNG takes.
    sheet.save(packed, "tiff", compression="group4", description=json.dumps(asdict(about)))
    nvn.files.atomic_write(path, packed.getvalue())
