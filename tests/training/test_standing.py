"""Courses of numbers, speed, and who is ahead."""

import math
import random

import pytest

from nvn.training.standing import Course, Speed, furthest, mean_lead


def course(*values: float) -> Course:
    made = Course()
    for value in values:
        made.add(value)
    return made


def test_a_course_stays_short_and_keeps_the_whole() -> None:
    made = course(*map(float, range(10_000)))
    assert 18 <= len(made.values) <= 37
    assert made.values[0] < 1000
    assert made.values[-1] == 9999.0
    means = made.values[:-1]
    assert [*means] == sorted(means)


def test_what_is_not_finite_is_the_last_value_and_nothing_else() -> None:
    made = course(1.0, 2.0, math.nan)
    assert made.values[:2] == (1.0, 2.0)
    assert math.isnan(made.values[-1])
    made.add(3.0)
    assert made.values == (1.0, 2.0, 3.0, 3.0)


def test_a_lead_is_in_standard_deviations() -> None:
    numbers = [*[1.0] * 8, *[0.0] * 8]
    assert course(*numbers).lead == pytest.approx(0.5 / 0.5)
    assert course(*numbers[::-1]).lead == pytest.approx(-1.0)
    assert course(*[3.0] * 20).lead == 0.0
    assert course(*[1.0] * 15).lead is None


def test_the_mean_and_deviation_are_right_far_from_zero() -> None:
    draw = random.Random(1)
    numbers = [1e6 + draw.gauss(0, 1) for _ in range(500)]
    lead = course(*numbers).lead
    mean = sum(numbers) / 500
    deviation = math.sqrt(sum((x - mean) ** 2 for x in numbers) / 500)
    assert lead == pytest.approx((mean - sum(numbers[-8:]) / 8) / deviation, rel=1e-6)


def test_a_team_s_lead_is_its_players_mean() -> None:
    up, down = [0.0] * 8 + [1.0] * 8, [1.0] * 8 + [0.0] * 8
    assert mean_lead([course(*up), course(*down)]) == pytest.approx(0.0)
    assert mean_lead([course(*down), course(1.0)]) == pytest.approx(1.0)
    assert mean_lead([course()]) is None


def test_ahead_is_who_is_clearly_ahead() -> None:
    assert furthest([0.9, 0.1, -2.0]) == 0
    assert furthest([0.9, 0.6]) is None
    assert furthest([-0.1, -2.0]) is None  # nobody gains
    assert furthest([2.0]) is None  # of whom?
    assert furthest([]) is None


def test_speed_is_that_of_the_last_readings() -> None:
    speed = Speed()
    assert speed.steps is None
    speed.add(0.0, 0, 0)
    assert speed.steps is None
    speed.add(2.0, 10, 640)
    assert (speed.steps, speed.samples) == (5.0, 320.0)
    for i in range(1, 100):
        speed.add(2.0 + i, 10 + i, 640)
    assert speed.steps == pytest.approx(1.0)
    assert speed.samples is None
