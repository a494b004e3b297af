"""Who is tested on, and who of them is shown."""

from __future__ import annotations

import pytest
import torch
from nvn_recipes.groupgan.evaluation.people import examples, never_seen, of_each_class
from nvn_recipes.groupgan.pairs import Split

from nvn.errors import DataError
from tests.recipes.groupgan.some import Given, some_pairs


def test_nobody_to_test_on_is_an_error_that_tells_what_to_do() -> None:
    everybody = some_pairs(reserved=torch.zeros(12, dtype=torch.bool))
    with pytest.raises(DataError, match=r"fold 1 of 3(?s:.)*6 people(?s:.)*choose"):
        never_seen(Split(Given(everybody), 16, fold=1, folds=3))


def test_of_each_person_the_middle_picture_is_shown() -> None:
    label = torch.tensor([0] * 5 + [1])
    pairs = some_pairs(6, label=label, subject=torch.tensor([4, 4, 4, 7, 7, 7]))
    assert examples(pairs, 0, 5).tolist() == [1, 4]
    assert examples(pairs, 0, 1).tolist() == [1]
    assert examples(pairs, 2, 1).tolist() == []


def test_classes_without_people_enough_are_left_out() -> None:
    label = torch.tensor([0] * 5 + [1])
    pairs = some_pairs(6, label=label, subject=torch.tensor([4, 4, 4, 7, 7, 7]))
    assert [name for name, _ in of_each_class(pairs, 2)] == list(pairs.classes[:2])
    assert [name for name, _ in of_each_class(pairs, 2, least=2)] == [pairs.classes[0]]
