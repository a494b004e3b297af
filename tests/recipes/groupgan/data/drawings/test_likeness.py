"""Near-duplicates end in one group: shifted, mirrored, by way of a third; others do not."""

import pytest
import torch
from nvn_recipes.groupgan.data.drawings import likeness
from nvn_recipes.groupgan.data.drawings.likeness import merge_alike


def box(top: int, left: int, size: int = 24, side: int = 64) -> torch.Tensor:
    picture = torch.full((1, side, side), 255, dtype=torch.uint8)
    picture[:, top : top + size, left : left + size] = 0
    return picture


def merged(*pictures: torch.Tensor, group: list[int] | None = None, limit: float = 0.6):
    known = torch.tensor(group) if group else torch.arange(len(pictures))
    return merge_alike(torch.stack(pictures), known, limit).tolist()


def test_equal_shifted_and_mirrored_drawings_are_alike():
    assert merged(box(4, 4), box(4, 4)) == [0, 0]
    assert merged(box(4, 4), box(5, 5)) == [0, 0]
    assert merged(box(4, 4), box(4, 36)) == [0, 0]  # 64 - 4 - 24: the mirrored place


def test_different_drawings_are_not():
    assert merged(box(4, 4), box(36, 4), box(20, 20, 40)) == [0, 1, 2]


def test_likeness_is_passed_on():
    apart = merged(box(8, 20), box(14, 20))
    assert apart == [0, 1]
    assert merged(box(8, 20), box(14, 20), box(11, 20)) == [0, 0, 0]


def test_known_groups_stay_together_and_are_joined():
    assert merged(box(4, 4), box(36, 4), box(4, 4), group=[7, 3, 3]) == [0, 0, 0]
    assert merged(box(4, 4), box(36, 4), box(20, 20, 40), group=[7, 3, 7]) == [1, 0, 1]


def test_a_long_chain_is_one_group_and_rows_are_compared_in_parts(monkeypatch):
    monkeypatch.setattr(likeness, "ROWS", 3)
    chain = [box(top, 20) for top in range(2, 40, 3)]
    order = torch.randperm(len(chain), generator=torch.Generator().manual_seed(0)).tolist()
    assert merged(*(chain[k] for k in order), box(2, 2, 60)) == [0] * len(chain) + [1]


@pytest.mark.parametrize("side", [16, 40, 64])
def test_any_side_and_blank_pictures(side):
    blank = box(0, 0, 0, side)
    assert merged(blank, box(2, 2, 8, side), blank) == [0, 1, 2]


def test_none_at_all():
    nothing = torch.empty(0, 1, 64, 64, dtype=torch.uint8)
    assert merge_alike(nothing, torch.empty(0, dtype=torch.int64)).tolist() == []
