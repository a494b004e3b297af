"""Tables of features: what is described; and who is left out to choose C by."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import MagicMock

import pytest
import torch
from nvn_recipes.groupgan.comparators import svm as module
from nvn_recipes.groupgan.comparators.svm import Described, Reference
from nvn_recipes.groupgan.data.pairs import Split
from torch import Tensor

from nvn.errors import DataError
from tests.recipes.groupgan.some import Given, some_pairs


def corners(pictures: Tensor) -> Tensor:
    """Three features of pictures: two corners, and a constant."""
    one, other = pictures[:, 0, 0, 0].float(), pictures[:, 0, -1, -1].float()
    return torch.stack([one, other, torch.ones(len(one))], dim=1)


def split(**changes: object) -> Split:
    return Split(Given(some_pairs(**changes)), 16, fold=0, folds=3)


def test_weak_pictures_are_described_in_their_middle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PARTS", 2)  # there are two pictures of a class
    seen, pairs = Described(split(), corners), some_pairs()
    trained = pairs.subject % 3 != 0
    shown = pairs.shown("weak")[:, 0].float()
    raw = torch.stack([shown[:, 2, 2], shown[:, 17, 17]], dim=1)
    mean, deviation = raw[trained].mean(dim=0), raw[trained].std(dim=0, correction=0)
    for table, rows in ((seen.train, trained), (seen.test, ~trained)):
        assert torch.equal(table.features[:, :2], raw[rows])
        scaled = Reference(seen).scaled(table)
        assert torch.allclose(scaled[:, :2], (raw[rows] - mean) / deviation, atol=1e-5)
        assert scaled[:, 2].tolist() == [0.0] * len(table)  # what never changes
        assert torch.equal(table.label, pairs.label[rows])
        assert torch.equal(table.subject, pairs.subject[rows])


def test_each_picture_is_described_once(monkeypatch: pytest.MonkeyPatch) -> None:
    counted, bar = [], MagicMock()

    @contextmanager
    def progress(description: str, total: int) -> Iterator[MagicMock]:
        counted.append((description, total))
        yield bar

    monkeypatch.setattr("nvn.progress", progress)
    monkeypatch.setattr(module, "AT_ONCE", 3 * 16 * 16)
    seen = Described(split(), corners)
    assert (len(seen.train), len(seen.test), len(seen.train)) == (8, 4, 8)
    assert counted == [("describing pictures", 12)]
    assert [call.args[0] for call in bar.advance.call_args_list] == [3, 3, 2, 3, 1]


def test_the_width_is_known_without_reading() -> None:
    source = MagicMock()
    assert Described(Split(source, 16, 0, 3), corners).width == 3
    source.read.assert_not_called()


def test_a_sample_reads_a_sample() -> None:
    source = MagicMock()
    source.sample.return_value = some_pairs()
    assert len(Described(Split(source, 16, 0, 3), corners).sample(5)) == 12
    source.read.assert_not_called()


def test_nobody_to_test_on_is_told() -> None:
    everybody = split(reserved=torch.zeros(12, dtype=torch.bool))
    with pytest.raises(DataError, match="nobody to test on"):
        Described(everybody, corners).train  # noqa: B018
