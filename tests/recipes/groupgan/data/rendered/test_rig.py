"""The rig: what is in it, who can be made of it, and what an expression moves."""

import numpy as np
import pytest
import torch
from nvn_recipes.groupgan.data.rendered.rig import (
    EXPRESSIONS,
    EYE,
    RIG_FILE,
    TEETH,
    Rig,
    load_rig,
    peak_units,
    sample_person,
    stack_shapes,
)

from tests.recipes.groupgan.data.rendered.landmarks import find_landmarks


@pytest.fixture(scope="module")
def rig() -> Rig:
    return load_rig()


@pytest.fixture(scope="module")
def marks(rig):
    return find_landmarks(rig)


@pytest.fixture(scope="module")
def people(rig):
    return [sample_person(rig, np.random.default_rng([3, k])) for k in range(12)]


@pytest.fixture(scope="module")
def moves(rig, people):
    """For each expression, how far the vertices of 12 people move, (V, 3, S)."""
    still = rig.neutral(stack_shapes(people))

    def move(expression: str):
        units = peak_units(rig, expression).expand(len(people), -1)
        return rig.express(still, units) - still

    return {expression: move(expression) for expression in EXPRESSIONS}


def up(move, vertices):
    """Mean rise of some vertices, for each person."""
    return move[torch.tensor(vertices), 1].mean(0)


def test_the_arrays_have_the_shapes_they_say(rig):
    vertices, triangles = len(rig.base), len(rig.triangles)
    assert rig.base.shape == (vertices, 3)
    assert rig.triangles.shape == (triangles, 3)
    assert rig.units.shape == (3 * vertices, 52)
    assert len(rig.unit_names) == 52
    assert rig.shapes.shape == (3 * vertices, len(rig.shape_names))
    assert int(rig.triangles.min()) == 0
    assert int(rig.triangles.max()) == vertices - 1
    for mask in (rig.lip, rig.mouth, rig.ear, rig.lash, rig.light):
        assert mask.shape == (vertices,)
        assert 0 <= float(mask.min()) < float(mask.max()) <= 1


def test_the_file_stays_small():
    assert RIG_FILE.stat().st_size < 1_000_000


def test_every_unit_moves_something(rig):
    assert (rig.units.abs().amax(0) > 0.005).all()


def test_left_and_right_units_mirror_each_other(rig):
    names = [n for n in rig.unit_names if n.endswith("Left") and n[:-4] + "Right" in rig.unit_names]
    assert len(names) == 20
    for name in names:
        left, right = (
            rig.units[:, rig.unit_names.index(n)].view(-1, 3).norm(dim=1).sum()
            for n in (name, name[:-4] + "Right")
        )
        assert left == pytest.approx(float(right), rel=0.15)


def test_landmarks_lie_where_their_names_say(rig, marks):
    base = rig.base
    left, right = base[list(marks.mouth_corners)]
    assert left[0] > 0.2
    assert right[0] < -0.2
    assert base[marks.upper_lip, 1] > base[marks.lower_lip, 1] > base[marks.chin, 1]
    assert base[list(marks.inner_brows), 1].min() > base[list(marks.upper_lids), 1].max()
    assert (
        base[list(marks.outer_brows), 0].abs().min() > base[list(marks.inner_brows), 0].abs().max()
    )


def test_the_same_generator_makes_the_same_person(rig):
    first, second, other = (sample_person(rig, np.random.default_rng(k)) for k in (5, 5, 6))
    assert torch.equal(first.shape, second.shape)
    assert not torch.equal(first.shape, other.shape)


def test_people_differ_but_stay_human(rig, people):
    still = rig.neutral(stack_shapes(people))
    eyes = still[rig.part == EYE]
    apart = eyes[:, 0].amax(0) - eyes[:, 0].amin(0)
    assert (apart > 0.7).all()
    assert (apart < 1.2).all()
    face = still - eyes.mean(0)
    spread = (face - face.mean(-1, keepdim=True)).norm(dim=1).mean()
    assert spread > 0.04


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_units_of_an_expression_are_weights(rig, expression):
    units = peak_units(rig, expression)
    assert float(units.min()) >= 0
    assert float(units.max()) == 1
    assert int((units > 0).sum()) >= 5


def test_happiness_raises_the_corners_of_the_mouth(marks, moves):
    assert (up(moves["happiness"], marks.mouth_corners) > 0.03).all()


def test_anger_does_not_smirk_and_lowers_the_brows(marks, moves):
    corners = up(moves["anger"], marks.mouth_corners)
    middle = up(moves["anger"], (marks.upper_lip, marks.lower_lip))
    assert (corners < 0.01).all()
    assert (corners < middle + 0.01).all()
    assert (up(moves["anger"], marks.inner_brows) < -0.02).all()


def test_sadness_lowers_the_corners_and_raises_the_inner_brows(marks, moves):
    assert (up(moves["sadness"], marks.mouth_corners) < -0.02).all()
    assert (up(moves["sadness"], marks.inner_brows) > 0.02).all()


def test_surprise_opens_the_mouth_and_raises_all_brows(marks, moves):
    assert (up(moves["surprise"], [marks.lower_lip]) < -0.15).all()
    assert (up(moves["surprise"], [marks.chin]) < -0.1).all()
    assert (up(moves["surprise"], marks.inner_brows + marks.outer_brows) > 0.03).all()


def test_fear_widens_the_eyes_and_the_mouth(marks, moves):
    assert (up(moves["fear"], marks.upper_lids) > 0.01).all()
    left, right = (moves["fear"][corner, 0] for corner in marks.mouth_corners)
    assert (left - right > 0.02).all()


def test_disgust_raises_the_upper_lip(marks, moves):
    assert (up(moves["disgust"], [marks.upper_lip]) > 0.03).all()


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_teeth_stay_behind_the_lips(rig, people, expression):
    units = peak_units(rig, expression).expand(len(people), -1)
    heads = rig.express(rig.neutral(stack_shapes(people)), units)
    lips = heads[rig.lip > 0.5][:, 2].amax(0)
    assert (heads[rig.part == TEETH][:, 2].amax(0) < lips).all()
