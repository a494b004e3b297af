"""Recognition, by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from nvn_recipes.groupgan.data.pairs import Split
from nvn_recipes.groupgan.evaluation.recognition import Recognition
from torch import Tensor

import nvn
from nvn.errors import DataError
from tests.recipes.groupgan.evaluation.seen import (
    counting,
    flat_pairs,
    happy_if_light,
    lighter,
    seeing,
    unseen,
)
from tests.recipes.groupgan.some import Given

BY_PEAKS = "recognized by a classifier of peaks (%)"
PAIRS = flat_pairs(
    weak=[0.2, 0.2, -0.2, -0.2],
    peak=[1.0, -0.6, -0.6, -0.6],
    neutral=[-0.6, -0.6, -0.6, -0.6],  # so that stretching makes 1.0, 1.0, 0.2, 0.2
    label=[1, 0, 0, 0],
)


def darker(pictures: Tensor) -> Tensor:
    return happy_if_light(pictures - 0.4)


def everything() -> tuple[nvn.Engine, Recognition]:
    engine, weak, (answer, fake, judge, other) = seeing(
        happy_if_light, lighter, happy_if_light, darker
    )
    return engine, Recognition(unseen(PAIRS), weak, answer, fake, judge, {"a cynic": other})


def test_everything_is_measured() -> None:
    engine, recognition = everything()
    found = recognition(engine)
    assert next(iter(found)) == "accuracy (%)"
    decibels = [10 * math.log10(4 / error**2) for error in (0.4, 1.2, 0.8, 0.8)]
    assert found.pop("magnified, likeness to real peaks (PSNR, dB)") == pytest.approx(
        sum(decibels) / 4, abs=1e-3
    )
    alone = [
        found.pop(f"magnified, {name}, likeness to real peaks (PSNR, dB)") for name in PAIRS.classes
    ]
    expected = [sum(decibels[1:]) / 3, decibels[0]]
    assert alone == pytest.approx(expected, abs=1e-3)
    small = (0.01 * 2) ** 2
    likenesses = [
        (2 * a * b + small) / (a * a + b * b + small)
        for a, b in ((0.6, 1.0), (0.6, -0.6), (0.2, -0.6), (0.2, -0.6))
    ]
    assert found.pop("magnified, likeness to real peaks (SSIM)") == pytest.approx(
        sum(likenesses) / 4, abs=1e-3
    )
    assert {name: value for name, value in found.items() if "%" in name} == {
        "accuracy (%)": 75.0,
        f"weak, {BY_PEAKS}": 75.0,
        f"stretched, {BY_PEAKS}": 25.0,
        f"magnified, {BY_PEAKS}": 25.0,
        f"real peaks, {BY_PEAKS}": 100.0,
        "weak, recognized by a cynic (%)": 75.0,
        **{
            f"{kind}, {name}, {BY_PEAKS}": pytest.approx(right)
            for kind, (calm, happy) in {
                "weak": (200 / 3, 100.0),
                "stretched": (0.0, 100.0),
                "magnified": (0.0, 100.0),
                "real peaks": (100.0, 100.0),
            }.items()
            for name, right in zip(PAIRS.classes, (calm, happy), strict=True)
        },
    }
    assert {name for name in found if "%" not in name} == {
        f"{kind}, likeness to real peaks ({unit})"
        for kind in ("weak", "stretched")
        for unit in ("PSNR, dB", "SSIM")
    } | {
        f"{kind}, {name}, likeness to real peaks (PSNR, dB)"
        for kind in ("weak", "stretched")
        for name in PAIRS.classes
    }


def test_of_more_than_two_classes_each_has_no_number_of_its_own() -> None:
    engine, recognition = everything()
    three = replace(PAIRS, classes=(*PAIRS.classes, "awe"))
    recognition = replace(recognition, split=unseen(three))
    assert not [name for name in recognition(engine) if PAIRS.classes[1] in name]


def test_a_classifier_alone_has_an_accuracy() -> None:
    engine, recognition = everything()
    alone = Recognition(recognition.split, recognition.weak, recognition.answer)
    assert alone(engine) == {"accuracy (%)": 75.0}


def test_nothing_is_stretched_where_neutral_faces_are_not_known() -> None:
    engine, recognition = everything()
    unknown = unseen(replace(PAIRS, neutral=None))
    found = replace(recognition, split=unknown)(engine)
    assert found[f"magnified, {BY_PEAKS}"] == 25.0
    assert not [name for name in found if "stretched" in name]


@pytest.mark.parametrize(
    "without", [{}, {"fake": None}, {"judge": None}, {"others": {}}, {"fake": None, "judge": None}]
)
def test_the_bar_ends_where_the_work_does(
    without: dict[str, None], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, recognition = everything()
    bars = counting(monkeypatch)
    replace(recognition, **without)(engine)
    assert [bar.done for bar in bars] == [bar.total for bar in bars]
    assert bars[0].done > 0


def test_nobody_to_test_on_is_said() -> None:
    engine, recognition = everything()
    nobody = replace(PAIRS, reserved=torch.zeros(4, dtype=torch.bool))
    with pytest.raises(DataError, match="nobody to test on"):
        replace(recognition, split=Split(Given(nobody), 16, 0, 2))(engine)
