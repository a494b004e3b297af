"""`nvn sample`: pictures from noise, the same for the same seed."""

from pathlib import Path

import pytest
from PIL import Image

import nvn as package
from nvn.errors import ConfigError
from tests.cli.conftest import Command
from tests.tiny import tiny


def size_of(path: str) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


@pytest.fixture
def run(nvn: Command) -> str:
    nvn("run", "gaussians", "--max-steps", 2, "--accelerator", "cpu", "--out", "run")
    return "run"


def test_the_same_seed_makes_the_same(nvn: Command, run: str) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        code, said, _ = nvn("sample", run, "-n", 50, "--out", f"{name}.png", "--seed", seed)
        assert code == 0
        assert f"samples: {name}.png" in said
    first, same, other = (Path(f"{name}.png").read_bytes() for name in "abc")
    assert first == same != other
    assert size_of("a.png") == (480, 480)


def test_what_is_there_is_not_overwritten(nvn: Command, run: str) -> None:
    Path("there.png").write_text("mine")
    code, _, error = nvn("sample", run, "--out", "there.png")
    assert code == 1
    assert "is there already" in error
    assert "written as PNG" in nvn("sample", run, "--out", "there.jpg")[2]


def test_a_game_that_does_not_say_how(tmp_path: Path) -> None:
    recipe = tiny()
    done = package.train(recipe, out=tmp_path / "run")
    game = package.trained(done.folder, recipe=recipe)
    with pytest.raises(ConfigError, match=r"pass sampling=nvn\.Sampling\(fn\)"):
        game.sample(3)


def test_a_list_and_a_picture(tmp_path: Path) -> None:
    def made(engine: package.Engine, count: int) -> list[Image.Image]:
        assert not engine.modules["G"].training
        return [Image.new("L", (4, 4), n) for n in range(count)]

    recipe = tiny(sampling=package.Sampling(made))
    done = package.train(recipe, out=tmp_path / "run")
    game = package.trained(done.folder, recipe=recipe)
    assert len(game.sample(3)) == 3
    with pytest.raises(ConfigError, match="expected at least 1"):
        game.sample(0)
    wrong = tiny(sampling=package.Sampling(lambda engine, count: [1]))  # type: ignore[list-item,return-value]
    with pytest.raises(package.RunError, match="sampling returned int"):
        package.trained(done.folder, recipe=wrong).sample(1)
    with pytest.raises(ConfigError, match=r"sampling: found int, expected nvn\.Sampling"):
        tiny(sampling=3)
