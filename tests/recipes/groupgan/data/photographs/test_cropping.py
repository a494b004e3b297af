"""The square that is seen."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
import torch
from nvn_recipes.groupgan.data.photographs.cropping import Box, Cropper, FaceFinder, around
from PIL import Image, ImageOps

from nvn.errors import ConfigError


def halves(width: int = 40, height: int = 20) -> Image.Image:
    """A picture, black on the left and white on the right."""
    image = Image.new("RGB", (width, height))
    image.paste((255, 255, 255), (width // 2, 0, width, height))
    return image


def real_face() -> Image.Image:
    """The astronaut of scikit-image, whose face is at about (225, 110), 120 pixels wide."""
    data = pytest.importorskip("skimage.data")
    return Image.fromarray(data.astronaut())


def test_all_of_it_has_borders_and_is_not_squeezed() -> None:
    box, found = Cropper("whole").choose(halves())
    seen = box.cut(halves(), 8)
    assert found
    assert seen.shape == (3, 8, 8)
    assert seen.dtype == torch.uint8
    assert (seen[:, [0, 1, -2, -1]].int() - 128).abs().max() < 10  # but for ringing
    assert (seen[:, 3:5, :3] < 10).all()
    assert (seen[:, 3:5, 5:] > 245).all()


def test_the_middle_is_the_largest_square_there() -> None:
    box, found = Cropper("center").choose(halves(width=60))
    assert found
    assert box == Box(20, 0, 20)


def test_a_face_is_seen_with_a_margin() -> None:
    image = real_face()
    box, found = Cropper("face").choose(image)
    assert found
    assert box.left < 175 < 275 < box.left + box.side
    assert box.top < 60 < 165 < box.top + box.side
    assert box.side < 260


def test_where_there_is_no_face_it_is_the_middle() -> None:
    pytest.importorskip("skimage")
    box, found = Cropper("face").choose(Image.new("RGB", (90, 60), "gray"))
    assert not found
    assert box == Box(15, 0, 60)


def test_a_tiny_picture_is_searched_too() -> None:
    pytest.importorskip("skimage")
    assert FaceFinder().find(Image.new("RGB", (1, 3))) is None


@pytest.mark.parametrize(
    ("small", "large"), [((0, 0), (200, 90)), ((180, 130), (330, 90)), ((510, 0), (0, 180))]
)
def test_of_several_faces_the_largest_near_the_middle_counts(
    small: tuple[int, int], large: tuple[int, int]
) -> None:
    face = real_face().crop((150, 30, 300, 180))
    image = Image.new("RGB", (600, 400), "gray")
    image.paste(face.resize((120, 120)), small)
    image.paste(face.resize((220, 220)), large)
    found = FaceFinder().find(image)
    assert found is not None
    assert large[0] < found.left + found.side / 2 < large[0] + 220


@pytest.mark.parametrize("left", [-30, 100])
def test_the_square_of_a_face_lies_inside_the_picture(left: float) -> None:
    box = around(Box(left, 0, 60), Image.new("RGB", (120, 90)))
    assert box.left >= 0
    assert box.left + box.side <= 120
    assert box.top >= 0
    assert box.top + box.side <= 90


def test_without_scikit_image_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    missing: Any = None
    monkeypatch.setitem(sys.modules, "skimage", missing)
    monkeypatch.setitem(sys.modules, "skimage.data", missing)
    with pytest.raises(ConfigError, match=r'scikit-image.*pip install -e "\.\[recipes\]" in '):
        Cropper("face").choose(halves())


def test_a_cut_at_full_size_is_the_pixels_themselves() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    seen = Box(4, 2, 8).cut(Image.fromarray(noise), 8)
    assert np.array_equal(seen.permute(1, 2, 0).numpy(), noise[2:10, 4:12])


@pytest.mark.parametrize("size", [(2000, 1), (10_000, 1), (1, 10_000), (1_000_000, 170)])
def test_a_thin_picture_is_searched_in_no_more_pixels_than_another(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("skimage")
    made = resized(monkeypatch)
    assert Cropper("face").choose(Image.new("RGB", size, "gray"))[1] is False
    assert max(made, default=0) <= 8.1 * 240**2


def resized(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count the pixels of what is resized, or given borders, from now on."""
    made: list[int] = []
    resize, expand = Image.Image.resize, ImageOps.expand

    def counted(usual: Any) -> Any:
        def call(*given: Any, **more: Any) -> Image.Image:
            image: Image.Image = usual(*given, **more)
            made.append(image.width * image.height)
            return image

        return call

    monkeypatch.setattr(Image.Image, "resize", counted(resize))
    monkeypatch.setattr(ImageOps, "expand", counted(expand))
    return made


def test_a_face_in_a_wide_picture_is_found() -> None:
    image = Image.new("RGB", (3600, 300), "gray")
    image.paste(real_face().crop((150, 30, 300, 180)).resize((260, 260)), (1700, 20))
    found = FaceFinder().find(image)
    assert found is not None
    assert 1700 < found.left + found.side / 2 < 1960


def test_all_of_a_thin_picture_has_borders_that_cost_little(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    image = halves(9600, 100)
    made = resized(monkeypatch)
    box, _ = Cropper("whole").choose(image)
    seen = box.cut(image, 48)
    assert max(made) < (3 * 8 * 48) ** 2
    assert (seen[:, 24, :20] < 160).all()  # half a pixel of black: darker than the gray around it
    assert (seen[:, [0, -1]].int() - 128).abs().max() < 10


def test_fewer_pixels_first_gives_the_same_cut() -> None:
    """One whose borders are put around the whole picture, and one that is shrunk before."""
    small = halves(380, 190)
    whole = small.resize((3800, 1900), Image.Resampling.NEAREST)
    one, other = (Cropper("whole").choose(i)[0].cut(i, 48).int() for i in (small, whole))
    assert (one - other).abs().max() <= 8
