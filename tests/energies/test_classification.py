"""Cross-entropy: against its formula; labels that do not fit."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nvn import energies as en
from nvn.errors import GameError
from tests.energies.evaluating import energy_of, game_of, properties, random, seeds


def nats(logits, probabilities):
    logits = logits - logits.max(axis=1, keepdims=True)
    log_q = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return -(probabilities * log_q).sum(axis=1).mean()


@properties
@given(seed=seeds, smoothing=st.floats(0, 1), scale=st.sampled_from([1.0, 50.0]))
def test_cross_entropy_is_its_formula(seed, smoothing, scale):
    logits = scale * random(6, 4, seed=seed)
    labels = torch.arange(6) % 4
    hard = np.eye(4)[labels.numpy()]
    smooth = (1 - smoothing) * hard + smoothing / 4

    def declare(x, y):
        return en.cross_entropy(x, y, label_smoothing=smoothing)

    expected = nats(logits.numpy(), smooth)
    assert energy_of(declare, logits, labels).item() == pytest.approx(expected, rel=1e-12)
    soft = torch.from_numpy(hard)
    assert energy_of(declare, logits, soft).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.int64])
def test_labels_are_integers_of_any_size(dtype):
    labels = torch.tensor([0, 2, 1]).to(dtype)
    found = energy_of(en.cross_entropy, torch.zeros(3, 3, dtype=torch.float64), labels)
    assert found.item() == pytest.approx(math.log(3))


def test_cross_entropy_of_an_answer_per_position():
    logits, labels = random(2, 3, 4, 5), torch.arange(40).reshape(2, 4, 5) % 3
    rows = logits.permute(0, 2, 3, 1).reshape(-1, 3)
    flat = energy_of(en.cross_entropy, rows, labels.flatten())
    torch.testing.assert_close(energy_of(en.cross_entropy, logits, labels), flat)


@pytest.mark.parametrize(
    ("logits", "labels"),
    [
        (random(4, 3), torch.zeros(3, dtype=torch.long)),
        (random(4, 3), torch.zeros(4, 1, dtype=torch.long)),
        (random(4, 3), torch.zeros(4, 3, dtype=torch.long)),
        (random(4, 3), torch.zeros(4)),
        (random(4, 3), torch.zeros(4, 1)),
        (random(4), torch.zeros(4, dtype=torch.long)),
        (random(4), torch.zeros(4)),
    ],
    ids=lambda t: str(tuple(t.shape)),
)
def test_labels_that_do_not_fit_raise(logits, labels):
    with pytest.raises(ValueError, match="cross_entropy: found logits") as caught:
        energy_of(en.cross_entropy, logits, labels)
    assert str(tuple(logits.shape)) in str(caught.value)
    assert str(tuple(labels.shape)) in str(caught.value)


@pytest.mark.parametrize("smoothing", [-0.1, 1.5, math.nan])
def test_a_smoothing_outside_of_0_to_1_is_a_problem_of_the_game(smoothing):
    _, x, y = game_of("x", "y")
    with pytest.raises(GameError, match=r"from 0 to 1") as caught:
        en.cross_entropy(x, y, label_smoothing=smoothing)
    assert "test_classification.py" in caught.value.problems[0].where


def test_no_smoothing_is_the_default():
    _, x, y = game_of("x", "y")
    assert en.cross_entropy(x, y) is en.cross_entropy(x, y, label_smoothing=0)
    assert en.cross_entropy(x, y) is not en.cross_entropy(x, y, label_smoothing=0.1)
