import io
import os
import re
import struct
import tracemalloc
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from nvn.errors import DataError
from nvn.images import printable, read_picture, rgb

Y, X = np.mgrid[0:12, 0:16]
COLORS = Image.fromarray(np.stack([X * 16, Y * 20, X + Y], axis=-1).astype(np.uint8))


def saved(image: Image.Image, path: Path, **options: object) -> Path:
    image.save(path, **options)  # type: ignore
    return path


def gray(image: Image.Image) -> np.ndarray:
    assert image.mode == "RGB"
    return np.asarray(image)[:, :, 0]


# --- reading ---


@pytest.mark.parametrize(
    ("mode", "ending"),
    [
        *[
            ("1", "png"),
            ("L", "png"),
            ("LA", "png"),
            ("P", "png"),
            ("RGB", "jpg"),
            ("RGBA", "webp"),
        ],
        *[("CMYK", "jpg"), ("CMYK", "tif"), ("YCbCr", "jpg"), ("RGB", "bmp"), ("L", "pgm")],
    ],
)
def test_every_mode_becomes_rgb(tmp_path: Path, mode: str, ending: str) -> None:
    path = saved(COLORS.convert(mode), tmp_path / f"a.{ending}")
    found, expected = read_picture(path), COLORS.convert(mode).convert("RGB")
    assert (found.mode, found.size) == ("RGB", (16, 12))
    far = np.abs(np.asarray(found, dtype=int) - np.asarray(expected, dtype=int)).mean()
    assert far < (12 if ending in ("jpg", "webp") else 0.01)


def test_sixteen_bits_become_eight(tmp_path: Path) -> None:
    deep = (X * 257 * 10).astype(np.uint16)
    path = saved(Image.fromarray(deep), tmp_path / "a.png")
    assert (gray(read_picture(path)) == X * 10).all()


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        (X.astype(np.int32) * 10, X * 10),
        (X.astype(np.int32) * 2570, X * 10),
        (X.astype(np.float32) / 15, X * 17),
        (X.astype(np.float32) * 17, X * 17),
        (np.where(X == 3, np.nan, X).astype(np.float32) / 15, np.where(X == 3, 0, X * 17)),
        (np.where(X == 3, 10**6, 0).astype(np.int32), np.where(X == 3, 255, 0)),
        (np.where(X == 3, -5, 200).astype(np.int32), np.where(X == 3, 0, 200)),
    ],
)
def test_white_is_the_least_that_no_number_exceeds(
    tmp_path: Path, numbers: np.ndarray, expected: np.ndarray
) -> None:
    path = saved(Image.fromarray(numbers), tmp_path / "a.tif")
    assert (gray(read_picture(path)) == expected).all()


def test_what_is_transparent_lies_over_white(tmp_path: Path) -> None:
    layer = Image.new("RGBA", (4, 4), (10, 20, 30, 0))
    layer.putpixel((0, 0), (10, 20, 30, 255))
    found = read_picture(saved(layer, tmp_path / "a.png"))
    assert found.getpixel((0, 0)) == (10, 20, 30)
    assert found.getpixel((1, 1)) == (255, 255, 255)


@pytest.mark.parametrize("mode", ["L", "P"])
def test_a_transparent_color_is_white_too(tmp_path: Path, mode: str) -> None:
    image = Image.new("L", (4, 4), 7).convert(mode)
    path = saved(image, tmp_path / "a.png", transparency=7)
    assert (gray(read_picture(path)) == 255).all()


def test_a_picture_is_turned_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    path = saved(COLORS, tmp_path / "a.png", exif=exif)
    expected = COLORS.transpose(Image.Transpose.ROTATE_270)
    assert (np.asarray(read_picture(path)) == np.asarray(expected)).all()


def test_of_an_animation_the_first_frame_is_taken(tmp_path: Path) -> None:
    frames = [Image.new("L", (4, 4), level) for level in (200, 100)]
    path = saved(frames[0], tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert (gray(read_picture(path)) == 200).all()


def png() -> bytes:
    noise = np.random.default_rng(0).integers(0, 255, (30, 30, 3), dtype=np.uint8)
    content = io.BytesIO()
    Image.fromarray(noise).save(content, format="PNG")
    return content.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("a.png", b"", "the file is empty"),
        ("a.png", b"hello", "not a picture of a known format"),
        ("a.heic", b"hello", "HEIC is not read: save it as JPEG or PNG"),
        ("a.png", png()[:-1000], "truncated"),
        ("a.png", png()[:40], ""),
    ],
)
def test_a_broken_file_is_a_data_error(tmp_path: Path, name: str, content: bytes, why: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=why or "."):
        read_picture(tmp_path / name)


def test_any_cut_and_any_changed_byte_is_read_or_a_data_error(tmp_path: Path) -> None:
    whole, path = png()[:400], tmp_path / "a.png"
    for place in range(8, 120):
        for content in (whole[:place], whole[:place] + b"\xff" + whole[place + 1 :]):
            path.write_bytes(content)
            with pytest.raises(DataError):
                read_picture(path)


def test_what_is_no_file_is_said(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")  # reading it would wait for ever
    with pytest.raises(DataError, match="it is no regular file"):
        read_picture(tmp_path / "pipe.png")
    with pytest.raises(DataError, match="No such file"):
        read_picture(tmp_path / "gone.png")


def test_large_is_read_and_far_too_large_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(COLORS, tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # Pillow warns from here, refuses at twice
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_picture(path).size == (16, 12)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 90)
    with pytest.raises(DataError, match="192 pixels"):
        read_picture(path)


def test_rgb_leaves_its_input_alone() -> None:
    image = COLORS.convert("RGBA")
    before = image.tobytes()
    rgb(image).putpixel((0, 0), (9, 9, 9))
    assert image.tobytes() == before


# --- colors, depths, turns ---

SRGB = ImageCms.createProfile("sRGB")


def gray_profile() -> bytes:
    """A profile of grays of gamma 1, by hand: Pillow makes none."""
    curve = b"curv" + bytes(4) + struct.pack(">I", 0) + bytes(4)
    white = b"XYZ " + bytes(4) + struct.pack(">3I", 0xF6D6, 0x10000, 0xD32D)
    text = b"desc" + bytes(4) + struct.pack(">I", 7) + b"linear\0" + bytes(83)
    parts, table, at = [curve, white, text], b"", 128 + 4 + 36
    for name, part in zip((b"kTRC", b"wtpt", b"desc"), parts, strict=True):
        table += name + struct.pack(">2I", at, len(part))
        at += len(part)
    body = struct.pack(">I", 3) + table + b"".join(parts)
    head = struct.pack(">I4xI4s4s4s12x", 128 + len(body), 0x02400000, b"mntr", b"GRAY", b"XYZ ")
    head += b"acsp" + bytes(28) + struct.pack(">3I", 0xF6D6, 0x10000, 0xD32D)
    return head.ljust(128, b"\0") + body


def swapped_profile() -> bytes:
    """A profile whose red and green have changed places: one sees whether it is used."""
    whole = bytearray(ImageCms.ImageCmsProfile(SRGB).tobytes())
    count = struct.unpack_from(">I", whole, 128)[0]
    at = {bytes(whole[132 + 12 * n : 136 + 12 * n]): 132 + 12 * n for n in range(count)}
    first, second = (slice(at[name] + 4, at[name] + 12) for name in (b"rXYZ", b"gXYZ"))
    whole[first], whole[second] = whole[second], whole[first]
    return bytes(whole.replace(b"s\0R\0G\0B", b"o\0t\0h\0e").replace(b"sRGB", b"othe"))


PROFILES = {
    "none": None,
    "sRGB": ImageCms.ImageCmsProfile(SRGB).tobytes(),
    "swapped": swapped_profile(),
    "gray": gray_profile(),
    "CMYK": ImageCms.ImageCmsProfile(SRGB).tobytes()[:16] + b"CMYK" + bytes(200),
    "broken": b"\xff" * 200,
}
# A color for each mode as it is without a profile, and with the one of its own space.
RED = {
    "RGB": ((255, 0, 0), {"swapped": (0, 255, 0)}),
    "RGBA": ((255, 0, 0), {"swapped": (0, 255, 0)}),
    "P": ((255, 0, 0), {"swapped": (0, 255, 0)}),
    "CMYK": ((255, 0, 0), {}),
    "L": ((76, 76, 76), {"gray": (148, 148, 148)}),
    "LA": ((76, 76, 76), {"gray": (148, 148, 148)}),
    "I;16": ((76, 76, 76), {"gray": (148, 148, 148)}),
    "1": ((0, 0, 0), {}),
}


def half_red(mode: str) -> Image.Image:
    """Red on the left, white on the right; of a mode that has it the white is transparent."""
    image = Image.new("RGB", (4, 2), "white")
    image.paste((255, 0, 0), (0, 0, 2, 2))
    if mode == "I;16":
        return Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    if mode == "1":
        return image.convert("L").point(lambda level: 255 if level > 128 else 0).convert("1")
    if mode in ("RGBA", "LA"):
        image.putalpha(Image.fromarray(np.array([[255, 255, 0, 0]] * 2, dtype=np.uint8)))
    return image.convert(mode)


@pytest.mark.parametrize("ending", ["png", "tif"])
@pytest.mark.parametrize("turn", [1, 3, 6, "broken"])
@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("mode", RED)
def test_colors_are_those_of_srgb(
    tmp_path: Path, mode: str, profile: str, turn: int | str, ending: str
) -> None:
    if (ending, mode) == ("png", "CMYK") or (ending, turn) == ("tif", "broken"):
        pytest.skip("there are no such files")
    path = tmp_path / f"a.{ending}"
    exif = Image.Exif()
    exif[0x0112] = turn
    block = b"Exif\0\0" + b"\xff" * 16 if turn == "broken" else exif.tobytes()
    half_red(mode).save(path, icc_profile=PROFILES[profile], exif=block)
    found = read_picture(path)
    plain, managed = RED[mode]
    expected = managed.get(profile, plain)
    seen = {1: (0, 0), "broken": (0, 0), 3: (3, 1), 6: (0, 0)}[turn]
    white = {1: (3, 0), "broken": (3, 0), 3: (0, 0), 6: (0, 3)}[turn]
    assert found.size == ((2, 4) if turn == 6 else (4, 2))
    assert np.abs(np.subtract(found.getpixel(seen), expected)).max() <= 2
    assert np.abs(np.subtract(found.getpixel(white), (255, 255, 255))).max() <= 2
    assert (found.mode, found.info) == ("RGB", {})  # nothing of the file's goes into a result


def test_lab_is_read(tmp_path: Path) -> None:
    path = saved(Image.new("LAB", (2, 2), (138, 208, 195)), tmp_path / "a.tif")
    assert np.abs(np.subtract(read_picture(path).getpixel((0, 0)), (251, 9, 11))).max() <= 2


def as_png(depth: int, color: int, rows: list[bytes], clear: bytes) -> bytes:
    """A PNG of any depth with a transparent color, by hand: Pillow writes few of them."""

    def chunk(name: bytes, content: bytes) -> bytes:
        checked = name + content
        return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))

    head = struct.pack(">2I5B", 2, len(rows), depth, color, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    parts = ((b"IHDR", head), (b"tRNS", clear), (b"IDAT", data), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


@pytest.mark.parametrize(
    ("depth", "color", "row", "clear", "other"),
    [
        (1, 0, b"\x40", b"\0\0", 255),  # the pixels 0 and 1, 0 is clear
        (2, 0, b"\x60", b"\0\1", 170),
        (4, 0, b"\x79", b"\0\7", 153),
        (8, 0, b"\x07\x99", b"\0\7", 153),
        (16, 0, b"\x07\x08\x99\x00", b"\x07\x08", 152),
        (16, 2, b"\x07\x08\0\0\0\0" + b"\x99\0" * 3, b"\x07\x08\0\0\0\0", 153),
        (8, 2, b"\x07\0\0" + b"\x99" * 3, b"\0\x07\0\0\0\0", 153),
    ],
)
def test_a_transparent_color_of_any_depth_is_white(
    tmp_path: Path, depth: int, color: int, row: bytes, clear: bytes, other: int
) -> None:
    (tmp_path / "a.png").write_bytes(as_png(depth, color, [row], clear))
    assert gray(read_picture(tmp_path / "a.png")).tolist() == [[255, other]]


@pytest.mark.parametrize("deep", [False, True])
def test_where_the_least_number_is_white_it_is_white(tmp_path: Path, deep: bool) -> None:
    levels = (X * 4369).astype(np.uint16) if deep else (X * 17).astype(np.uint8)
    path = saved(Image.fromarray(levels), tmp_path / "a.tif", tiffinfo={262: 0})
    if deep:  # Pillow notes what it writes, not what it was told
        whole = path.read_bytes()
        path.write_bytes(whole.replace(b"\x06\x01\x03\0\1\0\0\0\1", b"\x06\x01\x03\0\1\0\0\0\0"))
    with Image.open(path) as file:
        assert file.tag_v2[262] == 0  # type: ignore[attr-defined]
        shown = np.asarray(file)[0, 0]
    expected = 255 - X * 17 if deep or shown == 255 else X * 17
    assert (gray(read_picture(path)) == expected).all()


# --- one broken file is one message ---


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("block", [b"\xff" * 16, b"II*\0" + b"\xff" * 40, b""])
def test_a_picture_with_broken_exif_is_whole(tmp_path: Path, ending: str, block: bytes) -> None:
    path = tmp_path / f"a.{ending}"
    COLORS.save(path, **({} if ending == "tif" else {"exif": b"Exif\0\0" + block}))
    assert read_picture(path).size == (16, 12)


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (OSError("decoder error -2"), "the file is damaged: its PNG data cannot be decoded"),
        (KeyError(), "the file is damaged: KeyError"),
        (SyntaxError("odd"), "the file is damaged: odd"),
        (RecursionError("deep"), "the file is damaged: deep"),
        (MemoryError(), "there is not enough memory for 16 × 12 pixels"),
        (Image.DecompressionBombError("so many"), "it is too large: so many"),
    ],
)
def test_whatever_a_decoder_raises_is_a_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, why: str
) -> None:
    def broken(self: object) -> None:
        raise error

    path = saved(COLORS, tmp_path / "a.png")
    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", broken)
    with pytest.raises(DataError, match=f"^{re.escape(why)}$"):
        read_picture(path)


def test_ctrl_c_is_no_broken_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(self: object) -> None:
        raise KeyboardInterrupt

    path = saved(COLORS, tmp_path / "a.png")
    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", stopped)
    with pytest.raises(KeyboardInterrupt):
        read_picture(path)


def test_no_other_program_is_started_for_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n")
    with pytest.raises(DataError, match="not a picture of a known format"):
        read_picture(path)


@pytest.mark.parametrize("mode", ["I;16", "I", "F", "RGBA", "LA"])
def test_reading_needs_few_bytes_a_pixel(tmp_path: Path, mode: str) -> None:
    """What numpy takes; Pillow's own is at most one more picture of four bytes."""
    path = saved(Image.new(mode, (2000, 1000)), tmp_path / "a.tif")
    tracemalloc.start()
    read_picture(path)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 14 * 2_000_000 + 20_000_000


# --- printing ---


def test_a_name_of_any_bytes_can_be_printed() -> None:
    printable(os.fsdecode(b"\xff.png")).encode("utf-8")
    assert printable(Path("ä.png")) == "ä.png"
    assert printable("a\x1b[2J\n.png") == "a\ufffd[2J\ufffd.png"  # nor does it move the cursor
