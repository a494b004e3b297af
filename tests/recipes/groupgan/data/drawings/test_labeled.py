"""Splitting drawings: groups stay whole, every drawing is tested once, classes are even."""

import pytest
import torch
from nvn_recipes.groupgan.data.drawings.labeled import Drawings

from nvn.errors import DataError


def some(label: list[int], group: list[int]) -> Drawings:
    return Drawings(
        pictures=torch.arange(len(label), dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 4, 4),
        label=torch.tensor(label),
        group=torch.tensor(group),
        classes=tuple("abcdefg"[: max(label) + 1]),
        names=tuple(f"drawing {k}" for k in range(len(label))),
    )


@pytest.fixture
def drawings():
    generator = torch.Generator().manual_seed(0)
    label = torch.randint(4, (200,), generator=generator)
    group = torch.randint(120, (200,), generator=generator) * 4 + label  # with gaps in the numbers
    return some(label.tolist(), group.tolist())


def test_taking_keeps_all_parts_together(drawings):
    for chosen in (torch.tensor([7, 3]), torch.arange(200) % 50 == 3):
        taken = drawings.take(chosen)
        numbers = torch.arange(200)[chosen].tolist()
        assert taken.names == tuple(f"drawing {k}" for k in numbers)
        assert taken.pictures[:, 0, 0, 0].tolist() == numbers
        assert torch.equal(taken.label, drawings.label[chosen])
        assert torch.equal(taken.group, drawings.group[chosen])
        assert len(taken) == len(numbers)


@pytest.mark.parametrize("folds", [1, 2, 5])
def test_each_drawing_is_tested_once_and_no_group_is_on_both_sides(drawings, folds):
    tested = []
    for fold in range(folds):
        train, test = drawings.split(fold, folds)
        assert not set(train.group.tolist()) & set(test.group.tolist())
        assert sorted(train.names + test.names) == sorted(drawings.names)
        tested += test.names
    assert sorted(tested) == sorted(drawings.names)


def test_classes_are_even_in_all_folds(drawings):
    counts = torch.stack(
        [drawings.split(fold, 5)[1].label.bincount(minlength=4) for fold in range(5)]
    )
    largest = int(drawings.group.bincount().max())
    assert (counts.amax(0) - counts.amin(0)).max() <= largest
    assert counts.sum(1).max() - counts.sum(1).min() <= largest


def test_the_seed_decides_who_is_where(drawings):
    names = [drawings.split(0, 5, seed)[1].names for seed in (0, 0, 1)]
    assert names[0] == names[1] != names[2]


def test_a_group_of_two_classes_stays_whole():
    mixed = some([0, 1, 0, 1, 0, 1], [0, 0, 1, 1, 2, 2])
    for fold in range(3):
        assert mixed.split(fold, 3)[1].label.tolist() == [0, 1]


def test_a_fold_that_does_not_exist_is_an_error(drawings):
    with pytest.raises(ValueError, match="fold 5 of 5"):
        drawings.split(5, 5)


def test_more_folds_than_groups_say_how_many_there_are():
    with pytest.raises(DataError, match=r"only 2 that differ\. Set folds to 2 or less"):
        some([0, 0, 0], [4, 4, 9]).split(0, 3)
