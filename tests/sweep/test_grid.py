"""Which runs a sweep is of, and what is wrong with a sweep."""

from pathlib import Path

import pytest

from nvn.errors import ConfigError, NvnWarning
from nvn.sweep.grid import Grid, Request, make_grid
from tests.sweep.swept import grid_of, write


def values(folder: Path, name: str, listed: str) -> list[object]:
    """What the runs of one recipe are given for a setting."""
    return [getattr(cell.config, name) for cell in grid_of(folder, f"{name}={listed}").cells]


def refused(folder: Path, *over: str, recipes: tuple[str, ...] = ("mine",), **more) -> list[str]:
    """The problems that an error names."""
    with pytest.raises(ConfigError) as caught:
        grid_of(folder, *over, recipes=recipes, **more)
    first, *rest = str(caught.value).split("\n  ")
    assert not rest or first == f"{len(rest)} problems with this sweep:"
    return rest or [first]


def test_every_recipe_with_every_combination(tmp_path: Path) -> None:
    grid = grid_of(tmp_path, "backbone=vgg,resnet", "width=1,2", recipes=("a", "b"))
    assert [str(cell) for cell in grid.cells] == [
        f"{recipe} backbone={backbone} width={width}"
        for recipe in "ab"
        for backbone in ("vgg", "resnet")
        for width in (1, 2)
    ]
    assert [(c.config.backbone, c.config.width) for c in grid.cells[:4]] == [
        *(("vgg", 1), ("vgg", 2), ("resnet", 1), ("resnet", 2)),
    ]


@pytest.mark.parametrize(
    ("name", "listed", "expected"),
    [
        ("width", "1,2,3", [1, 2, 3]),
        ("lr", "0.1, 1e-3", [0.1, 0.001]),
        ("widths", "[1, 2],[3]", [(1, 2), (3,)]),
        ("note", "'a,b',\"c]\",null,''", ["a,b", "c]", None, ""]),
        ("backbone", "resnet", ["resnet"]),
    ],
)
def test_values_are_yaml(tmp_path: Path, name: str, listed: str, expected: list[object]) -> None:
    assert values(tmp_path, name, listed) == expected


def test_a_setting_of_a_group_is_swept_by_its_full_name(tmp_path: Path) -> None:
    grid = grid_of(tmp_path, "inner.size=4,5")
    assert [cell.config.inner.size for cell in grid.cells] == [4, 5]


def test_the_seed_is_no_setting(tmp_path: Path) -> None:
    grid = grid_of(tmp_path, "seed=3,4")
    assert [cell.seed for cell in grid.cells] == [3, 4]
    assert grid.cells[0].settings == {}
    assert (grid.rows, grid.repeats) == ((), 2)


def test_folds_are_swept_and_their_number_is_set(tmp_path: Path) -> None:
    grid = grid_of(tmp_path, "width=1,2", "seed=1,2", folds=5)
    assert {cell.config.folds for cell in grid.cells} == {5}
    assert [cell.config.fold for cell in grid.cells[:5]] == [0, 1, 2, 3, 4]
    assert (grid.rows, grid.repeats) == (("width",), 10)


def test_what_is_swept_beats_set_beats_the_file_beats_the_preset(tmp_path: Path) -> None:
    file = {"width": 8, "lr": 0.5, "inner": {"size": 7}, "note": "file"}
    grid = grid_of(tmp_path, "lr=0.3,0.4", preset="large", file=file, settings=["note=set"], seed=6)
    cell = grid.cells[0]
    assert (cell.config.width, cell.config.lr, cell.config.note) == (8, 0.3, "set")
    assert (cell.config.inner.size, cell.seed) == (7, 6)
    assert grid_of(tmp_path, preset="large").cells[0].config.width == 9


# --- what is refused ---


@pytest.mark.parametrize(
    ("over", "said"),
    [
        ("width", "expected name=value,value"),
        ("=1", "expected name=value,value"),
        ("width=", "a value is empty"),
        ("width=1,", "a value is empty"),
        ("width=,1", "a value is empty"),
        ("width=1,,2", "is a value empty"),
        ("widths=[1,2", "a bracket or quote not closed"),
        ("seed=-1", "-1 is no seed"),
        ("seed=1.5", "1.5 is no seed"),
        ("seed=true", "true is no seed"),
    ],
)
def test_values_that_cannot_be_read(tmp_path: Path, over: str, said: str) -> None:
    (problem,) = refused(tmp_path, over)
    assert problem.startswith(f"--over {over}: ")
    assert said in problem


def test_names_given_twice(tmp_path: Path) -> None:
    (problem,) = refused(tmp_path, "width=1", "width=2")
    assert problem.startswith("--over width: given twice; write all its values in one --over")
    (problem,) = refused(tmp_path, "fold=0,1", folds=3)
    assert problem.startswith("--over fold: given twice (--folds sweeps it)")
    (problem,) = refused(tmp_path, "width=1,2", settings=["width=3"])
    assert problem == "--set width=3: 'width' is swept, so it cannot be set as well"
    (problem,) = refused(tmp_path, "seed=1,2", seed=0)
    assert problem.startswith("--seed 0: the seed is swept")
    (problem,) = refused(tmp_path, settings=["folds=4"], folds=3)
    assert problem == "--set folds=4: --folds 3 sets it already"


@pytest.mark.parametrize("listed", ["1,1", "1,'1'"])
def test_a_value_given_twice(tmp_path: Path, listed: str) -> None:
    (problem,) = refused(tmp_path, f"width={listed}")
    assert "the same run as mine width=1; is a value given twice?" in problem


def test_recipes_that_are_one(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (path,) = write(tmp_path, "mine")
    with pytest.raises(ConfigError, match="this recipe is given twice"):
        make_grid(Request([path, path]))
    (namesake,) = write(tmp_path / "other", "mine")
    with pytest.raises(ConfigError, match="has the same name, and tables name recipes"):
        make_grid(Request([path, namesake]))


def test_every_problem_is_told_once_with_a_run_that_has_it(tmp_path: Path) -> None:
    problems = refused(
        tmp_path, "width=0,1", "bakbone=vgg", "seed=1,2", recipes=("a", "b"), folds=1
    )
    assert problems[0] == "--folds 1: expected at least 2"
    for recipe, (first, second) in zip("ab", (problems[1:3], problems[3:]), strict=True):
        where = f"{recipe} width=0 bakbone=vgg seed=1 fold=0"
        assert first.startswith(f"{where}: width = 0: Input should be greater than or equal to 1")
        assert second.startswith(f"{where}: there is no setting 'bakbone'. Did you mean 'backbone'")
    assert len(problems) == 5


def test_recipes_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        make_grid(Request([str(tmp_path / "x.py"), "nosuch"], ["width="]))
    assert "3 problems" in str(caught.value)


def test_a_grid_has_a_bound_that_is_told_at_once(tmp_path: Path) -> None:
    (told,) = refused(tmp_path, folds=100_001)
    assert told.startswith("this sweep would be of 10001 runs or more (1 recipes × 10001 fold)")
    many = ",".join(map(str, range(101)))
    (told,) = refused(tmp_path, f"width={many}", f"seed={many}")
    assert "10201 runs or more" in told


# --- settings in groups ---

GROUPED = '''
"""A recipe whose settings were flat once."""

from typing import ClassVar

import nvn


class Data(nvn.Config):
    """A group."""

    folds: int = 3
    fold: int = 0
    size: int = 8


class Config(nvn.Config):
    """Settings."""

    once_flat: ClassVar = True
    data: Data = Data()


def recipe(config):
    """Never called."""
'''


def grouped(folder: Path, *over: str, **more: object) -> Grid:
    (folder / "grouped.py").write_text(GROUPED)
    return make_grid(Request([str(folder / "grouped.py")], over, **more))


def test_folds_are_found_in_their_group(tmp_path: Path) -> None:
    grid = grouped(tmp_path, "data.size=8,9", folds=4)
    assert [cell.config.data.fold for cell in grid.cells] == [0, 1, 2, 3] * 2
    assert {cell.config.data.folds for cell in grid.cells} == {4}
    assert (grid.rows, grid.repeats) == (("data.size",), 4)
    assert grid.cells[0].settings == {"data": {"folds": 4, "size": 8, "fold": 0}}


def test_means_are_over_the_folds_of_a_group(tmp_path: Path) -> None:
    grid = grouped(tmp_path, "data.fold=0,1", "seed=1,2")
    assert (grid.rows, grid.repeats) == ((), 4)


def test_old_names_can_be_swept(tmp_path: Path) -> None:
    with pytest.warns(NvnWarning, match=r"size is data\.size now"):
        grid = grouped(tmp_path, "size=8,9")
    assert [cell.config.data.size for cell in grid.cells] == [8, 9]
    assert grid.cells[0].row == ("8",)


@pytest.mark.parametrize(
    ("over", "settings", "said"),
    [
        ((), ["data.folds=4"], "--set data.folds=4: --folds 3 sets it already"),
        (["data.folds=4"], [], "--over data.folds: --folds 3 sets it already"),
        (["data.fold=0"], [], "--over data.fold: --folds 3 sweeps it already"),
    ],
)
def test_folds_set_twice_in_a_group(
    tmp_path: Path, over: list[str], settings: list[str], said: str
) -> None:
    with pytest.raises(ConfigError) as error:
        grouped(tmp_path, *over, settings=settings, folds=3)
    assert said in str(error.value)


@pytest.mark.parametrize(
    "values", ["[" * 3000, "[" * 60 + "]" * 60, "&a 1", "010", "1:30", "1]: [2"]
)
def test_values_are_read_as_settings_are(tmp_path: Path, values: str) -> None:
    """With the same bounds: nesting without end took minutes."""
    with pytest.raises(ConfigError, match=r"--over width=.* (cannot read the values|expected)"):
        grid_of(tmp_path, f"width={values}")
