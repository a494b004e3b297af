"""Finding and reading picture files of any mode: the result is RGB, 8 bits a channel, upright."""

from __future__ import annotations

import os
import unicodedata
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from nvn.errors import DataError, NvnWarning

__all__ = ["PictureFile", "drawable", "find_pictures", "printable", "read_picture", "rgb"]

# What is taken from a folder, where other files may lie too. A file that is named is always tried.
# HEIC is not read without a plugin of Pillow's; better that its file is named than passed over.
_SUFFIXES = frozenset(
    (
        *(".avif", ".bmp", ".gif", ".heic", ".heif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg"),
        *(".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tga", ".tif", ".tiff", ".webp"),
    )
)
MADE_BY_US = "applied.yaml"  # in folders of results, whose pictures are not taken as inputs


@dataclass(frozen=True)
class PictureFile:
    """A picture file.

    Attributes:
        path: The file.
        place: Where it lies beneath the folder that was given; of a file that was given, its name.

    >>> PictureFile(Path("photos/2024/smile.jpg"), place=Path("2024/smile.jpg")).place.name
    'smile.jpg'
    """

    path: Path
    place: Path


def find_pictures(given: Iterable[Path]) -> tuple[PictureFile, ...]:
    """Find pictures: files as they are given, and those in folders, each file once.

    Folders are walked in the order of names. Hidden files and folders are passed over, and so are
    folders of results of `nvn apply`.

    Raises:
        DataError: If there is no file at all, or if a folder cannot be read.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     for name in ("b.png", "a.JPG", ".hidden.png", "notes.txt"):
    ...         Path(folder, name).touch()
    ...     [str(found.place) for found in find_pictures([Path(folder)])]
    ['a.JPG', 'b.png']
    """
    given = list(given)
    files: dict[Path, PictureFile] = {}
    for path in given:
        for each in _in_folder(path) if path.is_dir() else [PictureFile(path, Path(path.name))]:
            files.setdefault(_resolved(each.path), each)
    if not any(each.path.exists() for each in files.values()):
        names = ", ".join(printable(path) for path in given)
        kinds = " ".join(sorted(_SUFFIXES))
        raise DataError(
            f"there are no pictures: {names or 'nothing was given'}. "
            f"Expected files, or folders with files that end in one of {kinds}"
        )
    return tuple(files.values())


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError):  # links that lead in a circle: reading it tells
        return path.absolute()


def _in_folder(root: Path) -> Iterator[PictureFile]:
    def refuse(error: OSError) -> None:
        folder = printable(error.filename)
        raise DataError(f"cannot read the folder {folder}: {error.strerror}") from error

    outside: list[str] = []
    for folder, inside, files in os.walk(root, onerror=refuse):
        if MADE_BY_US in files:
            inside.clear()
            continue
        inside[:] = sorted(name for name in inside if not name.startswith("."))
        for name in sorted(files):
            path = Path(folder, name)
            if name.startswith(".") or path.suffix.lower() not in _SUFFIXES:
                continue
            if path.is_symlink() and not _resolved(path).is_relative_to(_resolved(root)):
                outside.append(printable(path))
            else:
                yield PictureFile(path, path.relative_to(root))
    if outside:
        named = ", ".join(outside[:5]) + (f" and {len(outside) - 5} more" if outside[5:] else "")
        warnings.warn(
            f"links that lead out of {printable(root)} are passed over: {named}. To use what they "
            "lead to, give it by itself",
            NvnWarning,
            stacklevel=2,
        )


def read_picture(path: Path) -> Image.Image:
    """Read a picture of any mode and size, of an animation its first frame, as `rgb` makes it.

    Raises:
        DataError: If it cannot be read, saying why.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "deep.png")
    ...     Image.new("I;16", (2, 1), 65535).save(path)
    ...     read_picture(path).getpixel((0, 0))
    (255, 255, 255)
    """
    if path.exists() and not path.is_file():
        raise DataError("not a regular file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of metadata, and of what is large but can be read
            with Image.open(path) as image:
                return rgb(image)
    except UnidentifiedImageError:
        raise DataError(_unknown(path)) from None
    except OSError as error:
        raise DataError(error.strerror or str(error)) from error
    except Exception as error:  # a decoder may raise anything about a broken file
        raise DataError(f"{error or type(error).__name__}") from error


def _unknown(path: Path) -> str:
    if not path.stat().st_size:
        return "the file is empty"
    if path.suffix.lower() in (".heic", ".heif"):
        return "HEIC is not read: save it as JPEG or PNG"
    return "not a picture of a known format"


def rgb(image: Image.Image) -> Image.Image:
    """Return a picture as RGB with 8 bits a channel, turned upright as its EXIF tells.

    What is transparent is laid over white. Of 16 bits a channel, and of floats, see `_scaled`.

    >>> rgb(Image.new("RGBA", (1, 1), (255, 0, 0, 0))).getpixel((0, 0))  # a transparent red
    (255, 255, 255)
    >>> rgb(Image.new("CMYK", (1, 1))).mode
    'RGB'
    """
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith(("I", "F")):
        return _scaled(upright).convert("RGB")
    if upright.mode in ("RGBA", "LA", "PA", "RGBa") or "transparency" in upright.info:
        layer = upright.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return upright.convert("RGB")


def _scaled(image: Image.Image) -> Image.Image:
    """Return a picture of deep numbers as one of 8 bits.

    The numbers do not say what white is. 16-bit files have 65535; in others it is the least of 1
    (of floats only), 255 and 65535 that no number exceeds; what exceeds even that becomes white.
    """
    numbers = np.nan_to_num(np.asarray(image, dtype=np.float64))
    deep = image.mode.startswith("I;16")
    whites = (65535.0,) if deep else (1.0, 255.0) if image.mode == "F" else (255.0,)
    largest = numbers.max(initial=0.0)
    white = next((white for white in whites if largest <= white), 65535.0)
    return Image.fromarray((numbers / white * 255).round().clip(0, 255).astype(np.uint8))


def printable(path: Path | str) -> str:
    """Return a path as one line that can be printed, whatever bytes are in its name.

    >>> printable("two" + chr(10) + "lines.png")
    'two�lines.png'
    """
    text = os.fsencode(path).decode("utf-8", "replace")
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)


def drawable(text: str) -> str:
    """Return text in the letters of Pillow's own font, ASCII: no accents, `?` for all others.

    >>> drawable("Ärger, 怒")
    'Arger, ?'
    """
    letters = unicodedata.normalize("NFKD", text)
    bare = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return "".join(letter if " " <= letter <= "~" else "?" for letter in bare)
