import os
import shutil
import sys
from pathlib import Path

import pytest
import yaml

from nvn.errors import ConfigError, DataError
from nvn.recipe.loading import installed_recipes, load_recipe
from nvn.recipe.recipe import Recipe
from tests.tiny import FILE, NEIGHBOR

RECIPES = Path(__file__).parents[2] / "recipes"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "game.py").write_text(FILE)
    (tmp_path / "neighbor.py").write_text(NEIGHBOR)
    return tmp_path


def test_a_file_is_loaded_with_its_neighbors(folder: Path) -> None:
    source = load_recipe(str(folder / "game.py"))
    recipe = source.build(source.config_class.build("long"))
    assert source.name == "game"
    assert isinstance(recipe, Recipe)
    assert recipe.steps == 9


def test_files_of_one_name_in_two_folders_are_two(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(folder / "neighbor.py", other)
    (other / "game.py").write_text(FILE.replace("steps: int = Field(6", "steps: int = Field(7"))
    first, second = (load_recipe(str(place / "game.py")) for place in (folder, other))
    assert (
        first.config_class().model_dump()["steps"],
        second.config_class().model_dump()["steps"],
    ) == (6, 7)


def test_a_file_that_changed_is_read_again(folder: Path) -> None:
    load_recipe(str(folder / "game.py"))
    (folder / "game.py").write_text(FILE.replace("Field(6", "Field(8"))
    assert load_recipe(str(folder / "game.py")).config_class().model_dump()["steps"] == 8


def test_an_installed_recipe_has_one_module_by_name_and_by_file() -> None:
    by_name, by_file = load_recipe("gaussians"), load_recipe(str(RECIPES / "gaussians.py"))
    assert by_name.config_class is by_file.config_class
    assert by_name.config_class.__module__ == "nvn_recipes.gaussians"


def test_installed_recipes_are_listed_with_their_first_line() -> None:
    summaries = {summary.name: summary.line for summary in installed_recipes()}
    assert summaries["gaussians"].startswith("Two players on a ring")
    assert all(summaries.values())


def test_a_run_keeps_the_file_and_its_configuration(folder: Path) -> None:
    source = load_recipe(str(folder / "game.py"))
    files = source.files(source.config_class.build("long"))
    assert files["recipe.py"] == FILE
    assert yaml.safe_load(files["config.yaml"]) == {"steps": 9, "lr": 0.1}
    assert "# learning rate\nlr: 0.1\n" in files["config.yaml"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def recipe(:\n", "game.py, line 1: invalid syntax: `def recipe(:`"),
        ("x = 1\n", "no class `Config(nvn.Config)`, the settings and no function `recipe"),
        ("import nvn\nclass Config(nvn.Config): ...\n", "no function `recipe"),
        ("x = 1\0", "cannot read|null bytes"),
    ],
)
def test_a_file_that_is_no_recipe(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "game.py").write_text(text)
    with pytest.raises(ConfigError) as error:
        load_recipe(str(tmp_path / "game.py"))
    assert any(part in str(error.value) for part in message.split("|"))


@pytest.mark.parametrize(
    ("text", "marked"),
    [
        (
            "x = 1\ndef recipe(config)\n    pass\n",
            "    def recipe(config)\n                      ^",
        ),
        ("def f():\n    x = (1,\n    return x\n", "    x = (1,\n        ^"),
        ("def f():\nreturn 1\n", "    return 1\n    ^"),
        ("if x:\n\ty\n        z\n", ""),
    ],
)
def test_a_syntax_error_is_shown_as_python_shows_it(tmp_path: Path, text: str, marked: str) -> None:
    (tmp_path / "game.py").write_text(text)
    with pytest.raises(ConfigError) as error:
        load_recipe(str(tmp_path / "game.py"))
    assert marked in str(error.value)
    assert "File" not in str(error.value)


def test_an_error_of_the_files_own_code_is_not_hidden(tmp_path: Path) -> None:
    (tmp_path / "game.py").write_text("import nothing_of_this_name\n")
    for _ in range(2):  # nor does the first failure leave half a module behind
        with pytest.raises(ModuleNotFoundError, match="nothing_of_this_name"):
            load_recipe(str(tmp_path / "game.py"))


def test_a_missing_file_and_the_one_that_was_meant(folder: Path) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'game.py'"):
        load_recipe(str(folder / "gmae.py"))


def test_a_missing_name_and_the_one_that_was_meant() -> None:
    with pytest.raises(ConfigError, match=r"'gausians'. Did you mean 'gaussians'.*gausians.py"):
        load_recipe("gausians")


def test_a_recipe_that_returns_something_else(tmp_path: Path) -> None:
    (tmp_path / "game.py").write_text(
        "import nvn\nclass Config(nvn.Config): ...\ndef recipe(config): return 3\n"
    )
    source = load_recipe(str(tmp_path / "game.py"))
    with pytest.raises(ConfigError, match="returned int, not an nvn.Recipe"):
        source.build(source.config_class())


# --- neighbors ---

BARE = """
import nvn
from {how} import number
class Config(nvn.Config):
    n: int = number
def recipe(config):
    from {how} import late
    raise nvn.DataError(str(late))
"""


def with_common(folder: Path, number: int, how: str = "common") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "common.py").write_text("from deeper import number\nlate = number\n")
    (folder / "deeper.py").write_text(f"number = {number}\n")
    (folder / "game.py").write_text(BARE.format(how=how))
    return folder / "game.py"


@pytest.mark.parametrize("how", ["common", ".common"])
def test_a_neighbor_is_imported_by_its_bare_name_and_relatively(tmp_path: Path, how: str) -> None:
    source = load_recipe(str(with_common(tmp_path, 3, how)))
    assert source.config_class().model_dump() == {"n": 3}
    assert "common" not in sys.modules
    assert "deeper" not in sys.modules


def test_two_folders_have_a_neighbor_of_one_name_each(tmp_path: Path) -> None:
    sources = [load_recipe(str(with_common(tmp_path / str(n), n))) for n in (1, 2)]
    assert [source.config_class().model_dump()["n"] for source in sources] == [1, 2]
    for source, late in zip(sources, "12", strict=True):  # imports made later, too
        with pytest.raises(DataError, match=late):
            source.build(source.config_class())


def test_both_ways_are_one_module(tmp_path: Path) -> None:
    path = with_common(tmp_path, 1)
    path.write_text(
        "import nvn, common, inside.part, loose.part as p\nfrom . import common as relative\n"
        "assert common is relative and inside.part.common is common and p.common is common\n"
        "import random, torch\nassert random.random and torch.nn\n"
        "class Config(nvn.Config): ...\ndef recipe(config): ...\n"
    )
    for name in ("inside", "loose"):  # the second has no __init__.py
        (tmp_path / name).mkdir()
        (tmp_path / name / "part.py").write_text("import common\n")
    (tmp_path / "inside" / "__init__.py").write_text("")
    for name in ("torch", "nvn"):  # a checkout of something lies beside it
        (tmp_path / name).mkdir()
    (tmp_path / "nvn" / "__init__.py").write_text("raise AssertionError")
    load_recipe(str(path))


# --- what a recipe function takes ---

NO_SETTINGS = """
import nvn, torch
from tests.tiny import tiny
def recipe():
    return tiny()
"""


def test_a_recipe_without_settings(tmp_path: Path) -> None:
    (tmp_path / "game.py").write_text(NO_SETTINGS)
    source = load_recipe(str(tmp_path / "game.py"))
    config = source.config_class.build()
    assert source.build(config).name == "tiny"
    assert not yaml.safe_load(source.files(config)["config.yaml"])
    with pytest.raises(ConfigError, match="no setting 'a'. Settings: none"):
        source.config_class.build(settings={"a": 1})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("", r"recipe\(\) has no argument, so the settings in Config would change nothing"),
        ("a, b", r"recipe\(a, b\) cannot be called as recipe\(config\): .*'b'"),
        ("*, a", "cannot be called as recipe"),
    ],
)
def test_a_recipe_that_takes_something_else(tmp_path: Path, arguments: str, message: str) -> None:
    settings = "class Config(nvn.Config):\n    a: int = 1\n"
    (tmp_path / "game.py").write_text(f"import nvn\n{settings}def recipe({arguments}): ...\n")
    with pytest.raises(ConfigError, match=message):
        load_recipe(str(tmp_path / "game.py"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes")
def test_what_is_no_regular_file_is_no_recipe(folder: Path) -> None:
    """Reading a pipe would never end, nor would a device."""
    os.mkfifo(folder / "pipe.py")
    (folder / "zero.py").symlink_to("/dev/zero")
    (folder / "gone.py").symlink_to("nowhere.py")
    for name in ("pipe.py", "zero.py"):
        with pytest.raises(ConfigError, match=f"{name} is no regular file"):
            load_recipe(str(folder / name))
    with pytest.raises(ConfigError, match=r"there is no recipe file .*gone.py\."):
        load_recipe(str(folder / "gone.py"))
    with pytest.raises(ConfigError, match=r"is a folder.* Recipes in it: .*game.py$"):
        load_recipe(str(folder))
