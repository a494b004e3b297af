"""Alarms of balance: in words, of means, and seldom."""

from __future__ import annotations

import warnings
from types import SimpleNamespace
from typing import Any

from nvn.pulls import Pull, Pulls
from nvn.training.balance import Balance

PHASE: Any = SimpleNamespace(name="main")


def told(balance: Balance, *looks: Pulls) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for pulls in looks:
            balance.pulled(PHASE, pulls)
    return [str(warning.message) for warning in caught]


def share(step: int, of: float) -> Pulls:
    own = {"mse": Pull(1 - of, 1 - of), "fool": Pull(of, of, through=("D",))}
    return Pulls(step, {"G": own}, {"G": 1.0})


def shares(start: int, of: float, count: int = 7) -> list[Pulls]:
    return [share(start + 100 * i, of) for i in range(1, count + 1)]


def test_an_opponent_whose_share_is_lost_is_told_of_once() -> None:
    balance = Balance()
    assert told(balance, *shares(0, 0.3)) == []
    (said,) = told(balance, *shares(700, 0.003, 20))
    assert said.startswith("D no longer pulls G: share 0.3 % over the last 500 steps (step 13")
    assert "of 30 % before" in said
    assert said.endswith("docs/pulls.md")


def test_a_share_that_was_always_small_is_meant_to_be() -> None:
    assert told(Balance(), *shares(0, 0.001, 40)) == []


def test_one_look_is_no_alarm() -> None:
    balance = Balance()
    assert told(balance, *shares(0, 0.3), share(800, 0.0), *shares(800, 0.3)) == []


def test_it_is_told_again_only_after_it_was_well_and_not_soon() -> None:
    balance = Balance()
    told(balance, *shares(0, 0.3))
    assert len(told(balance, *shares(700, 0.001, 60))) == 1
    assert told(balance, *shares(7000, 0.001, 20)) == []  # still lost
    told(balance, *shares(9000, 0.3))
    assert len(told(balance, *shares(10000, 0.001))) == 1
    told(balance, *shares(11000, 0.3))
    assert told(balance, *shares(12000, 0.001)) == []  # again so soon


def test_looks_far_apart_take_three() -> None:
    balance = Balance()
    told(balance, *(share(1000 * i, 0.3) for i in range(1, 4)))
    assert told(balance, share(4000, 0.001), share(5000, 0.001)) == []
    (said,) = told(balance, share(6000, 0.001))
    assert "over the last 2000 steps" in said


def opposed(step: int, cosine: float, other: float | None = None) -> Pulls:
    mates = [("E", "G", cosine), ("G", "E", cosine if other is None else other)]
    return Pulls(
        step,
        {p: {"e": Pull(1.0, teammates={mate: {"fake": at}})} for p, mate, at in mates},
        {"G": 1.0, "E": 1.0},
    )


def test_teammates_who_work_against_one_another_are_told_of_once() -> None:
    (said,) = told(Balance(), *(opposed(100 * i, -0.95) for i in range(1, 30)))
    assert said.startswith("E and G work against one another at fake: cosine -0.95")
    assert told(Balance(), *(opposed(100 * i, -0.5) for i in range(1, 30))) == []


def test_either_of_two_teammates_may_be_the_one_that_is_worked_against() -> None:
    for one, other in ((-0.95, 0.1), (0.1, -0.95)):
        looks = [opposed(100 * i, one, other) for i in range(1, 30)]
        (said,) = told(Balance(), *looks)
        assert said.startswith("E and G work against one another at fake: cosine -0.95")


def test_another_phase_is_another_game() -> None:
    balance = Balance()
    told(balance, *shares(0, 0.3))
    balance.phase_started()
    assert told(balance, *shares(0, 0.001)) == []


def test_what_is_not_finite_is_left_out() -> None:
    balance = Balance()
    told(balance, *shares(0, 0.3))
    assert told(balance, *shares(700, float("nan"), 20)) == []
