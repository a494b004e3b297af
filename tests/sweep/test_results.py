"""Where runs lie, how they are found again, and what is written about them."""

import csv
import io
import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from nvn.sweep.export import write_request, write_tables
from nvn.sweep.grid import Grid, Request, make_grid
from nvn.sweep.locks import opened, try_lock
from nvn.sweep.results import (
    Result,
    SweepFolder,
    can_go_on,
    clear,
    code_changed,
    default_folder,
    log_of,
    read_result,
)
from nvn.sweep.tables import make_tables, measure
from tests.sweep.swept import finished, grid_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "sweep"
    path.mkdir()
    return path


def names(path: Path, grid: Grid) -> list[str]:
    return [place.name for place in SweepFolder(path, grid).places]


def digests(path: Path, grid: Grid) -> list[str]:
    return [name[-10:] for name in names(path, grid)]


def test_names_can_be_read_and_typed(tmp_path: Path, folder: Path) -> None:
    (name,) = names(folder, grid_of(tmp_path, "note=a/b c", "backbone=resnet"))
    assert name[:-11] == "mine_note=a-b-c_backbone=resnet"
    (name,) = names(folder, grid_of(tmp_path, f"note={'x' * 500}"))
    assert len(name) == 91


def test_a_run_is_found_again_whatever_grid_it_is_in(tmp_path: Path, folder: Path) -> None:
    (wide, *_) = SweepFolder(folder, grid_of(tmp_path, "width=2,3", "seed=5,6")).places
    wide.mkdir()
    assert SweepFolder(folder, grid_of(tmp_path, "seed=5", settings=["width=2"])).places == (wide,)
    wide.rmdir()
    (folder / "cells" / f"{wide.name}.log").touch()  # begun, its folder not yet made
    assert SweepFolder(folder, grid_of(tmp_path, "width=2", seed=5)).places == (wide,)


def test_whatever_decides_the_run_decides_the_name(tmp_path: Path, folder: Path) -> None:
    requests = [
        {},
        {"settings": ["width=2"]},
        {"seed": 1},
        {"max_steps": 3},
        {"precision": "64-true"},
        {"recipes": ("other",)},
    ]
    found = [digests(folder, grid_of(tmp_path, **more))[0] for more in requests]
    assert len({*found}) == len(found)
    # The default, written out, is the same run.
    assert digests(folder, grid_of(tmp_path, settings=["width=1"])) == [found[0]]


def test_recipe_and_sweep_can_be_moved_together(tmp_path: Path) -> None:
    found = set()
    for name in ("here", "there"):
        (tmp_path / name / "sweep").mkdir(parents=True)
        grid = grid_of(tmp_path / name)
        found |= {*digests(tmp_path / name / "sweep", grid)}
    assert len(found) == 1
    (tmp_path / "elsewhere").mkdir()
    assert {*digests(tmp_path / "elsewhere", grid)} != found


def test_an_installed_recipe_is_the_same_however_it_is_given(folder: Path) -> None:
    by_name = make_grid(Request(["gaussians"]))
    path = by_name.recipes[0].path
    assert names(folder, by_name) == names(folder, make_grid(Request([str(path)])))


def test_the_default_folder_follows_from_what_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    one = default_folder(grid_of(tmp_path, "width=1,2", recipes=("a", "b")))
    assert one.parent == Path("runs/sweeps")
    assert one.name.startswith("a+b-")
    assert one == default_folder(grid_of(tmp_path, "width=2,1", recipes=("a", "b")))
    assert one != default_folder(grid_of(tmp_path, "width=1,3", recipes=("a", "b")))


def test_how_a_run_ended(tmp_path: Path) -> None:
    place = tmp_path / "a"
    assert read_result(place) == Result("missing")
    (tmp_path / "a.log").touch()
    assert read_result(place) == Result("unfinished")
    place.mkdir()
    for text in ("", "- x", "outcome", "a: [", "metrics: {}"):
        (place / "run.yaml").write_text(text)
        assert read_result(place) == Result("unfinished")
    (place / "run.yaml").write_text("outcome: finished\nmetrics: {e: {m: .nan}}\nerror: null\n")
    assert read_result(place).finished
    (place / "run.yaml").write_text("outcome: failed\nmetrics: null\nerror: NaN\n")
    assert read_result(place) == Result("failed", {}, "NaN")
    clear(place)
    clear(place)
    assert not place.exists()


@pytest.mark.parametrize("outcome", ["running", "interrupted", "preempted", "failed", "missing"])
def test_what_was_stopped_goes_on_and_what_failed_begins_anew(tmp_path: Path, outcome: str) -> None:
    recipe, place = grid_of(tmp_path).recipes[0], tmp_path / "a"
    assert not can_go_on(place, recipe)
    place.mkdir()
    if outcome != "missing":
        (place / "run.yaml").write_text(f"outcome: {outcome}\n")
    assert not can_go_on(place, recipe)
    (place / "recipe.py").write_bytes(recipe.path.read_bytes())
    assert can_go_on(place, recipe) == (outcome not in ("failed", "missing"))
    (place / "recipe.py").write_text("another")
    assert not can_go_on(place, recipe)


def test_a_run_that_was_killed_is_not_running(tmp_path: Path) -> None:
    place = tmp_path / "a"
    place.mkdir()
    (place / "run.yaml").write_text("outcome: running\n")
    with opened(log_of(place)) as log:
        assert try_lock(log)
        assert read_result(place).outcome == "running"
    assert read_result(place).outcome == "killed"


@pytest.mark.parametrize("metrics", ["[1]", "x", "{a: 1}", "{a: {b: x}}", "{a: [1]}", "null"])
def test_metrics_that_are_none_are_no_error(tmp_path: Path, metrics: str) -> None:
    (tmp_path / "run.yaml").write_text(f"outcome: finished\nmetrics: {metrics}\n")
    found = read_result(tmp_path)
    assert found.finished
    assert not any(found.metrics.values())


_ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=6,
)


@given(
    about=_ANY
    | st.dictionaries(st.sampled_from(["outcome", "metrics", "error"]), _ANY)
    | st.dictionaries(st.just("metrics"), st.dictionaries(st.text(max_size=3), _ANY))
)
def test_whatever_run_yaml_says_is_a_result_that_tables_can_be_made_of(
    tmp_path_factory: pytest.TempPathFactory, about: Any
) -> None:
    folder = tmp_path_factory.mktemp("run")
    (folder / "run.yaml").write_text(yaml.safe_dump(about, allow_unicode=True), encoding="utf-8")
    result = read_result(folder)
    grid = grid_of(folder)
    make_tables(measure(grid, [replace(result, outcome="finished")]), ())


def test_code_that_changed_is_noticed(tmp_path: Path) -> None:
    grid = grid_of(tmp_path)
    recipe, place = grid.recipes[0], tmp_path / "a"
    place.mkdir()
    assert not code_changed(place, recipe)
    (place / "recipe.py").write_bytes(recipe.path.read_bytes())
    assert not code_changed(place, recipe)
    recipe.path.write_text("# changed")
    assert code_changed(place, recipe)


# --- what is written ---


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text())))


def test_the_tables(tmp_path: Path, folder: Path) -> None:
    grid = grid_of(tmp_path, "note='a|b',c", "seed=1,2")
    there = SweepFolder(folder, grid)
    measured = measure(grid, [finished(x=1.0), finished(x=2.0), Result("failed"), Result()])
    write_tables(there, measured, make_tables(measured, ()))
    lines = (folder / "table.md").read_text().splitlines()
    assert lines[0] == "2 of 4 runs finished."
    assert lines[-4:] == [
        "| note | x |",
        "| --- | ---: |",
        "| a\\|b | 1.500 ± 0.707 |",
        "| c | – |",
    ]
    full, empty = rows(folder / "table.csv")
    assert (full["recipe"], full["note"], full["evaluation"], full["metric"]) == (
        *("mine", "a|b", "score", "x"),
    )
    assert (float(full["mean"]), float(full["sd"]), full["n"]) == (1.5, 0.5**0.5, "2")
    assert (empty["note"], empty["mean"], empty["n"]) == ("c", "", "0")
    cells = rows(folder / "cells.csv")
    assert [(c["seed"], c["outcome"], c["value"]) for c in cells] == [
        *(("1", "finished", "1.0"), ("2", "finished", "2.0")),
        *(("1", "failed", ""), ("2", "missing", "")),
    ]
    assert [c["folder"] for c in cells] == [place.name for place in there.places]


def test_a_fixed_seed_has_a_column_too(tmp_path: Path, folder: Path) -> None:
    grid = grid_of(tmp_path, "width=1,2", seed=4)
    measured = measure(grid, [Result(), Result()])
    write_tables(SweepFolder(folder, grid), measured, [])
    assert [c["seed"] for c in rows(folder / "cells.csv")] == ["4", "4"]


def test_what_was_asked_for(tmp_path: Path, folder: Path) -> None:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    grid = grid_of(tmp_path, "width=1,2", recipes=("a", "b"), folds=3, file={"lr": 0.5})
    author = {
        f"GIT_{who}_{what}": "x" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }
    for command in (["add", "a.py"], ["commit", "-qm", "x"]):
        subprocess.run(["git", "-C", tmp_path, *command], env={**os.environ, **author}, check=True)
    write_request(SweepFolder(folder, grid), "nvn sweep a.py b.py")
    about = yaml.safe_load((folder / "sweep.yaml").read_text())
    assert about["command"] == "nvn sweep a.py b.py"
    assert about["over"] == {"width": [1, 2], "fold": [0, 1, 2]}
    assert (about["folds"], about["config"], about["set"]) == (3, {"lr": 0.5}, [])
    assert len(about["recipes"]["a"]["commit"]) == 40
    assert about["recipes"]["b"]["commit"] is None  # not part of the checkout
    assert len(about["runs"]) == 12
    assert about["nvn"]["version"]
    (tmp_path / "a.py").write_text("changed")
    write_request(SweepFolder(folder, grid), "")
    changed = yaml.safe_load((folder / "sweep.yaml").read_text())
    assert changed["recipes"]["a"]["commit"].endswith("-dirty")
