"""Statistics, and how they are laid out."""

import math
from collections.abc import Sequence
from pathlib import Path

import pytest

from nvn.sweep.export import _markdown
from nvn.sweep.grid import Grid
from nvn.sweep.results import Result
from nvn.sweep.tables import (
    Measured,
    Metric,
    Statistic,
    Table,
    make_tables,
    measure,
    unknown_metrics,
)
from tests.sweep.swept import finished, grid_of


def test_the_samples_mean_and_standard_deviation() -> None:
    values = [66.1, 70.4, 68.2, 61.0]
    found = Statistic.of(values)
    assert found.mean == pytest.approx(sum(values) / 4)
    assert found.sd == pytest.approx((sum((x - found.mean) ** 2 for x in values) / 3) ** 0.5)
    assert found.n == 4


def test_one_number_has_no_deviation_and_nan_stays_nan() -> None:
    assert Statistic.of([3.0]) == Statistic(3.0, None, 1)
    for odd in (math.nan, math.inf):
        found = Statistic.of([1.0, odd])
        assert not math.isfinite(found.mean)
        assert found.sd is not None
        assert math.isnan(found.sd)


def tables(grid: Grid, results: Sequence[Result], *wanted: str) -> list[tuple[str, list[str]]]:
    """Each table's title, and its lines with the cells joined."""
    made = make_tables(measure(grid, results), wanted)
    return [(t.title, [" | ".join(row) for row in (t.header, *t.rows)]) for t in made]


def test_one_table_a_metric_with_a_column_a_recipe(tmp_path: Path) -> None:
    grid = grid_of(tmp_path, "backbone=vgg,resnet", folds=2, recipes=("cnn", "gan"))
    accuracies = [60, 62, 50, 52, 64, 66, 54, 58]
    results = [finished(accuracy=x, loss=0.5) for x in accuracies]
    first, second = tables(grid, results)
    assert first == (
        "score/accuracy, mean ± sd of 2 runs",
        [
            "backbone | cnn | gan",
            "vgg | 61.00 ± 1.41 | 65.00 ± 1.41",
            "resnet | 51.00 ± 1.41 | 56.00 ± 2.83",
        ],
    )
    assert second[0].startswith("score/loss")
    assert tables(grid, results, "score/loss") == [second]


def test_missing_runs_are_visible(tmp_path: Path) -> None:
    grid = grid_of(tmp_path, "backbone=vgg,resnet", "seed=1,2,3", recipes=("cnn", "gan"))
    done = [finished(accuracy=x) for x in (60, 62)]
    lost = Result("failed", {"score": {"accuracy": 99.0}}, "no memory")
    results = [*done, lost, done[0], lost, lost, *[Result()] * 6]
    ((_, lines),) = tables(grid, results)
    assert lines[1:] == ["vgg | 61.00 ± 1.41 (2 of 3) | –", "resnet | 60.00 (1 of 3) | –"]


def test_one_recipe_has_a_column_a_metric(tmp_path: Path) -> None:
    grid = grid_of(tmp_path, "width=1,2")
    ((title, lines),) = tables(grid, [finished(accuracy=61, loss=0.25), finished(accuracy=7.5)])
    assert title == "mine: score, one run each"
    assert lines == ["width | accuracy | loss", "1 | 61.00 | 0.2500", "2 | 7.50 | –"]


def test_without_settings_recipes_are_the_rows(tmp_path: Path) -> None:
    grid = grid_of(tmp_path, "seed=1,2", recipes=("cnn", "gan"))
    ((title, lines),) = tables(grid, [finished(a=x, b=x) for x in (1, 3, 5, 5)])
    assert title == "score, mean ± sd of 2 runs"
    assert lines[0] == "recipe | a | b"
    assert lines[1:] == [
        "cnn | 2.000 ± 1.414 | 2.000 ± 1.414",
        "gan | 5.000 ± 0.000 | 5.000 ± 0.000",
    ]


def test_metrics_of_several_evaluations_are_named_in_full(tmp_path: Path) -> None:
    result = Result("finished", {"a": {"x": 1.0}, "b": {"x": 2.0}})
    ((_, lines),) = tables(grid_of(tmp_path), [result])
    assert lines[0] == "recipe | a/x | b/x"


def test_by_default_only_what_all_recipes_share(tmp_path: Path) -> None:
    grid = grid_of(tmp_path, "width=1,2", recipes=("cnn", "gan"))
    results = [finished(a=1, b=1), Result(), finished(a=2, c=2), Result()]
    assert [title for title, _ in tables(grid, results)] == ["score/a, one run each"]
    assert [title for title, _ in tables(grid, results, "score/c")] == ["score/c, one run each"]
    # A recipe that has not finished a run yet has no say.
    assert len(tables(grid, [results[0], *[Result()] * 3])) == 2


@pytest.mark.parametrize(
    ("value", "written"),
    [
        *((0.0, "0.000"), (0.01234567, "0.0123"), (123456.0, "123456")),
        *((-5.0, "-5.000"), (math.nan, "nan"), (1.0, "1.000"), (10.0, "10.00"), (9999.5, "10000")),
    ],
)
def test_four_digits(tmp_path: Path, value: float, written: str) -> None:
    ((_, lines),) = tables(grid_of(tmp_path), [finished(x=value)])
    assert lines[1] == f"mine | {written}"


def test_a_metric_that_nobody_measured(tmp_path: Path) -> None:
    def told(*results: Result) -> list[str]:
        measured: Measured = measure(grid_of(tmp_path), results)
        return unknown_metrics(measured, ["score/accuracy", "score/los"])

    assert told(Result()) == []
    assert told(finished(accuracy=1, loss=2)) == [
        "--metric 'score/los': no run has measured it. Did you mean 'score/loss'?",
        *("measured metrics:", "  score/accuracy", "  score/loss"),
    ]


def test_a_metrics_name_may_have_any_sign(tmp_path: Path) -> None:
    measured = measure(grid_of(tmp_path), [Result("finished", {"e": {"a/b, c": 1.0}})])
    assert measured.metrics == (Metric("e", "a/b, c"),)
    assert make_tables(measured, ["e/a/b, c"])


def test_a_name_with_bars_and_line_breaks_stays_in_its_cell() -> None:
    table = Table("means", ("a|b", "x\n\ny"), 1, (("1", "2"),))
    assert _markdown(table).splitlines()[2] == "| a\\|b | x y |"
