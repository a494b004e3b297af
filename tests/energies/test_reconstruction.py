"""Distances: against formulas written out; they never broadcast."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nvn import energies as en
from tests.energies.evaluating import (
    Linear,
    energy_of,
    evaluate,
    game_of,
    properties,
    random,
    seeds,
)


@properties
@given(seed=seeds, samples=st.integers(1, 4))
def test_distances_are_their_formulas(seed, samples):
    a, b = random(samples, 2, 3, seed=seed), random(samples, 2, 3, seed=seed + 1)
    difference = (a - b).numpy()
    assert energy_of(en.l1, a, b).item() == pytest.approx(np.abs(difference).mean())
    assert energy_of(en.mse, a, b).item() == pytest.approx((difference**2).mean())
    squares = (difference**2).reshape(samples, -1).sum(axis=1)
    assert energy_of(en.l2, a, b).item() == pytest.approx(squares.mean())


def test_sum_and_mean_differ_by_the_number_of_pixels():
    a, b = random(4, 3, 8, 8), random(4, 3, 8, 8, seed=1)
    torch.testing.assert_close(energy_of(en.l2, a, b), 192 * energy_of(en.mse, a, b))


@pytest.mark.parametrize("distance", [en.l1, en.mse, en.l2, en.perceptual, en.feature_matching])
@properties
@given(seed=seeds)
def test_distances_are_symmetric_not_negative_and_zero_at_home(distance, seed):
    a, b = random(3, 4, seed=seed), random(3, 4, seed=seed + 1)
    torch.testing.assert_close(energy_of(distance, a, b), energy_of(distance, b, a))
    assert energy_of(distance, a, b) >= 0
    assert energy_of(distance, a, a).item() == 0


@pytest.mark.parametrize("distance", [en.l1, en.mse, en.l2, en.perceptual])
@pytest.mark.parametrize("shape", [(4, 1, 3), (4, 3, 1), (4, 9), (1, 3, 3), (3, 3)])
def test_distances_do_not_broadcast(distance, shape):
    with pytest.raises(ValueError, match="nothing is broadcast") as caught:
        energy_of(distance, random(4, 3, 3), random(*shape))
    assert "(4, 3, 3)" in str(caught.value)
    assert str(shape) in str(caught.value)
    assert distance.__name__ in str(caught.value)


def test_perceptual_is_the_sum_over_layers_of_means():
    a = {"conv1": random(2, 3, 4, 4), "conv2": [random(2, 5, seed=1)]}
    b = {"conv1": random(2, 3, 4, 4, seed=2), "conv2": [random(2, 5, seed=3)]}
    expected = sum(
        (x - y).square().sum() / x[0].numel() / len(x)
        for x, y in ((a["conv1"], b["conv1"]), (a["conv2"][0], b["conv2"][0]))
    )
    torch.testing.assert_close(energy_of(en.perceptual, a, b), expected)


def test_feature_matching_compares_means_over_samples():
    a, b = [random(5, 3), random(5, 2, 2, seed=1)], [random(4, 3, seed=2), random(4, 2, 2, seed=3)]
    expected = sum((x.mean(0) - y.mean(0)).square().sum() for x, y in zip(a, b, strict=True))
    torch.testing.assert_close(energy_of(en.feature_matching, a, b), expected)
    shuffled = [a[0][torch.randperm(5)], a[1][torch.randperm(5)]]
    torch.testing.assert_close(energy_of(en.feature_matching, shuffled, b), expected)


@pytest.mark.parametrize("shapes", [((4, 3), (4, 1)), ((4, 3), (4, 3, 1)), ((), ())])
def test_feature_matching_does_not_broadcast(shapes):
    a, b = shapes
    with pytest.raises(ValueError, match="number of samples") as caught:
        energy_of(en.feature_matching, random(*a), random(*b))
    assert f"{a} and {b}" in str(caught.value)


@pytest.mark.parametrize("distance", [en.perceptual, en.feature_matching])
def test_features_of_different_form_raise(distance):
    x = random(2, 3)
    for a, b in (([x, x], [x]), ({"a": x}, {"b": x}), ([x], {"a": x}), (x, [x])):
        with pytest.raises(ValueError, match="two trees of the same form"):
            energy_of(distance, a, b)


def test_features_come_from_any_players_call():
    _, x, y, D = game_of("x", "y", D=Linear(random(3)))
    features = D.method("features")
    batch = {"x": random(4, 3, seed=1), "y": random(4, 3, seed=2)}
    found = evaluate(en.perceptual(features(x), features(y)), batch)
    deep = (batch["x"] - batch["y"]) @ random(3)
    difference = batch["x"] - batch["y"]
    expected = deep.square().mean() + 5 * difference.square().mean()
    torch.testing.assert_close(found, expected)
    assert en.perceptual(features(x), features(y)) is en.perceptual(features(x), features(y))
