"""What all energies share: gradients, precision, means over batches, equality, descriptions."""

import inspect
import pickle

import pytest
import torch
from hypothesis import given
from torch._subclasses.fake_tensor import FakeTensorMode

from nvn import energies as en
from nvn.energies import adversarial, classification, penalties, reconstruction
from nvn.game.game import Game
from nvn.game.values import Energy
from tests.energies.evaluating import FAMILIES, few, game_of, random, seeds


def judgement(family, part):
    declared = getattr(family, part)(Game("g").batch("x"))
    node = declared if isinstance(declared, Energy) else declared.terms[0].energy
    return node.op.fn


# (function of tensors, shapes of its arguments); every one smooth where it is tested
SMOOTH = {
    **{
        f"{family!r}.{part}": (judgement(family, part), [(4, 3)])
        for family in FAMILIES
        for part in ("real", "fake", "fool")
    },
    "critic": (adversarial.Preference("critic"), [(4, 3), (4, 3)]),
    "half_squared_norm": (penalties.half_squared_norm, [(4, 3, 2)]),
    "squared_excess_of_norm": (penalties.squared_excess_of_norm, [(4, 3, 2)]),
    "between": (penalties.between, [(4, 3), (4, 3), (4,)]),
    "mean_absolute_error": (reconstruction.mean_absolute_error, [(4, 3), (4, 3)]),
    "mean_squared_error": (reconstruction.mean_squared_error, [(4, 3), (4, 3)]),
    "mean_squared_distance": (reconstruction.mean_squared_distance, [(4, 3), (4, 3)]),
    "sum_of_squared_errors": (reconstruction.sum_of_squared_errors, [(4, 3), (4, 3)]),
    "squared_distance_of_means": (reconstruction.squared_distance_of_means, [(4, 3), (5, 3)]),
    "mean_cross_entropy": (classification.mean_cross_entropy, [(4, 3), (4, 3)]),
}


@pytest.mark.parametrize("case", SMOOTH)
@pytest.mark.parametrize("scale", [1.0, 10.0])
def test_gradients_agree_with_finite_differences(case, scale):
    fn, shapes = SMOOTH[case]
    tensors = [(scale * random(*shape, seed=i)).requires_grad_() for i, shape in enumerate(shapes)]
    assert torch.autograd.gradcheck(fn, tensors)
    # A penalty on an energy's own gradient differentiates twice.
    assert torch.autograd.gradgradcheck(fn, tensors)


@pytest.mark.parametrize("case", sorted(SMOOTH.keys() - {"between"}))
def test_energies_are_scalars_of_at_least_float32(case):
    fn, shapes = SMOOTH[case]
    for dtype, expected in (
        (torch.float64, torch.float64),
        (torch.float32, torch.float32),
        (torch.bfloat16, torch.float32),
        (torch.float16, torch.float32),
    ):
        tensors = [random(*shape, seed=i).to(dtype) for i, shape in enumerate(shapes)]
        found, exact = fn(*tensors), fn(*(t.double() for t in tensors))
        assert (found.shape, found.dtype) == ((), expected)
        # Rounded tensors, exact arithmetic: nothing was lost inside.
        assert found.item() == pytest.approx(exact.item(), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("case", sorted(SMOOTH.keys() - {"between"}))
def test_energies_stay_precise_under_autocast(case):
    fn, shapes = SMOOTH[case]
    tensors = [random(*shape, seed=i).to(torch.bfloat16) for i, shape in enumerate(shapes)]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = fn(*tensors)
    assert inside.dtype == torch.float32
    torch.testing.assert_close(inside, fn(*tensors))


@pytest.mark.parametrize("case", sorted(SMOOTH.keys() - {"between", "squared_distance_of_means"}))
@few
@given(seed=seeds)
def test_energies_are_means_over_equal_batches(case, seed):
    """So that N processes with batch B are one with N·B."""
    fn, shapes = SMOOTH[case]
    tensors = [random(*shape, seed=seed + i) for i, shape in enumerate(shapes)]
    halves = [fn(*(t[i::2] for t in tensors)) for i in range(2)]
    torch.testing.assert_close(fn(*tensors), (halves[0] + halves[1]) / 2)


@pytest.mark.parametrize("case", SMOOTH)
def test_functions_are_compared_by_equality_and_travel(case):
    fn, _ = SMOOTH[case]
    copy = pickle.loads(pickle.dumps(fn))
    assert copy == fn
    assert hash(copy) == hash(fn)
    assert not inspect.ismethod(fn)


def test_arguments_are_left_alone():
    for fn, shapes in SMOOTH.values():
        tensors = [random(*shape, seed=i) for i, shape in enumerate(shapes)]
        fn(*tensors)
        for i, (tensor, shape) in enumerate(zip(tensors, shapes, strict=True)):
            assert torch.equal(tensor, random(*shape, seed=i))


@pytest.mark.parametrize("distance", [en.l1, en.mse, en.l2, en.perceptual, en.feature_matching])
def test_the_same_distance_is_the_same_energy(distance):
    _, x, y = game_of("x", "y")
    assert distance(x, y) is distance(x, y)
    assert isinstance(distance(x, y), Energy)
    assert distance(x, y) is not distance(y, x)


def test_different_distances_are_different_energies():
    _, x, y = game_of("x", "y")
    found = {en.l1, en.mse, en.l2, en.perceptual, en.feature_matching, en.cross_entropy}
    assert len({distance(x, y) for distance in found}) == len(found)


@pytest.mark.parametrize("case", sorted(SMOOTH.keys() - {"between"}))
def test_shapes_can_be_told_without_numbers(case):
    fn, shapes = SMOOTH[case]
    with FakeTensorMode():
        assert fn(*(torch.empty(shape) for shape in shapes)).shape == ()


def test_everything_public_is_described_and_what_has_a_paper_cites_it():
    without = {"Family", "ZeroSum", "GeneralSum", "interpolate", "uniform_weights", "mse", "l2"}
    for name in en.__all__:
        described = inspect.getdoc(getattr(en, name)) or ""
        assert described, name
        assert name in without or "arXiv" in described, name
