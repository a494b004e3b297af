"""`nvn new`: what it writes runs at once, and its own test passes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.cli.conftest import Command


def size_of(path: str) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


@pytest.fixture
def pictures(nvn: Command) -> Path:  # (in its folder)
    folder = Path("my NAMED 'FILE' pictures")
    folder.mkdir()
    for number in range(40):
        Image.new("RGB", (20 + number, 30), (5 * number, 100, 40)).save(folder / f"{number}.png")
    return folder


def passes(test: str) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_a_recipe_on_generated_data_runs_and_samples(nvn: Command) -> None:
    code, said, _ = nvn("new", "mine")
    assert code == 0
    assert "train it: nvn run mine.py" in said
    code, said, error = nvn("run", "mine.py", "--max-steps", 2, "--out", "run")
    assert code == 0, error
    assert nvn("sample", "run", "-n", 20, "--out", "made.png")[0] == 0
    assert size_of("made.png") == (400, 400)
    text = Path("mine.py").read_text()
    assert 'name="mine"' in text
    assert not {"NAME", "FILE", "TITLE"} & {*text.replace("/", " ").replace('"', " ").split()}
    passes("test_mine.py")


def test_a_recipe_on_a_folder_of_pictures(nvn: Command, pictures: Path) -> None:
    assert nvn("new", "faces", "--pictures", pictures)[0] == 0
    assert str(pictures) in Path("faces.py").read_text()
    small = ["--set", "size=8", "--set", "width=2", "--set", "batch=4"]
    code, _, error = nvn("run", "faces.py", "--max-steps", 2, "--out", "run", *small)
    assert code == 0, error
    assert nvn("sample", "run", "-n", 5, "--out", "made")[0] == 0
    assert len([*Path("made").glob("*.png")]) == 5
    assert size_of("made/00001.png") == (8, 8)
    code, _, error = nvn("check", "faces.py", "--set", "size=20")
    assert code == 1
    assert "size = 20: expected 8, 16, 32" in error
    passes("test_faces.py")


@pytest.mark.parametrize("base", ["gaussians", "game.py"])
def test_a_variant_of_another_recipe(nvn: Command, base: str) -> None:
    assert nvn("new", "variant", "--from", base)[0] == 0
    code, said, error = nvn("run", "variant.py", "--max-steps", 2, "--out", "run")
    assert code == 0, error
    assert "variant: " in said
    assert f"{Path(base).stem}, changed." in Path("variant.py").read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["my-own"], "'my-own' is no name for a Python file"),
        (["class"], "'class' is no name"),
        (["game"], "game.py: there already, and nothing is overwritten"),
        (["a", "--from", "gausians"], "Did you mean 'gaussians'?"),
        (["a", "--from", "game.py", "--pictures", "."], "give one of them"),
        (["a", "--pictures", "nowhere"], "nowhere"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_written(
    nvn: Command, arguments: list[str], said: str
) -> None:
    before = {*Path().iterdir()}
    code, _, error = nvn("new", *arguments)
    assert code == 1
    assert said in error
    assert {*Path().iterdir()} == before


def test_a_recipe_on_a_few_pictures_runs_at_once(nvn: Command, pictures: Path) -> None:
    for path in [*pictures.iterdir()][3:]:
        path.unlink()
    assert nvn("new", "few", "--pictures", pictures)[0] == 0
    code, _, error = nvn("check", "few.py")
    assert code == 0, error
