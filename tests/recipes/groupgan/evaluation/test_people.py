"""Who is tested on, and who of them is shown."""

from __future__ import annotations

import torch
from nvn_recipes.groupgan.evaluation.people import of_each_class

from tests.recipes.groupgan.some import some_pairs


def test_of_each_person_the_middle_picture_is_shown() -> None:
    label = torch.tensor([0] * 5 + [1])
    pairs = some_pairs(6, label=label, subject=torch.tensor([4, 4, 4, 7, 7, 7]))
    first = pairs.classes[0]
    assert dict(of_each_class(pairs, 5))[first].tolist() == [1, 4]
    assert dict(of_each_class(pairs, 1))[first].tolist() == [1]
    assert pairs.classes[2] not in dict(of_each_class(pairs, 1))


def test_classes_without_people_enough_are_left_out() -> None:
    label = torch.tensor([0] * 5 + [1])
    pairs = some_pairs(6, label=label, subject=torch.tensor([4, 4, 4, 7, 7, 7]))
    assert [name for name, _ in of_each_class(pairs, 2)] == list(pairs.classes[:2])
    assert [name for name, _ in of_each_class(pairs, 2, least=2)] == [pairs.classes[0]]
