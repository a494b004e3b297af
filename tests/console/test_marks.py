import math

import pytest

from nvn.console.marks import arrow, gauge, number, sparkline


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.0, "0"), (0.00947, "0.00947"), (9.47e-4, "9.47e-4"), (-2e-5, "-2e-5"), (1e6, "1e6")],
)
def test_numbers_are_short(value: float, said: str) -> None:
    assert number(value) == said
    assert len(number(value)) <= 8


def test_what_is_not_finite_is_said() -> None:
    assert (number(math.inf), number(math.nan)) == ("inf", "nan")


def test_a_sparkline_spans_from_the_smallest_to_the_largest() -> None:
    assert sparkline([3.0, 1.0, 2.0], 8) == "█▁▅"
    assert sparkline([5.0, 5.0], 8) == "▄▄"
    assert sparkline([], 8) == sparkline([math.nan], 8) == ""
    assert sparkline([9.0, 1.0, math.inf, 2.0], 2) == "▁█"
    assert sparkline([-1.7e308, 1.7e308, 0.0], 3)[:2] == "▁█"  # whose distance overflows
    assert sparkline([0.0, 1.0], 3, plain=True) == "_@"


def test_an_arrow_says_where_it_goes() -> None:
    falling = [5.0, 4.9, 3.0, 3.1, 1.0, 0.9]
    assert (arrow(falling), arrow(falling[::-1]), arrow([1.0] * 6)) == ("↓", "↑", "→")
    assert (arrow(falling, plain=True), arrow(falling[::-1], plain=True)) == ("v", "^")
    assert arrow([1.0]) == " "


def test_a_gauge_is_as_wide_however_far_it_is() -> None:
    for lead in (-math.inf, -9.0, -0.4, 0.0, 0.4, 9.0, math.nan, None):
        assert len(gauge(lead, 9)) == 9
    assert gauge(-9.0, 5).plain == "●─┼──"
    assert gauge(9.0, 5, plain=True).plain == "--+-o"
