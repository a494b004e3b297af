"""Pictures of any size are changed as the networks change small ones."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
import torch
from nvn_recipes.groupgan import applying
from nvn_recipes.groupgan.applying import Changed, FacePart, tensor, whole
from nvn_recipes.groupgan.data.drawings.pictures import light_on_dark
from nvn_recipes.groupgan.data.photographs.cropping import Cropper
from nvn_recipes.groupgan.evaluation.sheets import to_image
from PIL import Image, ImageOps
from torch import Tensor

from nvn.errors import ConfigError, DataError, NvnWarning


class Engine:
    """Gives what a function makes of what it is given."""

    def __init__(self, made: Any) -> None:
        self.made = made
        self.seen: list[Tensor] = []

    def values(self, batch: dict[str, Tensor], values: list[str]) -> tuple[Tensor]:
        self.seen.append(batch["given"])
        return (self.made(batch["given"]),)


def changed(engine: Engine, image: Image.Image, **more: Any) -> Image.Image:
    return Changed("given", "made", size=16, **more)(engine, image)  # type: ignore[arg-type]


def noise(width: int, height: int, mode: str = "RGB") -> Image.Image:
    levels = np.random.default_rng(0).integers(256, size=(height, width, 3), dtype=np.uint8)
    return Image.fromarray(levels).convert(mode)


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("size", [(16, 16), (100, 40), (3, 70), (1, 1)])
def test_where_nothing_changes_every_pixel_stays(mode: str, size: tuple[int, int]) -> None:
    image = noise(*size)
    engine = Engine(lambda x: x)
    result = changed(engine, image, mode=mode)
    assert engine.seen[0].shape == (1, 3 if mode == "RGB" else 1, 16, 16)
    assert np.array_equal(np.asarray(result), np.asarray(image.convert(mode)))


def test_a_change_is_enlarged_and_lands_in_its_place() -> None:
    gray = Image.new("RGB", (64, 64), (128, 128, 128))

    def darker_left(x: Tensor) -> Tensor:
        made = x.clone()
        made[..., :8] -= 0.5
        return made

    levels = np.asarray(changed(Engine(darker_left), gray)).astype(int)
    assert abs(levels[:, :24] - 64).max() <= 8  # half of 1 is 64 levels of 255; edges are smooth
    assert abs(levels[:, 40:] - 128).max() <= 8


def test_crisp_pictures_are_ink_or_paper_where_they_change_and_untouched_elsewhere() -> None:
    gray = Image.new("L", (64, 64), 150)

    def lighter_left(x: Tensor) -> Tensor:
        made = x.clone()
        made[..., :8] = 0.6
        return made

    soft, crisp = (
        np.asarray(changed(Engine(lighter_left), gray, mode="L", crisp=crisp)).astype(int)
        for crisp in (False, True)
    )
    assert (crisp[:, :20] > soft[:, :20] + 10).all()  # nearer to paper
    assert (crisp[:, 44:] == 150).all()


def test_only_the_part_is_changed() -> None:
    image = noise(60, 40)
    result = changed(Engine(lambda x: x - 1), image, part=lambda _: (10, 5, 30, 25))
    before, after = np.asarray(image), np.asarray(result)
    differs = (before != after).any(axis=2)
    assert not differs[:, :10].any()
    assert not differs[25:].any()
    assert differs[5:25, 10:30].mean() > 0.9


def test_pictures_and_tensors_are_the_same() -> None:
    for image in (noise(5, 4), noise(5, 4, "L")):
        assert np.array_equal(np.asarray(to_image(tensor(image)[0])), np.asarray(image))
    assert to_image(torch.full((1, 2, 2), 7.0)).getpixel((0, 0)) == 255


def test_without_a_face_it_is_the_middle() -> None:
    plain = Image.new("RGB", (90, 60), "white")
    with pytest.warns(NvnWarning, match="^no face is found in it: the middle is changed$"):
        assert FacePart("face")(plain) == (15, 0, 75, 60)
    assert FacePart("center")(plain) == (15, 0, 75, 60)
    assert whole(plain) == (0, 0, 90, 60)


def test_without_scikit_image_it_is_the_middle_with_a_warning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    choose = Cropper.choose

    def refuse(self: Cropper, image: Image.Image) -> Any:
        if self.crop == "face":
            raise ConfigError('finding faces needs scikit-image: pip install "nvn-games[recipes]"')
        return choose(self, image)

    monkeypatch.setattr(applying.Cropper, "choose", refuse)
    part = FacePart("face")
    with pytest.warns(NvnWarning, match="scikit-image"):
        found = part(Image.new("RGB", (90, 60)))
    assert found == part(Image.new("RGB", (90, 60))) == (15, 0, 75, 60)  # warned of once


@pytest.mark.parametrize("size", [(3000, 2000), (1, 31), (4000, 126)])
def test_the_change_of_a_large_picture_is_where_that_of_a_small_one_is(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing depends on how large the picture is, or on the strips that it is changed in."""

    def darker_left(x: Tensor) -> Tensor:
        made = x.clone()
        made[..., :8] -= 0.5
        return made

    gray = Image.new("RGB", size, (128, 128, 128))
    whole = np.asarray(changed(Engine(darker_left), gray)).astype(int)
    monkeypatch.setattr(applying, "STRIP", 7 * size[0])
    engine = Engine(darker_left)
    strips = np.asarray(changed(engine, gray)).astype(int)
    assert abs(whole - strips).max() <= 1
    assert whole.shape == (size[1], size[0], 3)
    if size[0] > 1:
        assert abs(whole[:, : 3 * size[0] // 8] - 64).max() <= 8
        assert abs(whole[:, 5 * size[0] // 8 :] - 128).max() <= 8


def test_a_large_picture_is_seen_as_a_small_one() -> None:
    small = noise(60, 40).resize((120, 80), Image.Resampling.BICUBIC)
    large = small.resize((2400, 1600), Image.Resampling.BICUBIC)
    engine = Engine(lambda x: x)
    assert changed(engine, small, border=128).size == (120, 80)
    assert changed(engine, large, border=128).size == (2400, 1600)
    assert (engine.seen[0] - engine.seen[1]).abs().mean() < 0.03


@pytest.mark.parametrize("size", [(10_000, 1), (1, 10_000), (1_000_000, 170)])
def test_what_nothing_can_be_seen_of_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(DataError, match=f"{size[0]} × {size[1]} pixels are too narrow"):
        changed(Engine(lambda x: x), Image.new("L", size), mode="L")
    with pytest.raises(DataError, match="too narrow"):  # the square reaches beyond the picture
        changed(Engine(lambda x: x), Image.new("L", size), mode="L", part=FacePart("whole"))


@pytest.mark.parametrize(("size", "mode"), [((2500, 2000), "L"), ((20_000, 1300), "RGB")])
def test_memory_is_that_of_the_picture(size: tuple[int, int], mode: str) -> None:
    """What a square around it would take, or all of it as numbers, is many times as much."""
    image = Image.new("RGB", size)
    asked = {"pixels": 0}
    usual = Image.new

    def new(mode: str, size: tuple[int, int], *more: Any) -> Image.Image:
        asked["pixels"] = max(asked["pixels"], size[0] * size[1])
        return usual(mode, size, *more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(applying.Image, "new", new)
        tracemalloc.start()
        Changed("given", "made", size=16, mode=mode)(Engine(lambda x: x), image)  # type: ignore
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert asked["pixels"] <= 1.01 * applying.STRIP
    assert most < 60 * applying.STRIP


def test_light_on_dark_is_seen_as_dark_on_light() -> None:
    drawing = Image.new("L", (64, 64), 0)
    drawing.paste(255, (20, 20, 44, 24))
    engine = Engine(lambda x: x)
    result = changed(engine, drawing, mode="L", crisp=True, negative=light_on_dark)
    assert engine.seen[0].median() == 1  # paper
    assert np.array_equal(np.asarray(result), np.asarray(drawing))
    changed(engine, ImageOps.invert(drawing), mode="L", negative=light_on_dark)
    assert torch.equal(engine.seen[0], engine.seen[1])
