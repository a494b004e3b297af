"""The command, run in this process: what it prints, what it leaves, how it ends."""

import ast
import json
import os
import sys
from pathlib import Path

import pytest
import yaml
from safetensors.torch import load_file

from nvn.training.hooks import hook
from nvn.training.reporter import Reporter
from nvn.training.starting import train
from nvn.training.trained import trained
from tests.cli.conftest import Command
from tests.tiny import FILE, NEIGHBOR, tiny

ROOT = Path(__file__).parents[2]


# --- run ---


def test_run_leaves_a_complete_folder(nvn: Command) -> None:
    code, said, error = nvn("run", "game.py", "--accelerator", "cpu")
    assert (code, error) == (0, "")
    (folder,) = Path("runs/tiny").iterdir()
    assert "finished (steps: warmup 3, main 6;" in said
    assert f"results are in {folder}" in said
    assert (folder / "recipe.py").read_text() == FILE
    assert yaml.safe_load((folder / "config.yaml").read_text()) == {"steps": 6, "lr": 0.1}
    assert set(load_file(folder / "checkpoints" / "final" / "G.safetensors")) == {"by"}
    assert len((folder / "metrics.jsonl").read_text().splitlines()) == 3 + 6 + 3


def test_set_beats_config_beats_preset(nvn: Command) -> None:
    Path("mine.yaml").write_text("steps: 8\nlr: 0.3\n")
    code, _, _ = nvn(
        *("run", "game.py", "--preset", "long", "--config", "mine.yaml", "--set", "lr=0.2"),
        *("--out", "here"),
    )
    assert code == 0
    assert yaml.safe_load(Path("here/config.yaml").read_text()) == {"steps": 8, "lr": 0.2}


def test_the_seed_is_kept_and_decides(nvn: Command) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert nvn("run", "game.py", "--seed", seed, "--out", name)[0] == 0
    first, same, other = (Path(name, "metrics.jsonl").read_text() for name in "abc")
    assert first == same != other
    assert yaml.safe_load(Path("c/run.yaml").read_text())["seed"] == 2


def test_limits(nvn: Command) -> None:
    assert nvn("run", "game.py", "--max-steps", 2, "--out", "a")[0] == 0
    steps = [json.loads(line) for line in Path("a/metrics.jsonl").read_text().splitlines()]
    assert [s["step"] for s in steps if "evaluation" not in s] == [1, 2, 1, 2]
    code, said, _ = nvn("run", "game.py", "--set", "steps=100000000", "--max-time", "4s")
    assert code == 0
    assert "out of time: the weights so far are saved" in said


def test_who_pulls_is_looked_at_as_often_as_wanted(nvn: Command) -> None:
    for every, steps in (("2", [2, 2, 4, 6]), ("off", [])):
        assert nvn("run", "game.py", "--pulls-every", every, "--out", every)[0] == 0
        lines = map(json.loads, Path(every, "metrics.jsonl").read_text().splitlines())
        assert [line["step"] for line in lines if "pulls" in line] == steps
    code, _, said = nvn("run", "game.py", "--pulls-every", "0", "--out", "none")
    assert code == 1
    assert said == (
        'error: pulls_every = 0: expected a number of steps from 1 on, "auto" or "off"\n'
    )
    assert nvn("resume", "2", "--more-steps", 2)[0] == 0
    lines = map(json.loads, Path("2", "metrics.jsonl").read_text().splitlines())
    assert [line["step"] for line in lines if "pulls" in line] == [2, 2, 4, 6, 8]


def test_a_run_can_be_watched(nvn: Command) -> None:
    code, said, _ = nvn("run", "game.py", "--watch", "--out", "a")
    assert code == 0
    assert "to watch it: http://127.0.0.1:" in said
    assert "to watch it" in nvn("resume", "a", "--more-steps", 2, "--watch")[1]
    assert "to watch it" not in nvn("run", "game.py", "--out", "b")[1]


def test_double_precision(nvn: Command) -> None:
    assert nvn("run", "game.py", "--precision", "64-true", "--out", "a")[0] == 0
    G = load_file("a/checkpoints/final/G.safetensors")
    assert str(G["by"].dtype) == "torch.float64"


# --- what goes wrong ---


@pytest.mark.parametrize(
    ("arguments", "messages"),
    [
        (["gmae.py"], ["there is no recipe file gmae.py. Did you mean 'game.py'?"]),
        (["nothing"], ["there is no installed recipe 'nothing'", "gaussians"]),
        (["game.py", "--preset", "logn"], ["no preset 'logn'. Did you mean 'long'?"]),
        (["game.py", "--preset", "wrong"], ["no setting 'stesp'. Did you mean 'steps'?"]),
        (["game.py", "--set", "stesp=3"], ["no setting 'stesp'. Did you mean 'steps'?"]),
        (["game.py", "--set", "steps"], ["--set steps: expected name=value"]),
        (["game.py", "--set", "lr=-1", "--set", "steps=x"], ["lr = -1", "steps = 'x'"]),
        (["game.py", "--set", "steps=true"], ["steps = True: Input should not be true or false"]),
        (["game.py", "--set", "lr=false"], ["lr = False: Input should not be true or false"]),
        (["game.py", "--config", "none.yaml"], ["cannot read none.yaml: No such file"]),
        (["game.py", "--max-time", "soon"], ["--max-time soon: expected seconds"]),
        (["game.py", "--devices", "two"], ["--devices two: expected how many, or auto"]),
        (
            ["game.py", "--devices", "9999", "--accelerator", "cpu"],
            ["--devices 9999: this machine"],
        ),
        (["game.py", "--num-nodes", "2"], ["--num-nodes 2", "MASTER_ADDR"]),
        (["game.py", "--strategy", "fsdp"], ["--strategy fsdp", "places every player whole"]),
        (["game.py", "--precision", "16-mixed"], ["--precision 16-mixed", "bf16-mixed"]),
        (["game.py", "--accelerator", "abacus"], ["--accelerator abacus"]),
        (["game.py", "--out", "game.py/run"], ["cannot create game.py/run: Not a directory"]),
        (["game.py", "--out", "."], [". is not empty"]),
    ],
)
def test_what_is_foreseen_is_one_message(
    nvn: Command, arguments: list[str], messages: list[str]
) -> None:
    code, _, error = nvn("run", *arguments)
    assert code == 1
    assert error.startswith("error: ")
    assert "Traceback" not in error
    assert all(message in error for message in messages), error
    assert not Path("runs").exists()


def test_a_recipe_with_a_syntax_error(nvn: Command) -> None:
    Path("game.py").write_text("def recipe(config:\n    pass\n")
    code, _, error = nvn("run", "game.py")
    assert code == 1
    assert "game.py, line 1:" in error
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("import nothing_of_this_name", "the package nothing_of_this_name is needed, and is not"),
        ("from nothing_of_this_name.a import b", "the package nothing_of_this_name is needed"),
        ("import sklearn_.svm", "the package sklearn_ is needed"),
        ("import json.decodr", "the package json, which is installed, has no module json.decodr"),
        ("from .neighbro import x", "neighbro.py to import. Did you mean 'neighbor'?"),
        ("import importlib; importlib.import_module('not_there')", "the package not_there is"),
    ],
)
def test_a_package_that_is_missing_is_one_error(nvn: Command, line: str, said: str) -> None:
    late = FILE.replace("-> nvn.Recipe:\n", f"-> nvn.Recipe:\n    {line}\n")
    assert late != FILE
    early = FILE.replace("import nvn\n", f"import nvn\n{line}\n")  # after that of __future__
    for text in (early, late):
        Path("other.py").write_text(text)
        code, _, error = nvn("check", "other.py")
        assert code == 1
        assert "Traceback" not in error
        assert error.count("error") == 1
        number = [row.strip() for row in text.splitlines()].index(line) + 1
        assert error.startswith(f"error: other.py, line {number}: "), error
        assert said in error


def test_an_extra_that_is_missing_is_told_with_how_to_install_it(
    nvn: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torchmetrics", None)
    Path("other.py").write_text(FILE.replace("import nvn\n", "import nvn\nimport torchmetrics\n"))
    _, _, error = nvn("check", "other.py")
    assert f'pip install -e ".[recipes]" in {ROOT}' in error


def test_a_folder_that_is_not_writable(nvn: Command) -> None:
    code, _, error = nvn("run", "game.py", "--out", "/proc/run")
    assert code == 1
    assert error.startswith("error: cannot create /proc/run")


def test_usage_errors_are_typers(nvn: Command) -> None:
    assert nvn("run")[0] == 2
    assert nvn("run", "game.py", "--sede", "3")[0] == 2
    code, _, error = nvn("run", "game.py", "--seed", 10**23)
    assert code == 2
    assert "--seed" in error


def test_help_says_where_a_run_goes(nvn: Command) -> None:
    assert "runs/RECIPE/TIME" in nvn("run", "--help")[1]


# --- the other verbs ---


def test_check_finds_nothing(nvn: Command) -> None:
    code, said, _ = nvn("check", "game.py")
    assert (code, said) == (0, "game: no problems\n")
    assert not Path("runs").exists()


def test_check_tries_what_comes_late(nvn: Command) -> None:
    late = FILE.replace("made(config)", "made(config).replace(previews=[nvn.Preview('p', draw)])")
    Path("late.py").write_text(late + "\ndef draw(engine):\n    return engine.modlues\n")
    code, _, error = nvn("check", "late.py")
    assert code == 1
    assert error.startswith("error: recipe 'tiny': 1 problem:\n  preview 'p': AttributeError:")
    assert "late.py, line 28)" in error


BROKEN = """
import nvn, torch
from torch import nn

class Config(nvn.Config):
    pass

def recipe(config):
    game = nvn.Game("broken")
    x = game.batch("x")
    G, D = game.player("G", nn.Linear(3, 3)), game.player("D", nn.Linear(3, 3))
    G.minimizes(nvn.energy(torch.mean)(D(x)))
    return nvn.Recipe(name="broken", game=game, schedule=nvn.alternating(D),
                      optimizers=torch.optim.SGD, data=[], steps=1)
"""


def test_check_reports_every_problem(nvn: Command) -> None:
    Path("broken.py").write_text(BROKEN)
    code, _, error = nvn("check", "broken.py")
    assert code == 1
    assert "problems with the game 'broken'" in error
    assert "1. " in error
    assert "2. " in error
    assert "Traceback" not in error


def test_check_says_what_the_readme_says(nvn: Command) -> None:
    """Of gaussians, with G's objective forgotten and D called with the noise."""
    recipe = (ROOT / "recipes" / "gaussians.py").read_text()
    forgotten = recipe.replace("    G.minimizes(adv.fool(D(fake)))\n", "")
    wrong = forgotten.replace("adv.fake(D(fake))", "adv.fake(D(noise))")
    assert len(recipe) > len(forgotten) != len(wrong)
    Path("ring.py").write_text(wrong)
    code, _, error = nvn("check", "ring.py")
    assert code == 1
    assert "`G` has no objective" in error
    assert "add `G.minimizes(…)`" in error
    assert "`D(noise)` fails: " in error


def test_graph_as_text_and_as_mermaid(nvn: Command) -> None:
    code, said, _ = nvn("graph", "game.py")
    assert code == 0
    assert "G" in said
    assert "pull" in said
    code, said, _ = nvn("graph", "game.py", "--mermaid")
    assert code == 0
    assert said.startswith("flowchart")


def test_recipes_are_listed(nvn: Command) -> None:
    code, said, _ = nvn("recipes")
    assert code == 0
    assert "gaussians   " in said
    assert "expression_2v2   " in said


def test_the_settings_of_a_recipe(nvn: Command) -> None:
    code, said, _ = nvn("recipes", "game.py")
    assert code == 0
    assert "learning rate" in said
    assert "--preset long: steps=9" in said


def test_version(nvn: Command) -> None:
    code, said, _ = nvn("--version")
    assert (code, said[:4]) == (0, "nvn ")


# --- plan and graph ---


def test_plan_explains_the_game(nvn: Command) -> None:
    code, said, error = nvn("plan", "game.py")
    assert (code, error) == (0, "")
    assert said.startswith("tiny: D → G\n")
    assert "1. D (takes a new batch)" in said
    assert "every move from scratch" in said
    assert max(map(len, said.splitlines())) <= 80


def test_plan_explains_a_phase(nvn: Command) -> None:
    assert nvn("plan", "game.py", "--phase", "warmup")[1].startswith("tiny: G\n")
    code, _, error = nvn("plan", "game.py", "--phase", "warmpu")
    assert code == 1
    assert "no phase 'warmpu'. Did you mean 'warmup'? Phases: warmup, main" in error


def test_a_plan_as_source_is_the_loop(nvn: Command) -> None:
    code, said, error = nvn("plan", "game.py", "--source")
    assert code == 0, error
    ast.parse(said)
    assert said.startswith("def iteration(run):\n    # ")
    assert nvn("plan", "game.py", "--source", "--phase", "warmpu")[0] == 1


def test_a_loop_is_ejected_to_a_file_of_its_own(nvn: Command) -> None:
    code, said, error = nvn("eject", "game.py", "--out", "loop.py")
    assert (code, said) == (0, "loop: loop.py\n"), error
    assert "def train_step(" in Path("loop.py").read_text()
    Path("loop.py").write_text("mine")
    code, _, error = nvn("eject", "game.py", "--out", "loop.py")
    assert code == 1
    assert error.startswith("error: loop.py is there already")
    assert Path("loop.py").read_text() == "mine"
    assert nvn("eject", "game.py", "--out", "loop.py", "--overwrite", "--phase", "warmup")[0] == 0
    assert "def train_step(" in Path("loop.py").read_text()


def test_a_plan_as_json_is_json_alone(nvn: Command) -> None:
    found = json.loads(nvn("plan", "game.py", "--json")[1])
    assert found["counts"]["G"]["forward"] == 1  # D sees the same G(x) that G then learns from
    assert found["costs"]["planned"]["peak_bytes"] > 0
    assert "step G" in found["instructions"]


def test_graph_draws_a_picture(nvn: Command) -> None:
    code, said, error = nvn("graph", "game.py", "--svg", "game.svg")
    assert (code, said, error) == (0, "picture: game.svg\n", "")
    assert Path("game.svg").read_text().startswith("<svg ")
    code, _, error = nvn("graph", "game.py", "--svg", "nowhere/game.svg")
    assert code == 1
    assert "nowhere" in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--svg", "game.png"], "--svg game.png: an SVG picture is written, so its name must"),
        (["--svg", ""], "must end in .svg: --svg game.svg"),
        (["--svg", "/"], "must end in .svg: --svg game.svg"),
        (["--svg", "."], "must end in .svg: --svg game.svg"),
        (["--svg", "folder.svg"], "cannot write folder.svg: it is a folder"),
        (["--svg", "game.svg", "--mermaid"], "--svg and --mermaid: give one of them"),
        (["--svg", f"{'a' * 5000}.svg"], "File name too long"),
    ],
)
def test_a_picture_that_cannot_be_written_so_is_one_error(
    nvn: Command, arguments: list[str], message: str
) -> None:
    Path("folder.svg").mkdir()
    code, _, error = nvn("graph", "game.py", *arguments)
    assert code == 1
    assert error.startswith("error: ")
    assert message in error
    assert "Traceback" not in error
    assert not Path("game.png").exists()


LONG = "a" * 5000


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", LONG), ("run", f"{LONG}.py"), ("resume", LONG), ("sweep", LONG),
        ("resume", f"runs/{LONG}/b"), ("apply", LONG, "game.py", "--out", "y"),
        ("run", "game.py", "--out", LONG), ("run", "game.py", "--config", LONG),
        ("eject", "game.py", "--out", LONG),
    ],
)  # fmt: skip
def test_a_name_that_is_too_long_is_one_error(nvn: Command, arguments: tuple[str, ...]) -> None:
    code, _, error = nvn(*arguments)
    assert code == 1
    assert error.startswith("error: ")
    assert "File name too long" in error or "there are no pictures" in error


# --- what was probably meant ---


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], "no command 'trian'. Did you mean 'run'?"),
        (["chekc"], "Did you mean 'check'?"),
        (["xyz"], "no command 'xyz'. Commands: run, resume"),
        (["run", "game.py", "--lr", "1"], "given as --set lr=1."),
        (["run", "game.py", "--lr=1"], "given as --set lr=1."),
        (["sweep", "game.py", "--lr"], "given as --set lr=…."),
        (["run", "game.py", "--sede", "3"], "(Possible options: --seed, --set)"),
    ],
)
def test_what_is_not_understood_gets_what_was_meant(
    nvn: Command, arguments: list[str], message: str
) -> None:
    code, _, error = nvn(*arguments)
    assert code == 2
    assert message in " ".join(error.replace("│", " ").split())


def test_a_folder_is_no_recipe(nvn: Command) -> None:
    for folder in (".", "", "sub/.."):
        Path("sub").mkdir(exist_ok=True)
        code, _, error = nvn("run", folder)
        assert code == 1
        assert "is a folder; a recipe is a file. Recipes in it: " in error
        assert "game.py" in error
    Path("gaussians").mkdir()  # beside it, an installed recipe is found all the same
    assert nvn("check", "gaussians")[0] == 0


# --- names and texts that are not UTF-8 ---


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere, names are UTF-8")
def test_a_recipe_and_its_folder_may_be_in_any_encoding(nvn: Command) -> None:
    folder = Path("caf\udce9")
    folder.mkdir()
    text = f"# coding: latin-1\r\n{FILE}\nE_ACUTE = '\xe9'\n".encode("latin-1")
    (folder / "game.py").write_bytes(text)
    (folder / "neighbor.py").write_text(NEIGHBOR)
    assert nvn("run", folder / "game.py", "--out", folder / "run")[0] == 0
    assert (folder / "run" / "recipe.py").read_bytes() == text
    code, said, error = nvn("resume", folder / "run", "--more-steps", 1)
    assert (code, error) == (0, "")
    assert "main 7" in said
    code, _, error = nvn("apply", folder / "run", "game.py", "--out", "y")
    assert "there are no pictures" in error or "no application" in error
    assert trained(folder / "run").engine.modules["G"] is not None


def test_a_deleted_folder_is_one_error(nvn: Command) -> None:
    Path("gone").mkdir()
    os.chdir("gone")
    Path("../gone").rmdir()
    code, _, error = nvn("graph", "gaussians")
    assert code == 1
    assert error.startswith("error: the current folder cannot be read (No such file")


def test_a_folder_that_is_deleted_meanwhile_costs_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")

    class Deleted:
        @hook
        def phase_started(self) -> None:
            (tmp_path / "gone").rmdir() if (tmp_path / "gone").exists() else None

    train(tiny(), out=tmp_path / "run", plugins=[Reporter(), Deleted()])
    assert f"results are in {tmp_path / 'run'}" in capsys.readouterr().out


def test_a_player_to_compile_must_be_there(nvn: Command) -> None:
    code, _, error = nvn("run", "game.py", "--compile", "Gn")
    assert code == 1
    assert "compile: there is no player 'Gn'. Did you mean 'G'? Players: G, D" in error
