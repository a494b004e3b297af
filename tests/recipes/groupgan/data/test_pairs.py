"""Pairs: who is trained on and who is tested on, and what batches show of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import MagicMock

import pytest
import torch
from nvn_recipes.groupgan.data.pairs import Augmented, Pairs, Split, to_float
from nvn_recipes.groupgan.data.rendered.faces import FacesSpec, RenderedFaces, render_faces

from nvn.errors import DataError
from tests.recipes.groupgan.some import Given, some_pairs


def split(size: int = 16, fold: int = 0) -> Split:
    return Split(Given(some_pairs()), size, fold=fold, folds=3)


def test_pictures_are_shown_by_number() -> None:
    pairs = some_pairs()
    assert torch.equal(pairs.shown("weak"), pairs.pictures[pairs.weak])
    assert torch.equal(pairs.shown("neutral")[3], pairs.pictures[pairs.neutral[3]])


def test_pairs_without_neutral_pictures_say_so() -> None:
    with pytest.raises(ValueError, match="no neutral"):
        some_pairs(neutral=None).shown("neutral")


def test_taking_some_keeps_their_rows_together() -> None:
    pairs = some_pairs()
    few = pairs.take(torch.tensor([5, 2]))
    assert few.label.tolist() == [pairs.label[5], pairs.label[2]]
    assert torch.equal(few.shown("peak"), pairs.shown("peak")[[5, 2]])
    assert few.classes == pairs.classes


@pytest.mark.parametrize("folds", [2, 5])
def test_everybody_is_tested_on_once_and_never_trained_on_then(folds: int) -> None:
    pairs, tested = some_pairs(), []
    for fold in range(folds):
        train, test = pairs.split(fold, folds)
        assert not set(train.subject.tolist()) & set(test.subject.tolist())
        assert len(train) + len(test) == len(pairs)
        tested += test.weak.tolist()
    assert sorted(tested) == sorted(pairs.weak.tolist())


def test_a_set_may_say_itself_what_to_test_on() -> None:
    reserved = torch.arange(12) < 3
    train, test = some_pairs(reserved=reserved).split(1, 5)
    assert (len(train), len(test)) == (9, 3)


def test_a_fold_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(ValueError, match="fold 5 of 5"):
        some_pairs().split(5, 5)


def test_more_folds_than_people_are_said_when_the_data_are_read() -> None:
    with pytest.raises(DataError, match=r"fold 7 of 8(?s:.)*6 people(?s:.)*choose"):
        _ = Split(Given(some_pairs()), 16, fold=7, folds=8).train


def test_more_folds_than_people_are_said_also_where_somebody_is_tested_on() -> None:
    with pytest.raises(DataError, match=r"folds = 8: 6 people can be split into 6 parts at most"):
        _ = Split(Given(some_pairs()), 16, fold=2, folds=8).train


def test_a_batch_of_more_than_there_is_names_the_setting() -> None:
    with pytest.raises(DataError, match=r"batch = 9: there are only 8 pairs.*set batch to 8"):
        next(iter(split().batches(9, seed=0)))


def test_test_pictures_are_the_middle() -> None:
    seen, pairs = split(), some_pairs()
    assert seen.test.pictures.shape[-2:] == (16, 16)
    rows = pairs.subject % 3 == 0
    assert torch.equal(seen.test.shown("peak"), pairs.shown("peak")[rows][..., 2:18, 2:18])


def numbers(samples: int) -> dict[str, torch.Tensor]:
    which = torch.arange(samples)
    return {"weak": which, "peak": which, "label": which}


def test_weak_and_peak_are_augmented_alike() -> None:
    pictures = some_pairs(samples=64).pictures
    seen = Augmented(pictures, 16)(torch.Generator().manual_seed(1), numbers(64))
    assert torch.equal(seen["weak"], seen["peak"])
    assert seen["weak"].shape == (64, 3, 16, 16)
    assert -1 <= seen["weak"].min() < seen["weak"].max() <= 1


def test_about_half_are_mirrored() -> None:
    ramp = torch.arange(16, dtype=torch.uint8).expand(200, 3, 16, 16)
    seen = Augmented(ramp, 16)(torch.Generator().manual_seed(0), numbers(200))["weak"]
    falling = (seen[:, 0, 0, 0] > seen[:, 0, 0, -1]).sum().item()
    assert 70 < falling < 130


def test_batches_are_of_pairs() -> None:
    batch = next(iter(split().batches(4, seed=0)))
    assert batch["weak"].shape == batch["peak"].shape == (4, 3, 16, 16)
    assert batch["label"].shape == (4,)


def test_floats_span_minus_one_to_one() -> None:
    bounds = to_float(torch.tensor([0, 255], dtype=torch.uint8))
    assert bounds.tolist() == [-1, 1]


# --- rendered faces as a source ---

TINY = FacesSpec(subjects=2, size=16, levels=2)


def test_rendered_faces_are_the_pairs_of_their_sequences() -> None:
    pairs = render_faces(TINY)
    sequence = torch.arange(24) // TINY.levels
    assert torch.equal(pairs.neutral, sequence)
    assert torch.equal(pairs.peak, 12 + sequence)
    assert pairs.weak.tolist() == [*range(24, 48)]
    assert len(pairs.pictures) == 12 * (2 + TINY.levels)  # each once


def test_a_sample_is_of_the_first_people() -> None:
    source = RenderedFaces(FacesSpec(subjects=1000, size=16, levels=1))
    few = source.sample(8)
    assert few.subject.unique().tolist() == [0, 1]
    assert isinstance(few, Pairs)


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
    first, cached = render_faces(spec, tmp_path), render_faces(spec, tmp_path)
    assert torch.equal(first.pictures, cached.pictures)
    assert opened == [("rendering faces", 18)]
