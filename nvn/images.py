"""Reading picture files of any mode: the result is RGB, 8 bits a channel, upright, in sRGB."""

from __future__ import annotations

import io
import math
import os
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageChops, ImageCms, UnidentifiedImageError
from PIL.ImageFile import ImageFile

from nvn.errors import DataError
from nvn.files import open_regular

__all__ = ["decoded", "endings", "grid", "printable", "read_picture", "rgb"]

# Of what Pillow knows: not pictures, or drawn by programs of others that a picture must not start.
_NOT_READ = frozenset(("BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"))
# HEIC is not read without a plugin of Pillow's; better that its file is named than passed over.
_HEIC = frozenset((".heic", ".heif"))
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SPACES = {"L": b"GRAY", "RGB": b"RGB ", "CMYK": b"CMYK"}  # of profiles, by the mode they fit
_AT_ONCE = 1 << 18  # numbers of a deep picture that are scaled at once
_MINIMUM_IS_WHITE = (262, 0)  # a TIFF's tag PhotometricInterpretation, and its value for that


def endings() -> frozenset[str]:
    """Return how the names of picture files end, in small letters: of all that can be read.

    >>> {".avif", ".jpeg", ".jp2", ".png", ".tga"} <= endings()
    True
    """
    read = _formats()
    known = Image.registered_extensions().items()
    return _HEIC | {ending for ending, kind in known if kind in read}


def _formats() -> list[str]:
    Image.init()  # has Pillow import all that it reads
    return sorted(Image.OPEN.keys() - _NOT_READ)


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
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of metadata, and of what is large but can be read
        return decoded(path)


def decoded(path: Path) -> Image.Image:
    """Read a picture as `read_picture` does, in any thread; Pillow's warnings are let through.

    (They could be silenced only for all threads at once.)

    Raises:
        DataError: If it cannot be read, saying why.

    >>> decoded(Path("missing.png"))
    Traceback (most recent call last):
    nvn.errors.DataError: No such file or directory
    """
    kind, size = "picture", ""
    try:
        # (Given a path, Pillow maps what is not compressed, and does not turn some such TIFFs.)
        with open_regular(path) as file, Image.open(file, formats=_formats()) as image:
            kind, size = image.format or kind, f" for {image.width} × {image.height} pixels"
            _scale_transparency(image)
            return rgb(image)
    except DataError:
        raise
    except UnidentifiedImageError:
        raise DataError(_unknown(path)) from None
    except MemoryError as error:
        raise DataError(f"there is not enough memory{size}") from error
    except Image.DecompressionBombError as error:
        raise DataError(f"it is too large: {error}") from error
    except Exception as error:  # a decoder may raise anything about a broken file
        raise DataError(_why(error, kind)) from error


def _why(error: Exception, kind: str) -> str:
    said = getattr(error, "strerror", None) or str(error) or type(error).__name__
    if "decoder error" in said:  # all that is said then is a number
        return f"the file is damaged: its {kind} data cannot be decoded"
    # What Pillow and the system raise on purpose says what it is.
    return said if isinstance(error, OSError) else f"the file is damaged: {said}"


def _unknown(path: Path) -> str:
    if not path.stat().st_size:
        return "the file is empty"
    if path.suffix.lower() in _HEIC:
        return "HEIC is not read: save it as JPEG or PNG"
    return "not a picture of a known format"


def _scale_transparency(image: Image.Image) -> None:
    """Give a PNG's transparent color in the 8 bits of its pixels: it stands in the file's own.

    To be called before the pixels are read: after that the file's depth is forgotten.
    """
    clear = image.info.get("transparency")
    kind = str(image.tile[0].args) if isinstance(image, ImageFile) and image.tile else ""
    if image.mode == "RGB" and "16" in kind and isinstance(clear, tuple):
        image.info["transparency"] = tuple(level >> 8 for level in clear)
    elif image.mode == "L" and isinstance(clear, int):
        image.info["transparency"] = clear * (85 if ";2" in kind else 17 if ";4" in kind else 1)


def rgb(image: Image.Image) -> Image.Image:
    """Return a picture as RGB with 8 bits a channel, turned upright as its EXIF tells.

    Colors are converted to sRGB by the picture's profile, if it has one that fits its mode. What is
    transparent is laid over white. Of 16 bits a channel, and of floats, see `_scaled`. Nothing else
    of the picture's metadata is kept: they would not be true of what is made of it.

    >>> rgb(Image.new("RGBA", (1, 1), (255, 0, 0, 0))).getpixel((0, 0))  # a transparent red
    (255, 255, 255)
    >>> rgb(Image.new("CMYK", (1, 1))).mode
    'RGB'
    """
    image.load()  # before its metadata: they may stand at a file's end
    turn, profile = _turn(image), image.info.get("icc_profile")
    flat, opaque = _parted(image)
    picture = _in_srgb(flat, profile if isinstance(profile, bytes) else b"")
    if opaque is not None:
        picture.paste((255, 255, 255), mask=ImageChops.invert(opaque))
    if turn is not None:
        picture = picture.transpose(turn)
    picture.info = {}
    return picture


def _turn(image: Image.Image) -> Image.Transpose | None:
    """How a picture has to be turned; not at all if what tells is broken: its pixels are whole."""
    try:
        return _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # noqa: BLE001 - anything may stand there, and any of Pillow's parsers fail
        return None


def _parted(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Return a picture's colors, L, RGB, CMYK or LAB, and how opaque it is, L or None: all."""
    if image.mode.startswith(("I", "F")):
        return _scaled(image), _differs(image, image.info.get("transparency"))
    if image.mode in ("La", "RGBa"):
        image = image.convert(image.mode.upper())
    if image.mode == "LA":
        return image.getchannel("L"), image.getchannel("A")
    if image.mode in ("RGBA", "PA") or "transparency" in image.info:
        layer = image.convert("RGBA")
        colors = image.convert("L") if image.mode in ("1", "L") else layer.convert("RGB")
        return colors, layer.getchannel("A")
    if image.mode in ("L", "RGB", "CMYK", "LAB"):
        return image, None
    return image.convert("L" if image.mode == "1" else "RGB"), None


def _differs(image: Image.Image, clear: object) -> Image.Image | None:
    """Return where a deep picture is not of its transparent level."""
    if not isinstance(clear, int):
        return None
    return Image.fromarray((np.asarray(image) != clear).astype(np.uint8) * 255)


def _in_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """Return a new picture, RGB; a profile that does not fit its mode is that of another one."""
    if image.mode == "LAB" or profile[16:20] == _SPACES.get(image.mode):
        try:
            given = ImageCms.ImageCmsProfile(io.BytesIO(profile)) if image.mode != "LAB" else None
            if given is None or "srgb" not in ImageCms.getProfileDescription(given).casefold():
                return _converted(image, given or ImageCms.createProfile("LAB"))
        except (ImageCms.PyCMSError, OSError, ImportError):
            if image.mode == "LAB":
                raise
    # (The copy has no metadata yet: else a gray picture's transparent level would be looked for.)
    bare = image.copy()
    bare.info = {}
    return bare if bare.mode == "RGB" else bare.convert("RGB")


def _converted(image: Image.Image, profile: object) -> Image.Image:
    found = ImageCms.profileToProfile(
        image,
        profile,  # type: ignore[arg-type]
        ImageCms.createProfile("sRGB"),
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        "RGB",
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    assert found is not None  # it is only where a picture is converted in place
    return found


def _scaled(image: Image.Image) -> Image.Image:
    """Return a picture of deep numbers as one of 8 bits.

    The numbers do not say what white is. 16-bit files have 65535; in others it is the least of 1
    (of floats only), 255 and 65535 that no number exceeds; what exceeds even that becomes white.
    """
    numbers = np.asarray(image)
    deep = image.mode.startswith("I;16")
    whites = (65535.0,) if deep else (1.0, 255.0) if image.mode == "F" else (255.0,)
    largest = max(part.max(initial=0.0) for _, part in _parts(numbers))
    white = next((white for white in whites if largest <= white), 65535.0)
    levels = np.empty(numbers.shape, np.uint8)
    for rows, part in _parts(numbers):
        levels[rows] = (part / white * 255).round().clip(0, 255)
    tag, value = _MINIMUM_IS_WHITE
    if deep and getattr(image, "tag_v2", {}).get(tag) == value:  # Pillow inverts only 8 bits
        levels = 255 - levels
    return Image.fromarray(levels)


def _parts(numbers: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield rows of deep numbers, some at once: as float64 all would take much memory."""
    height = max(1, _AT_ONCE // max(1, numbers.shape[1]))
    for start in range(0, len(numbers), height):
        rows = slice(start, start + height)
        yield rows, np.nan_to_num(numbers[rows].astype(np.float64))


def grid(pictures: Sequence[Image.Image], *, gap: int = 2) -> Image.Image:
    """Lay out pictures in a grid that is about square, `gap` px between them, on white.

    Cells have the size of the largest picture.

    >>> grid([Image.new("RGB", (8, 8))] * 5).size
    (28, 18)
    """
    columns = max(1, math.ceil(math.sqrt(len(pictures))))
    width = max((each.width for each in pictures), default=1)
    height = max((each.height for each in pictures), default=1)
    rows = max(1, math.ceil(len(pictures) / columns))
    size = (columns * (width + gap) - gap, rows * (height + gap) - gap)
    sheet = Image.new("RGB", size, "white")
    for number, each in enumerate(pictures):
        row, column = divmod(number, columns)
        sheet.paste(each.convert("RGB"), (column * (width + gap), row * (height + gap)))
    return sheet


def printable(path: Path | str) -> str:
    """Return a path as one line that can be printed, whatever bytes are in its name.

    >>> printable("two" + chr(10) + "lines.png")
    'two�lines.png'
    """
    text = os.fsencode(path).decode("utf-8", "replace")
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)
