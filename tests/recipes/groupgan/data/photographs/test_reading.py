"""Reading files: of any mode, upright; of many in order, by one box, past what is broken."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from nvn_recipes.groupgan.data.photographs.cropping import Box, Cropper
from nvn_recipes.groupgan.data.photographs.reading import (
    UnreadableError,
    decode,
    in_threads,
    read_group,
    read_groups,
)
from PIL import Image

from nvn.errors import ConfigError, NvnWarning
from nvn.folders import LeftOut
from tests.recipes.groupgan.data.photographs.trees import corrupt, picture

# --- one file ---


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
def test_any_mode_becomes_colors(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "picture.tif"
    Image.new("L", (3, 2), 255).convert("RGB" if mode == "CMYK" else "L").convert(mode).save(path)
    seen = decode(path)
    assert (seen.mode, seen.size) == ("RGB", (3, 2))


def test_grays_are_three_equal_channels(tmp_path: Path) -> None:
    Image.new("L", (2, 2), 77).save(tmp_path / "gray.png")
    assert np.asarray(decode(tmp_path / "gray.png")).tolist() == [[[77] * 3] * 2] * 2


def test_it_is_turned_as_the_camera_was_held(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # held sideways
    Image.new("RGB", (9, 4)).save(tmp_path / "side.jpg", exif=exif)
    assert decode(tmp_path / "side.jpg").size == (4, 9)


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "dangling.png").symlink_to(tmp_path / "gone.png")
    (tmp_path / "folder.png").mkdir()
    names = ("empty.png", "text.png", "dangling.png", "folder.png", "missing.png")
    for path in [corrupt(tmp_path / "torn.png"), *(tmp_path / name for name in names)]:
        with pytest.raises(UnreadableError, match=path.name) as caught:
            decode(path)
        assert caught.value.path == path


# --- many ---


def test_pictures_come_in_the_order_of_the_files(tmp_path: Path) -> None:
    files = [picture(tmp_path / f"{level}.png", level) for level in range(40)]
    groups = [(files[2 * n], files[2 * n + 1]) for n in range(20)]
    left_out = LeftOut("a set", tmp_path)
    pictures, good = read_groups(groups, 4, "center", left_out)
    assert pictures.shape == (40, 3, 4, 4)
    assert pictures.dtype == torch.uint8
    assert pictures[:, 0, 0, 0].tolist() == list(range(40))
    assert good.all()
    left_out.warn()  # nothing to say


def test_what_is_broken_is_named_and_the_rest_is_read(tmp_path: Path) -> None:
    files = [corrupt(tmp_path / "first.png"), picture(tmp_path / "second.png", 9)]
    left_out = LeftOut("a set", tmp_path)
    pictures, good = read_groups([tuple(files)], 4, "center", left_out)
    assert good.tolist() == [False, True]
    assert (pictures[1] == 9).all()
    with pytest.warns(NvnWarning, match=r"1 unreadable: first.png"):
        left_out.warn()


class Failing(Cropper):
    """Cannot look at pictures of one size."""

    def choose(self, image: Image.Image) -> tuple[Box, bool]:
        if image.width == 20:
            raise self.__dict__["error"]
        return super().choose(image)


@pytest.mark.parametrize("error", [MemoryError(), ValueError("odd"), RecursionError()])
def test_whatever_one_file_does_the_others_are_read(tmp_path: Path, error: Exception) -> None:
    files = (picture(tmp_path / "bad.png", 1, (20, 9)), picture(tmp_path / "good.png", 9))
    cropper = Failing("center")
    cropper.__dict__["error"] = error
    first, second = read_group(files, 4, cropper).pictures
    assert first is None
    assert second is not None


def test_that_faces_cannot_be_found_at_all_ends_it(tmp_path: Path) -> None:
    cropper = Failing("center")
    cropper.__dict__["error"] = ConfigError("scikit-image")
    with pytest.raises(ConfigError):
        read_group((picture(tmp_path / "a.png", 1, (20, 9)),), 4, cropper)


class Moving(Cropper):
    """Chooses another box each time it is asked."""

    def choose(self, image: Image.Image) -> tuple[Box, bool]:
        self.__dict__["asked"] = self.__dict__.get("asked", 0) + 1
        return Box(self.__dict__["asked"], 0, 4), True


def test_the_frames_of_a_group_are_cut_by_one_box(tmp_path: Path) -> None:
    ramp = Image.frombytes("L", (10, 4), bytes(10 * list(range(10)))[:40])
    for name in ("a", "b"):
        ramp.save(tmp_path / f"{name}.png")
    ramp.resize((20, 4)).save(tmp_path / "larger.png")
    names = ("a.png", "b.png", "larger.png")
    shots = read_group(tuple(tmp_path / name for name in names), 4, Moving("whole"))
    first, second, _ = shots.pictures
    assert first is not None
    assert second is not None
    assert torch.equal(first, second)
    assert first[0, 0].tolist() == [1, 2, 3, 4]


def test_another_size_gets_a_box_of_its_own(tmp_path: Path) -> None:
    files = (picture(tmp_path / "a.png", size=(8, 8)), picture(tmp_path / "b.png", size=(20, 9)))
    cropper = Moving("whole")
    read_group(files, 4, cropper)
    assert cropper.__dict__["asked"] == 2


def test_a_face_that_is_not_found_is_counted(tmp_path: Path) -> None:
    pytest.importorskip("skimage")
    left_out = LeftOut("a set", tmp_path)
    _, good = read_groups([(picture(tmp_path / "wall.png", 90),)], 4, "face", left_out)
    assert good.all()
    assert "1 without a face that is found (the middle is taken): wall.png" in str(left_out)


def test_only_a_few_are_made_ahead() -> None:
    made = []
    results = in_threads(made.append, range(1000))
    next(results)
    results.close()
    assert len(made) <= 8 * torch.get_num_threads() + 1
    assert threading.active_count() < 50


def test_an_error_in_a_thread_is_raised() -> None:
    def fail(item: int) -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(in_threads(fail, [1, 2]))


def test_many_names_are_cut_short(tmp_path: Path) -> None:
    left_out = LeftOut("a set", tmp_path)
    for number in range(17):
        left_out.add("too short", tmp_path / "S" / str(number))
    assert str(left_out) == "    17 too short: S/0, S/1, S/2, S/3, S/4, … and 12 more"
