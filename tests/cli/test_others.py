"""What other packages and files bring to the command: plugins, recipes, commands."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.tiny import FILE, NEIGHBOR

PLUGIN = """
import nvn

class Shout:
    @nvn.plugins.hook
    def run_finished(self, run):
        with open("shouted", "a") as file:
            file.write(f"{run.outcome}!")

    @nvn.plugins.hook
    def evaluations(self):
        return [nvn.Evaluation("loud", lambda engine: {"how": 11.0})]

def plugin():
    return Shout()
"""
COMMAND = '''
"""A command."""
import typer

def shout(what: str, loud: bool = False) -> None:
    """Say something, loudly."""
    from nvn.errors import ConfigError
    if what == "nothing":
        raise ConfigError("nothing to shout")
    print(what.upper() + "!" * loud)
'''
ENTRIES = """
[nvn.commands]
shout = others_nvn.commands:shout
broken = others_nvn.missing:shout

[nvn.recipes]
loud = others_nvn.game
gaussians = others_nvn.game
gone = others_nvn.nothing
"""


@pytest.fixture
def others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package with a recipe and a command."""
    site = tmp_path / "site"
    package, about = site / "others_nvn", site / "others_nvn-1.0.dist-info"
    package.mkdir(parents=True)
    about.mkdir()
    for name, text in (
        ("__init__", ""), ("commands", COMMAND), ("game", FILE), ("neighbor", NEIGHBOR)
    ):  # fmt: skip
        (package / f"{name}.py").write_text(text)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: others-nvn\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(ENTRIES)
    monkeypatch.syspath_prepend(site)
    return site


def test_a_plugin_of_ones_own_is_used_and_goes_on_with_the_run(nvn: Command) -> None:
    Path("shout.py").write_text(PLUGIN)
    assert nvn("run", "game.py", "--plugin", "shout.py", "--out", "here")[0] == 0
    assert Path("shouted").read_text() == "finished!"
    code, said, _ = nvn("resume", "here", "--more-steps", 2)
    assert code == 0
    assert f"plugin: {Path('shout.py').resolve()}" in said
    assert "loud" in said
    assert Path("shouted").read_text() == "finished!finished!"


def test_a_run_finds_its_plugin_from_another_folder(
    nvn: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("shout.py").write_text(PLUGIN)
    assert nvn("run", "game.py", "--plugin", "shout.py", "--out", "here")[0] == 0
    code, _, error = nvn(
        "run", "game.py", "--plugin", "shout.py", "--out", "here", "--resume", "auto"
    )
    assert code == 0, error
    Path("elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    assert nvn("resume", "../here", "--more-steps", 1)[0] == 0
    assert Path("shouted").read_text() == "finished!"


def test_a_plugin_in_the_folder_of_a_run_is_not_run_without_trust(nvn: Command) -> None:
    Path("shout.py").write_text(PLUGIN)
    assert nvn("run", "game.py", "--plugin", "shout.py", "--out", "here")[0] == 0
    about, inside = Path("here/run.yaml"), Path("here/evil.py")
    inside.write_text('__import__("pathlib").Path("was run").touch()\n' + PLUGIN)
    outside = str(Path("shout.py").resolve())
    about.write_text(about.read_text().replace(f"- {outside}\n", f"- {inside.resolve()}\n"))
    code, _, error = nvn("resume", "here", "--more-steps", 1)
    assert code == 1
    assert f"the plugin that the run here names, {inside.resolve()}, lies in that folder" in error
    assert not Path("was run").exists()
    assert nvn("resume", "here", "--more-steps", 1, "--trust")[0] == 0


def test_a_package_that_cannot_be_imported_keeps_nothing_else_from_working(
    nvn: Command, others: Path
) -> None:
    (others / "others_nvn" / "__init__.py").write_text('raise SystemExit("rude")')
    code, said, error = nvn("recipes")
    assert code == 0, error
    assert "gaussians" in said
    assert nvn("check", "game.py")[0] == 0
    assert nvn("--help")[0] == 0
    code, _, error = nvn("run", "gone")
    assert code == 1
    assert "the installed recipe 'gone' is to be the module others_nvn.nothing" in error


def test_resume_auto_knows_a_run_by_its_plugins(nvn: Command) -> None:
    Path("shout.py").write_text(PLUGIN)
    assert nvn("run", "game.py", "--plugin", "shout.py", "--out", "here")[0] == 0
    code, _, error = nvn("run", "game.py", "--out", "here", "--resume", "auto")
    assert code == 1
    assert "plugins = []" in error


@pytest.mark.parametrize("verb", ["check", "plan", "graph"])
def test_looking_knows_plugins(nvn: Command, verb: str) -> None:
    Path("more.py").write_text(
        "import nvn\n@nvn.plugins.hook\ndef energies(game):\n"
        "    x, more = game.batch('x'), nvn.energy(lambda x: x.mean(), name='more')\n"
        "    return {'G': more(game.players['G'](x)), 'D': more(game.players['G'](x))}\n"
    )
    code, said, error = nvn(verb, "game.py", "--plugin", "more.py")
    assert code == 0, error
    assert verb != "graph" or "more(G(x))" in said
    assert "there is no such file" in nvn(verb, "game.py", "--plugin", "mere.py")[2]


def test_a_recipe_of_another_package_is_found_by_name(
    nvn: Command,
    others: Path,
) -> None:
    said = nvn("recipes")[1]
    assert "loud   " in said
    assert "A tiny game, for the tests of the command." in said
    assert "gone" not in said
    code, _, error = nvn("run", "loud", "--max-steps", 1, "--out", "here")
    assert code == 0, error
    assert "origin: loud" in Path("here/run.yaml").read_text()
    assert nvn("resume", "here", "--more-steps", 1)[0] == 0
    assert "others_nvn.game" in sys.modules
    assert "Ring" not in said  # nvn's own gaussians is the one of that name
    assert said.count("gaussians") == 1


def test_a_command_of_another_package(nvn: Command, others: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(others), *sys.path])}

    def run(*arguments: str) -> tuple[int, str, str]:
        done = subprocess.run(
            [sys.executable, "-m", "nvn", *arguments],
            capture_output=True, text=True, env=environment,
        )  # fmt: skip
        return done.returncode, done.stdout, done.stderr

    code, said, _ = run("--help")
    assert code == 0
    assert "Say something, loudly." in said
    assert "cannot be loaded" in said
    assert run("shout", "hello", "--loud") == (0, "HELLO!\n", "")
    code, _, error = run("shout", "nothing")
    assert (code, error) == (1, "error: nothing to shout\n")
    code, _, error = run("broken")
    assert code == 1
    assert error.startswith("error: the command broken (others_nvn.missing:shout) cannot be loaded")
    assert "Did you mean 'shout'?" in run("shuot")[2]


@pytest.mark.parametrize("typed", ["nvn re", "nvn run gauss"])
def test_the_shell_completes_commands_and_recipes(typed: str) -> None:
    environment = {
        **os.environ,
        "_NVN_COMPLETE": "complete_bash",
        "COMP_WORDS": typed,
        "COMP_CWORD": str(typed.count(" ")),
    }
    code = "import sys; sys.argv = ['nvn']; from nvn.cli import main; main(); "
    code = f"import atexit, sys; {code}"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment
    )
    assert ("recipes" if typed == "nvn re" else "gaussians") in done.stdout.split(), done
