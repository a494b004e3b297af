import io
import os
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFont

from nvn.errors import DataError, NvnWarning
from nvn.images import MADE_BY_US, drawable, find_pictures, printable, read_picture, rgb

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
    with pytest.raises(DataError, match="not a regular file"):
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


# --- finding ---


def touched(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_folders_are_walked_in_order(tmp_path: Path) -> None:
    touched(tmp_path, "b.jpg", "a.PNG", "deep/er/c.tif", "notes.txt", ".hidden.png", ".d/e.png")
    assert [str(found.place) for found in find_pictures([tmp_path])] == [
        "a.PNG",
        "b.jpg",
        "deep/er/c.tif",
    ]


def test_a_file_that_is_named_is_taken_whatever_its_name(tmp_path: Path) -> None:
    touched(tmp_path, ".hidden", "a/x.png")
    found = find_pictures([tmp_path / ".hidden", tmp_path / "a" / "x.png", tmp_path / "gone.png"])
    assert [str(each.place) for each in found] == [".hidden", "x.png", "gone.png"]


def test_a_file_given_twice_is_taken_once(tmp_path: Path) -> None:
    touched(tmp_path, "a/x.png")
    found = find_pictures([tmp_path / "a" / "x.png", tmp_path, tmp_path / "a" / ".." / "a"])
    assert [str(each.place) for each in found] == ["x.png"]


def test_results_are_no_inputs(tmp_path: Path) -> None:
    touched(tmp_path, "a.png", f"out/{MADE_BY_US}", "out/a-magnified.png", "out/deep/b.png")
    assert [str(found.place) for found in find_pictures([tmp_path])] == ["a.png"]


def test_no_pictures_at_all_is_an_error(tmp_path: Path) -> None:
    touched(tmp_path, "notes.txt")
    with pytest.raises(DataError, match=r"there are no pictures: .*Expected files, or folders"):
        find_pictures([tmp_path])
    with pytest.raises(DataError, match="there are no pictures: .*gone.png"):
        find_pictures([tmp_path / "gone.png"])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_cannot_be_read(tmp_path: Path) -> None:
    touched(tmp_path, "closed/a.png")
    (tmp_path / "closed").chmod(0)
    with pytest.raises(DataError, match="cannot read the folder .*closed: Permission denied"):
        find_pictures([tmp_path])


def test_a_name_of_any_bytes_can_be_printed() -> None:
    printable(os.fsdecode(b"\xff.png")).encode("utf-8")
    assert printable(Path("ä.png")) == "ä.png"
    assert printable("a\x1b[2J\n.png") == "a\ufffd[2J\ufffd.png"  # nor does it move the cursor


def test_text_is_in_letters_that_the_font_has() -> None:
    assert drawable("Ärger, é 怒\n") == "Arger, e ??"
    font = ImageFont.load_default(20)
    missing = bytes(font.getmask("\uffff"))
    assert not [chr(n) for n in range(33, 127) if bytes(font.getmask(chr(n))) == missing]


@pytest.mark.skipif(os.name == "nt", reason="links")
def test_links_out_of_a_folder_are_passed_over_and_named(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "folder", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    Image.new("L", (2, 2)).save(folder / "a.png")
    Image.new("L", (2, 2)).save(elsewhere / "secret.png")
    (folder / "b.png").symlink_to("a.png")
    (folder / "c.png").symlink_to(elsewhere / "secret.png")
    with pytest.warns(NvnWarning, match=r"lead out of .*folder are passed over: .*c.png"):
        found = find_pictures([folder])
    assert [picture.path.name for picture in found] == ["a.png"]
    assert len(find_pictures([folder / "c.png"])) == 1  # given by itself


@pytest.mark.skipif(os.name == "nt", reason="links")
def test_links_in_a_circle_are_no_pictures(tmp_path: Path) -> None:
    (tmp_path / "loop.png").symlink_to("loop.png")
    Image.new("L", (2, 2)).save(tmp_path / "a.png")
    found = find_pictures([tmp_path / "a.png", tmp_path / "loop.png"])
    assert len(found) == 2
    with pytest.raises(DataError):
        read_picture(tmp_path / "loop.png")
