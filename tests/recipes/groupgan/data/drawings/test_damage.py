"""Slashes: seeded, within their ranges, white ones always cut, black ones always cross."""

import dataclasses

import pytest
import torch
from nvn_recipes.groupgan.data.drawings.damage import Slashes, damaged

SIDE = 64
NONE = Slashes(white=(0, 0), black=(0, 0))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def grid(count: int = 8, every: int = 8) -> torch.Tensor:
    """Lines, two pixels wide."""
    drawing = torch.ones(count, 1, SIDE, SIDE)
    drawing[..., ::every, :] = drawing[..., 1::every, :] = -1
    drawing[..., ::every] = drawing[..., 1::every] = -1
    return drawing


def dots(count: int = 50) -> torch.Tensor:
    """One pixel of ink in each drawing, anywhere, the corners included."""
    drawing = torch.ones(count, 1, SIDE, SIDE)
    place = torch.randint(SIDE * SIDE, (count,), generator=generator(1))
    place[:2] = torch.tensor([0, SIDE * SIDE - 1])
    drawing.flatten(1)[torch.arange(count), place] = -1
    return drawing


def test_shape_range_and_the_input_stays():
    drawings = grid()
    slashed = damaged(drawings, generator())
    assert slashed.shape == drawings.shape
    assert slashed.dtype == torch.float32
    assert -1 <= float(slashed.min()) <= float(slashed.max()) <= 1
    assert torch.equal(drawings, grid())


def test_the_generator_decides():
    first = damaged(grid(), generator())
    assert torch.equal(first, damaged(grid(), generator()))
    assert not torch.equal(first, damaged(grid(), generator(1)))
    going_on = generator()
    damaged(grid(), going_on)
    assert not torch.equal(first, damaged(grid(), going_on))


def test_drawings_of_a_batch_are_damaged_differently():
    slashed = damaged(grid(), generator())
    assert len({tuple(each.flatten().tolist()) for each in slashed}) == len(slashed)


def test_no_slashes_change_nothing():
    assert torch.equal(damaged(grid(), generator(), NONE), grid())


def test_a_white_slash_takes_the_only_ink_there_is():
    one = dataclasses.replace(NONE, white=(1, 1), white_width=(0, 0), white_length=(0.01, 0.01))
    assert torch.equal(damaged(dots(), generator(), one), torch.ones(50, 1, SIDE, SIDE))


def test_the_next_white_slash_takes_ink_that_is_left():
    two = torch.ones(50, 1, SIDE, SIDE)
    two[..., 10, 10] = two[..., 40, 50] = -1
    small = dataclasses.replace(NONE, white=(2, 2), white_width=(0, 0), white_length=(0.01, 0.01))
    assert torch.equal(damaged(two, generator(), small), torch.ones_like(two))


@pytest.mark.parametrize("seed", range(3))
def test_every_white_slash_takes_ink(seed):
    """With the same generator, one slash more leaves less ink on every drawing."""
    left = [
        (damaged(grid(64), generator(seed), dataclasses.replace(NONE, white=(k, k))) < 0).sum(
            (1, 2, 3)
        )
        for k in range(6)
    ]
    for fewer, more in zip(left[1:], left[:-1], strict=True):
        assert (fewer < more).all()


def test_white_slashes_never_add_ink_and_black_ones_never_take_any():
    cut = damaged(grid(), generator(), dataclasses.replace(Slashes(), black=(0, 0)))
    crossed = damaged(grid(), generator(), dataclasses.replace(Slashes(), white=(0, 0)))
    assert (cut >= grid()).all()
    assert (crossed <= grid()).all()
    assert ((cut - grid()).amax((1, 2, 3)) == 2).all()
    assert ((grid() - crossed).amax((1, 2, 3)) == 2).all()


def test_a_black_slash_goes_through_ink():
    one = dataclasses.replace(NONE, black=(1, 1))
    slashed = damaged(dots(), generator(), one)
    assert (slashed[dots() < 0] == -1).all()
    beside = torch.nn.functional.max_pool2d(-slashed, 3, stride=1, padding=1) > 0.5
    assert (beside.sum((1, 2, 3)) > 20).all()


def test_a_slash_is_as_wide_and_long_as_asked():
    """Its area is that of a bar with round ends, wherever it fits into the picture."""
    middle = torch.ones(40, 1, 128, 128)
    middle[..., 64, 64] = -1
    one = dataclasses.replace(NONE, black=(1, 1), black_width=(0.05, 0.05), black_length=(0.4, 0.4))
    area = ((1 - damaged(middle, generator(), one)) / 2).sum((1, 2, 3))
    wide, long = 0.05 * 128, 0.4 * 128
    expected = wide * long + torch.pi * wide**2 / 4
    assert float((area / expected - 1).abs().max()) < 0.03


def test_counts_fill_their_range():
    three = dataclasses.replace(NONE, black=(0, 3), black_width=(0, 0), black_length=(0, 0))
    marks = damaged(torch.ones(400, 1, SIDE, SIDE), generator(), three) < 0
    counts = marks.sum((1, 2, 3)).bincount(minlength=4)
    assert (counts > 60).all()
    assert len(counts) == 4


def test_edges_are_smooth():
    slashed = damaged(grid(), generator())
    between = (slashed > -0.95) & (slashed < 0.95)
    assert float(between.float().mean()) > 0.005


def test_blank_and_faint_drawings():
    blank = damaged(torch.ones(2, 1, SIDE, SIDE), generator())
    assert (blank < 0).any()
    faint = damaged(0.2 + 0.8 * dots(), generator(), dataclasses.replace(NONE, white=(1, 1)))
    assert (faint == 1).all()


def test_any_side_and_no_drawings():
    assert damaged(torch.full((2, 1, 16, 16), -1.0), generator()).shape == (2, 1, 16, 16)
    assert damaged(torch.ones(0, 1, SIDE, SIDE), generator()).shape == (0, 1, SIDE, SIDE)


@pytest.mark.parametrize(
    "wrong", [{"white": (5, 3)}, {"black": (-1, 2)}, {"white_width": (0.2, 0.1)}]
)
def test_a_range_that_makes_no_sense_is_an_error(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Slashes(**wrong)
