"""Pictures of any mode become 8-bit colors, upright; a broken one is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from nvn_recipes.groupgan.data.photographs.decoding import UnreadableError, decode
from PIL import Image

from tests.recipes.groupgan.data.photographs.trees import corrupt


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
