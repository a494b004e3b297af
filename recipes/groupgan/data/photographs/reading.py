"""Reading picture files: many with threads and a bar, and past those that cannot be read."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeAlias, TypeVar

import torch
from PIL import Image
from torch import Tensor

import nvn
from nvn.folders import LeftOut
from nvn.images import decoded

from ..workers import workers
from .cropping import Crop, Cropper

UNREAD = "unreadable"
NO_FACE = "without a face that is found (the middle is taken)"

Item = TypeVar("Item")
Made = TypeVar("Made")


Group: TypeAlias = tuple[Path, ...]  # files cut by one box: the frames of a sequence


class UnreadableError(nvn.DataError):
    """A picture file that cannot be read, or only in part.

    Attributes:
        path: The file.
    """

    def __init__(self, path: Path, error: Exception) -> None:
        super().__init__(f"{path} cannot be read as a picture: {error}")
        self.path = path


def decode(path: Path) -> Image.Image:
    """Return a picture of any mode in 8-bit RGB, upright, as `nvn.images.rgb` makes it.

    Raises:
        UnreadableError: If it cannot be read, or only in part.
    """
    try:
        return decoded(path)
    except nvn.DataError as error:
        raise UnreadableError(path, error) from error


@dataclass(frozen=True)
class Shots:
    """The pictures of a group, as far as they could be read.

    Attributes:
        pictures: As many as files, each (3, side, side) uint8, or None where it cannot be read.
        found: Whether the crop was found.
    """

    pictures: list[Tensor | None]
    found: bool


def read_group(group: Group, side: int, cropper: Cropper) -> Shots:
    """Read the pictures of a group, cut by the box that is chosen on the first.

    One of another size than the one before it gets a box of its own.
    """
    pictures: list[Tensor | None] = []
    box, size, found = None, None, True
    for file in group:
        try:
            image = decode(file)
            if box is None or image.size != size:
                box, good = cropper.choose(image)
                size, found = image.size, found and good
            pictures.append(box.cut(image, side))
        except nvn.ConfigError:
            raise  # what finds faces is not installed
        except Exception:  # noqa: BLE001  (whatever one file does: it is left out, and named)
            pictures.append(None)
    return Shots(pictures, found)


def read_groups(
    groups: Sequence[Group], side: int, crop: Crop, left_out: LeftOut
) -> tuple[Tensor, Tensor]:
    """Read every picture of every group.

    Args:
        groups: The groups, with P files in all.
        side: The side of the pictures, in pixels.
        crop: What is seen of each.
        left_out: Where what cannot be read, or has no face, is written down.

    Returns:
        The pictures (P, 3, side, side) uint8, in the order of the files, and whether each could be
        read, (P,) bool; one that could not is black.

    Raises:
        ConfigError: If faces are to be found and scikit-image is missing.
    """
    cropper = Cropper(crop)
    total = sum(len(group) for group in groups)
    pictures = torch.zeros(total, 3, side, side, dtype=torch.uint8)
    good = torch.zeros(total, dtype=torch.bool)
    place = 0
    with nvn.progress("reading photographs", total) as bar:
        made = in_threads(lambda group: read_group(group, side, cropper), groups)
        for group, shots in zip(groups, made, strict=True):
            for file, picture in zip(group, shots.pictures, strict=True):
                if picture is None:
                    left_out.add(UNREAD, file)
                else:
                    pictures[place], good[place] = picture, True
                place += 1
            if not shots.found:
                left_out.add(NO_FACE, group[0])
            bar.advance(len(group))
    return pictures, good


def in_threads(make: Callable[[Item], Made], items: Sequence[Item]) -> Iterator[Made]:
    """Yield what is made of each item, in order, by as many threads as torch would use.

    Only a few are made ahead of what is taken: nothing piles up in memory, and an interruption
    waits for no more than these.
    """
    ahead = 4 * torch.get_num_threads()
    rest = iter(items)
    with workers() as pool:
        waiting = deque(pool.submit(make, item) for item in islice(rest, ahead))
        while waiting:
            done = waiting.popleft()
            waiting.extend(pool.submit(make, item) for item in islice(rest, 1))
            yield done.result()
