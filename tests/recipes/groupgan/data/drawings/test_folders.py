"""Drawings of one's own: layouts, picture modes, what is passed over and what is said about it."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from nvn_recipes.groupgan.data.drawings import folders
from nvn_recipes.groupgan.data.drawings.folders import from_folder, from_sketchy
from nvn_recipes.groupgan.data.drawings.pictures import read_drawing
from PIL import Image, ImageOps

from nvn.errors import DataError, NvnWarning

SIDE = 32


def stroke(kind: int, size: tuple[int, int] = (64, 64)) -> Image.Image:
    """A different bar for each kind."""
    picture = Image.new("L", size, 255)
    bar = Image.new("L", (size[0] // 2, size[1] // 8), 0)
    if kind % 2:
        bar = bar.transpose(Image.Transpose.ROTATE_90)
    picture.paste(bar, (4 + 3 * (kind // 2), 4 + 9 * (kind // 2)))
    return picture


def save(path: Path, kind: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    stroke(kind).save(path)
    return path


def shown(kind: int) -> torch.Tensor:
    return torch.from_numpy(np.array(stroke(kind).resize((SIDE, SIDE), Image.Resampling.BOX)))


def test_a_folder_for_each_class(tmp_path):
    save(tmp_path / "cats" / "a.png", 0)
    save(tmp_path / "cats" / "more" / "b.JPG", 1)
    save(tmp_path / "dogs" / "c.bmp", 4)
    drawings = from_folder(tmp_path, SIDE)
    assert drawings.classes == ("cats", "dogs")
    assert drawings.names == ("cats/a.png", "cats/more/b.JPG", "dogs/c.bmp")
    assert drawings.label.tolist() == [0, 0, 1]
    assert drawings.group.tolist() == [0, 1, 2]
    assert drawings.pictures.shape == (3, 1, SIDE, SIDE)
    assert drawings.pictures.dtype == torch.uint8
    for picture, kind in zip(drawings.pictures, (0, 1, 4), strict=True):
        difference = (picture[0].float() - shown(kind).float()).abs()
        assert float(difference.mean()) < 4


def test_a_flat_folder_is_one_class(tmp_path):
    for kind in range(3):
        save(tmp_path / "mine" / f"{kind}.png", kind)
    drawings = from_folder(tmp_path / "mine", SIDE)
    assert drawings.classes == ("mine",)
    assert drawings.label.tolist() == [0, 0, 0]


def test_twins_share_a_group_wherever_they_are(tmp_path):
    save(tmp_path / "a" / "one.png", 0)
    save(tmp_path / "b" / "two.png", 0)
    save(tmp_path / "b" / "other.png", 1)
    assert from_folder(tmp_path, SIDE).group.tolist() == [0, 1, 0]


LITTER = (
    *(".DS_Store", "a/._one.png", ".git/x.png", "__MACOSX/x.png", "a/Thumbs.db", "desktop.ini"),
    *("@eaDir/x.png", "a/@eaDir/x.png", "$RECYCLE.BIN/x.png", "lost+found/x.png"),
)


def test_what_systems_leave_behind_is_no_class(tmp_path):
    save(tmp_path / "a" / "one.png")
    for name in LITTER:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"no picture")
    drawings = from_folder(tmp_path, SIDE)  # and nothing is said
    assert (drawings.names, drawings.classes) == (("a/one.png",), ("a",))


@pytest.mark.parametrize("ending", ["avif", "jfif", "jp2", "pgm", "tga", "webp", "tif", "ppm"])
def test_pictures_of_every_ending_are_drawings(tmp_path, ending):
    save(tmp_path / f"one.{ending}")
    assert from_folder(tmp_path, SIDE).names == (f"one.{ending}",)


def test_other_files_and_links_to_other_classes_are_named(tmp_path, monkeypatch):
    save(tmp_path / "cats" / "one.png", 0)
    save(tmp_path / "dogs" / "two.png", 1)
    save(tmp_path / "closed" / "three.png", 4)
    (tmp_path / "cats" / "notes.txt").touch()
    (tmp_path / "cats" / "dog.png").symlink_to(tmp_path / "dogs" / "two.png")
    (tmp_path / "birds").symlink_to(tmp_path / "dogs")
    usual = Path.iterdir

    def refuse(self):
        if self.name == "closed":
            raise PermissionError(13, "Permission denied")
        return usual(self)

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.warns(NvnWarning, match="The drawings in") as said:
        drawings = from_folder(tmp_path, SIDE)
    assert drawings.classes == ("cats", "dogs")
    assert drawings.names == ("cats/one.png", "dogs/two.png")
    lines = [line.strip() for line in str(said[0].message).splitlines()[1:]]
    assert sorted(lines) == [
        "1 folders that cannot be read (Permission denied): closed",
        "1 not pictures by their endings: cats/notes.txt",
        "2 links to what is read at its own place: birds, cats/dog.png",
    ]


def test_whatever_one_drawing_does_the_others_are_read(tmp_path, monkeypatch):
    save(tmp_path / "a" / "bad.png", 0)
    save(tmp_path / "a" / "good.png", 1)

    def read(path, side):
        if path.name == "bad.png":
            raise MemoryError("no memory")
        return read_drawing(path, side)

    monkeypatch.setattr(folders, "read_drawing", read)
    with pytest.warns(NvnWarning, match=r"1 of 2 .*a/bad.png \(MemoryError: no memory\)"):
        assert len(from_folder(tmp_path, SIDE)) == 1


def test_links_are_followed_and_a_circle_ends(tmp_path):
    save(tmp_path / "far" / "one.png", 0)
    save(tmp_path / "far" / "deep" / "two.png", 1)
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "cats").symlink_to(tmp_path / "far")
    (tmp_path / "far" / "deep" / "back").symlink_to(tmp_path / "root")
    (tmp_path / "root" / "three.png").symlink_to(save(tmp_path / "elsewhere.png", 4))
    with pytest.warns(NvnWarning, match=r"1 links to what is read at .*: cats/deep/back"):
        drawings = from_folder(tmp_path / "root", SIDE)
    assert drawings.names == ("cats/deep/two.png", "cats/one.png", "three.png")
    assert drawings.classes == ("cats", "root")


def test_what_cannot_be_read_is_counted_and_named_once(tmp_path):
    whole = save(tmp_path / "a" / "good.png").read_bytes()
    bad = {"torn.png": whole[: len(whole) // 2], "empty.jpg": b"", "text.png": b"hello"}
    for name, data in bad.items():
        (tmp_path / "a" / name).write_bytes(data)
    Image.new("L", (20, 20), 255).save(tmp_path / "a" / "blank.png")
    (tmp_path / "a" / "nowhere.png").symlink_to(tmp_path / "gone.png")
    with pytest.warns(NvnWarning, match="5 of 6 pictures") as said:
        drawings = from_folder(tmp_path, SIDE)
    assert drawings.names == ("a/good.png",)
    assert len(said) == 1
    for name in [*bad, "blank.png", "nowhere.png"]:
        assert f"a/{name} (" in str(said[0].message)
    assert "no ink" in str(said[0].message)


def test_of_many_that_cannot_be_read_some_are_named(tmp_path):
    save(tmp_path / "good.png")
    for k in range(15):
        (tmp_path / f"bad{k:02}.png").write_bytes(b"")
    with pytest.warns(NvnWarning, match=r"15 of 16 .*bad00\.png.*and 5 more"):
        from_folder(tmp_path, SIDE)


@pytest.mark.parametrize("read", [from_folder, from_sketchy])
def test_a_folder_without_drawings_says_what_was_expected(read, tmp_path):
    with pytest.raises(DataError, match=r"(?s)nowhere, does not exist.*expected:.*ROOT/"):
        read(tmp_path / "nowhere", SIDE)
    with pytest.raises(DataError, match=r"(?s)nothing, it is empty.*expected:.*ROOT/"):
        read(tmp_path, SIDE)
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / "sub").mkdir()
    found = r"(?s)found: notes\.txt, sub/\n.*endings read: \.apng, .*\.bmp"
    with pytest.raises(DataError, match=found):
        read(tmp_path, SIDE)
    with pytest.raises(DataError, match=r"notes\.txt, is a file"):
        read(tmp_path / "notes.txt", SIDE)


def test_a_folder_of_nothing_readable_is_an_error(tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"1 that cannot be read: a\.png"):
        from_folder(tmp_path, SIDE)


def test_a_limit_takes_evenly_from_the_classes_and_goes_on_past_bad_files(tmp_path):
    for name, count in (("a", 9), ("b", 9), ("c", 1)):
        for k in range(count):
            save(tmp_path / name / f"{k}.png", k)
    drawings = from_folder(tmp_path, SIDE, limit=7)
    assert drawings.label.bincount().tolist() == [3, 3, 1]
    assert drawings.names == from_folder(tmp_path, SIDE, limit=7).names
    first = next(name for name in drawings.names if name.startswith("a/"))
    (tmp_path / first).write_bytes(b"")
    with pytest.warns(NvnWarning, match="1 of 8"):
        assert len(from_folder(tmp_path, SIDE, limit=7)) == 7


def test_a_limit_does_not_take_the_first_by_name(tmp_path):
    for k in range(20):
        save(tmp_path / f"{k:02}.png", k % 8)
    names = from_folder(tmp_path, SIDE, limit=5).names
    assert names != tuple(f"{k:02}.png" for k in range(5))


SKETCHES = ("airplane/n02691156_10151-1", "airplane/n02691156_10151-2", "airplane/n02691156_58-1",
            "hot-air_balloon/n02782093_10151-3")  # fmt: skip


@pytest.mark.parametrize("top", ["sketch", "256x256/sketch", "."])
@pytest.mark.parametrize("below", [False, True])
def test_sketchy_as_it_is_distributed(tmp_path, top, below):
    rendering = tmp_path / top / "tx_000100000000"
    for kind, name in enumerate(SKETCHES):
        save(rendering / f"{name}.png", kind)
        save(tmp_path / top / "tx_000000000000" / f"{name}.png", 7)
    save(tmp_path / "256x256/photo/tx_000100000000/airplane/n02691156_10151.jpg")
    drawings = from_sketchy(rendering if below else tmp_path, SIDE)
    assert drawings.classes == ("airplane", "hot-air_balloon")
    assert drawings.label.tolist() == [0, 0, 0, 1]
    assert drawings.group.tolist() == [0, 0, 1, 2]
    assert [name[-len(s) - 4 :] for name, s in zip(drawings.names, SKETCHES, strict=True)] == [
        f"{s}.png" for s in SKETCHES
    ]
    assert float((drawings.pictures[3, 0].float() - shown(3).float()).abs().mean()) < 4


def test_another_rendering_of_sketchy_will_do(tmp_path):
    save(tmp_path / "sketch" / "tx_000000000000" / "airplane" / "n02691156_10151-1.png")
    assert len(from_sketchy(tmp_path, SIDE)) == 1


def test_sketchys_photographs_are_no_drawings(tmp_path):
    save(tmp_path / "tx_000100000000" / "airplane" / "n02691156_10151.jpg")
    with pytest.raises(DataError, match=r"(?s)no drawing.*1 not named as .*n02691156_10151.jpg"):
        from_sketchy(tmp_path, SIDE)


def sixteen_bits() -> Image.Image:
    return Image.fromarray(np.asarray(stroke(0)).astype(np.uint16) * 257)


def dim_sixteen_bits() -> Image.Image:
    """Ink everywhere: 200 of 65535 is nearly black."""
    return Image.fromarray(np.full((64, 64), 200, dtype=np.uint16))


def on_nothing(mode: str) -> Image.Image:
    """Black everywhere, seen only where the stroke is."""
    picture = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    picture.putalpha(stroke(0).point(lambda gray: 255 - gray))
    return picture.convert(mode)


def in_palette() -> Image.Image:
    picture = stroke(0).convert("P")
    picture.putpalette([255, 255, 255] * 255 + [0, 0, 0])
    return picture.point(lambda gray: 255 if gray < 128 else 3)


def clear_palette() -> Image.Image:
    picture = in_palette()
    picture.putpalette([0, 0, 0] * 256)
    picture.info["transparency"] = 3
    return picture


MODES = {
    "1.png": lambda: stroke(0).convert("1"),
    "rgb.png": lambda: stroke(0).convert("RGB"),
    "cmyk.jpg": lambda: stroke(0).convert("CMYK"),
    "16.png": sixteen_bits,
    "32.tif": lambda: stroke(0).convert("I"),
    "float.tif": lambda: Image.fromarray(np.asarray(stroke(0)).astype(np.float32) / 255),
    "rgba.png": lambda: on_nothing("RGBA"),
    "la.png": lambda: on_nothing("LA"),
    "palette.gif": in_palette,
    "clear.png": clear_palette,
    "gray.webp": lambda: stroke(0),
}


@pytest.mark.parametrize("name", MODES)
def test_every_mode_shows_the_same_drawing(tmp_path, name):
    MODES[name]().save(tmp_path / name)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read = torch.from_numpy(read_drawing(tmp_path / name, SIDE))
    assert float((read.float() - shown(0).float()).abs().mean()) < 4


def test_sixteen_bits_are_read_as_such_however_dark(tmp_path):
    dim_sixteen_bits().save(tmp_path / "dim.png")
    assert (read_drawing(tmp_path / "dim.png", SIDE) == 0).all()


@pytest.mark.parametrize("size", [(64, 64), (128, 32)])
def test_a_negative_is_the_drawing(tmp_path, size):
    stroke(0, size).save(tmp_path / "dark.png")
    ImageOps.invert(stroke(0, size)).save(tmp_path / "light.png")
    dark, light = (read_drawing(tmp_path / f"{name}.png", SIDE) for name in ("dark", "light"))
    assert (dark == light).all()


def test_a_drawing_full_of_ink_is_no_negative(tmp_path):
    full = Image.new("L", (64, 64), 0)
    full.paste(255, (2, 2, 62, 30))  # its edges are dark, and there is much paper
    full.paste(255, (2, 34, 62, 62))
    full.save(tmp_path / "full.png")
    assert (read_drawing(tmp_path / "full.png", SIDE) == 255).mean() > 0.5


def test_what_is_not_square_gets_white_borders(tmp_path):
    stroke(0, (128, 32)).save(tmp_path / "wide.png")
    read = read_drawing(tmp_path / "wide.png", SIDE)
    assert read.shape == (SIDE, SIDE)
    assert (read[:11] == 255).all()
    assert (read[21:] == 255).all()
    assert (read < 128).any()


def test_a_hair_is_no_drawing(tmp_path):
    Image.new("L", (1, 2000), 0).save(tmp_path / "hair.png")
    with pytest.raises(DataError, match="1 by 2000 pixels are too narrow"):
        read_drawing(tmp_path / "hair.png", SIDE)


def test_a_photograph_is_turned_as_its_camera_says(tmp_path):
    turned = stroke(0).transpose(Image.Transpose.ROTATE_90)
    tags = Image.Exif()
    tags[0x0112] = 6  # to be turned by 90 degrees clockwise
    turned.save(tmp_path / "turned.jpg", exif=tags)
    read = torch.from_numpy(read_drawing(tmp_path / "turned.jpg", SIDE))
    assert float((read.float() - shown(0).float()).abs().mean()) < 6


@pytest.mark.parametrize(("size", "line", "darkness"), [(256, 2, 0), (1024, 5, 0), (64, 2, 150)])
def test_thin_and_pale_lines_stay_black(tmp_path, size, line, darkness):
    picture = Image.new("L", (size, size), 255)
    picture.paste(darkness, (0, size // 3, size, size // 3 + line))
    picture.paste(darkness, (size // 3, 0, size // 3 + line, size))
    picture.save(tmp_path / "thin.png")
    read = read_drawing(tmp_path / "thin.png", SIDE)
    assert (read.min(0) < 90).all()
    assert (read.min(1) < 90).all()
    assert (read < 128).mean() < 0.15
