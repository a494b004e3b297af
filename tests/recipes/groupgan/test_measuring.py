"""How GroupGAN is measured, and what it is trained on."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
import pytest
import torch
from nvn_recipes.groupgan.evaluation import accuracy, extrapolated, in_parts, psnr, sheet, to_image
from nvn_recipes.groupgan.faces import Faces, FacesSpec
from nvn_recipes.groupgan.pairs import Augmented, FacePairs, rendered


def faces(samples: int = 12, size: int = 20) -> Faces:
    generator = torch.Generator().manual_seed(0)

    def pictures() -> torch.Tensor:
        shape = (samples, 3, size, size)
        return torch.randint(256, shape, generator=generator, dtype=torch.uint8)

    return Faces(
        neutral=pictures(),
        weak=pictures(),
        peak=pictures(),
        label=torch.arange(samples) % 6,
        subject=torch.arange(samples) // 2,
        sequence=torch.arange(samples),
        intensity=torch.full((samples,), 0.25),
    )


def pairs(size: int = 16) -> FacePairs:
    made = FacePairs(FacesSpec(subjects=6, size=20, levels=1), size, fold=0, folds=3)
    made.__dict__["faces"] = faces()  # instead of rendering
    return made


def test_psnr_is_its_formula() -> None:
    real = torch.zeros(2, 3, 4, 4)
    made = torch.full_like(real, 0.2)
    assert psnr(made, real) == pytest.approx(10 * math.log10(2**2 / 0.2**2), abs=1e-4)


def test_accuracy_counts_the_largest() -> None:
    logits = torch.eye(3)[[0, 1, 2, 2]]
    assert accuracy(logits, torch.tensor([0, 1, 2, 0])) == 0.75


def test_extrapolation_undoes_a_linear_blend() -> None:
    some = faces()
    neutral, peak = torch.full_like(some.weak, 100), torch.full_like(some.weak, 140)
    weak = torch.full_like(some.weak, 110)  # a quarter of the way
    blended = extrapolated(Faces(**{**vars(some), "neutral": neutral, "weak": weak}), 0.25)
    assert torch.allclose(blended, peak.float() / 127.5 - 1, atol=1e-5)


def test_parts_make_the_whole() -> None:
    pictures, done = torch.rand(600, 1, 48, 48), []
    assert torch.equal(in_parts(lambda part: 2 * part, pictures, done.append), 2 * pictures)
    assert done == [256, 256, 88]


def test_large_pictures_come_in_small_parts() -> None:
    done: list[int] = []
    in_parts(lambda part: part, torch.rand(3, 1, 800, 800), done.append)
    assert done == [1, 1, 1]


def test_the_bar_is_shown_only_while_faces_are_rendered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []

    @contextmanager
    def progress(description: str, total: int) -> Iterator[MagicMock]:
        opened.append((description, total))
        yield MagicMock()

    monkeypatch.setattr("nvn.progress", progress)
    spec = FacesSpec(subjects=1, size=16, levels=1)
    first, cached = rendered(spec, tmp_path), rendered(spec, tmp_path)
    assert torch.equal(first.weak, cached.weak)
    assert opened == [("rendering faces", 18)]


def test_nobody_is_trained_on_and_tested_on() -> None:
    seen = pairs()
    assert not set(seen.train.subject.tolist()) & set(seen.test.subject.tolist())
    assert len(seen.train) + len(seen.test) == len(seen.faces)


def test_test_pictures_are_the_middle() -> None:
    seen = pairs()
    rows = seen.faces.subject % 3 == 0
    assert seen.test.weak.shape[-2:] == (16, 16)
    assert torch.equal(seen.test.peak, seen.faces.peak[rows][..., 2:18, 2:18])


def test_weak_and_peak_are_augmented_alike() -> None:
    some = faces(samples=64)
    batch = {"weak": some.weak, "peak": some.weak, "label": some.label}
    seen = Augmented(16)(torch.Generator().manual_seed(1), batch)
    assert torch.equal(seen["weak"], seen["peak"])
    assert seen["weak"].shape == (64, 3, 16, 16)
    assert -1 <= seen["weak"].min() < seen["weak"].max() <= 1


def test_about_half_are_mirrored() -> None:
    ramp = torch.arange(16, dtype=torch.uint8).expand(200, 3, 16, 16)
    batch = {"weak": ramp, "peak": ramp, "label": torch.zeros(200)}
    seen = Augmented(16)(torch.Generator().manual_seed(0), batch)["weak"]
    falling = (seen[:, 0, 0, 0] > seen[:, 0, 0, -1]).sum().item()
    assert 70 < falling < 130


def test_batches_are_of_pairs() -> None:
    batch = next(iter(pairs().batches(4, seed=0)))
    assert batch["weak"].shape == batch["peak"].shape == (4, 3, 16, 16)
    assert batch["label"].shape == (4,)


@pytest.mark.parametrize("size", [8, 48, 128, 256])
def test_a_sheet_has_every_picture_below_labels_that_grow_with_it(size: int) -> None:
    black = torch.full((2, 3, size, size), -1.0)
    image = sheet({name: {"a": black, "b": black} for name in "wxyz"}, across=2)
    shown, side = np.asarray(image.convert("L")), max(96, size)
    assert 16 <= (shown < 10).sum() / side**2 < 16.2  # 4 blocks of 2 × 2, and a few letters
    first = (shown < 128).mean(axis=1).argmax()  # the first line that pictures fill
    lines = (shown[:first] < 200).any(axis=1).sum()
    assert 0.1 < lines / side < 0.4


def test_images_have_their_colours() -> None:
    red = torch.tensor([1.0, -1.0, -1.0])[:, None, None].expand(3, 4, 4)
    assert to_image(red, scale=2).getpixel((3, 3)) == (255, 0, 0)
