"""Rendered smiles: pairs such as the London set's."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from nvn_recipes.groupgan.data.photographs import london
from nvn_recipes.groupgan.data.rendered import smiling
from nvn_recipes.groupgan.data.rendered.faces import FacesSpec, render_faces
from nvn_recipes.groupgan.data.rendered.smiling import RenderedSmiles


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NVN_CACHE", str(tmp_path))


def test_half_of_the_pairs_smile_and_half_are_calm() -> None:
    pairs = RenderedSmiles(2, 16).read()
    assert pairs.classes == london.CLASSES
    assert pairs.label.bincount().tolist() == [10, 10]
    assert pairs.subject.bincount().tolist() == [10, 10]
    assert pairs.intensity is not None
    assert pairs.intensity[pairs.label == 0].max() < smiling.CALM
    assert pairs.intensity[pairs.label == 1].min() >= smiling.CALM
    assert pairs.intensity.max() <= smiling.HIGHEST


def test_everybody_has_a_neutral_face_and_a_peak_of_their_own() -> None:
    pairs = RenderedSmiles(2, 16).read()
    assert pairs.neutral is not None
    calm = pairs.label == 0
    assert torch.equal(pairs.peak[calm], pairs.neutral[calm])
    assert (pairs.peak[~calm] != pairs.neutral[~calm]).all()
    for role in (pairs.neutral, pairs.peak):
        assert torch.equal(role % 2, pairs.subject)
    assert torch.equal((pairs.weak - 4) // 6, pairs.subject)  # after 2 neutral, 2 peaks


def test_a_sample_is_of_the_first_people() -> None:
    few = RenderedSmiles(5, 16).sample(11)
    assert len(few) == 20
    whole = RenderedSmiles(5, 16).read()
    close = (few.shown("weak")[:5].int() - whole.shown("weak")[:5].int()).abs().float().mean()
    assert close < 0.1


def test_an_expression_is_the_same_whatever_else_is_shown() -> None:
    both = render_faces(FacesSpec(1, 16, 1, expressions=("anger", "happiness")))
    one = render_faces(FacesSpec(1, 16, 1, expressions=("happiness",)))
    assert both.classes == ("anger", "happiness")
    assert both.label.tolist() == [0, 1]
    difference = (both.shown("peak")[1].int() - one.shown("peak")[0].int()).abs()
    assert difference.max() <= 2  # vector and scalar code round differently


@pytest.mark.parametrize("shown", [(), ("joy",)])
def test_expressions_that_the_rig_has_not_are_refused(shown: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="expressions are some of"):
        FacesSpec(expressions=shown)
