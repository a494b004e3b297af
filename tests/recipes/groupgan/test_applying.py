"""Pictures of any size are changed as the networks change small ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from nvn_recipes.groupgan import applying
from nvn_recipes.groupgan.applying import Changed, FacePart, picture, tensor, whole
from nvn_recipes.groupgan.photographs.cropping import Cropper
from PIL import Image
from torch import Tensor

from nvn.errors import ConfigError, NvnWarning


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
        assert np.array_equal(np.asarray(picture(tensor(image))), np.asarray(image))
    assert picture(torch.full((1, 1, 2, 2), 7.0)).getpixel((0, 0)) == 255


def test_without_a_face_it_is_the_middle() -> None:
    plain = Image.new("RGB", (90, 60), "white")
    assert FacePart("face")(plain) == FacePart("center")(plain) == (15, 0, 75, 60)
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
