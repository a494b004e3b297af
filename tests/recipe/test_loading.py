import shutil
from pathlib import Path

import pytest
import yaml

from nvn.errors import ConfigError
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
