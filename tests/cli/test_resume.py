"""`nvn resume`, and `nvn run --resume auto`, as a person and a scheduler use them."""

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from safetensors.torch import load_file

from tests.cli.conftest import Command
from tests.processes import NVN, end_of, until

RECIPE = '''
"""A line."""
from functools import partial

import torch

import nvn
from nvn import energies as en

from .inputs import INPUTS


class Config(nvn.Config):
    steps: int = 40
    slope: float = 2.0


def look(engine: nvn.Engine) -> dict[str, float]:
    return {"slope": engine.modules["f"][0].weight.abs().sum().item()}


def recipe(config: Config) -> nvn.Recipe:
    game = nvn.Game("line")
    x, y = game.batch("x", "y")
    f = game.player("f", torch.nn.Sequential(torch.nn.Linear(1, 4), torch.nn.Linear(4, 1)))
    f.minimizes(en.mse(f(x), y))
    return nvn.Recipe(
        name="line", game=game, schedule=nvn.alternating(f),
        optimizers=partial(torch.optim.Adam, lr=0.01), steps=config.steps,
        data=nvn.data.TensorBatches({"x": INPUTS, "y": config.slope * INPUTS}, batch_size=4),
        evaluations=[nvn.Evaluation("line", look, every=10)],
    )
'''
INPUTS = "import torch\n\nINPUTS = torch.linspace(-1.0, 1.0, 16)[:, None]\n"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "line.py").write_text(RECIPE)
    (tmp_path / "inputs.py").write_text(INPUTS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


@pytest.fixture
def nvn(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(monkeypatch, capsys)


def about(folder: Path) -> dict[str, Any]:
    return dict(yaml.safe_load((folder / "run.yaml").read_text()))


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def weights(folder: Path) -> dict[str, list[float]]:
    state = load_file(folder / "checkpoints" / "final" / "f.safetensors")
    return {name: tensor.flatten().tolist() for name, tensor in state.items()}


def test_a_run_that_is_shorter_goes_on_to_the_whole(place: Path, nvn: Command) -> None:
    assert nvn("run", "line.py", "--out", "whole")[0] == 0
    assert nvn("run", "line.py", "--out", "part", "--max-time", "1ms")[0] == 1  # no such unit
    code, said, error = nvn("run", "line.py", "--out", "part", "--set", "steps=25")
    assert (code, error) == (0, "")
    code, said, error = nvn("resume", "part")
    assert code == 1
    assert "the run part has finished; with --more-steps N it goes on" in error
    code, said, error = nvn("resume", "part", "--more-steps", "15")
    assert (code, error) == (0, "")
    assert f"recipe: {place / 'line.py'}" in said
    assert "going on from main-0000025" in said
    assert lines(place / "whole") == lines(place / "part")
    assert weights(place / "whole") == weights(place / "part")
    assert [part["why"] for part in about(place / "part")["parts"]] == ["finished", "finished"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGUSR1])
def test_a_job_that_is_requeued_needs_one_command(
    place: Path, nvn: Command, number: signal.Signals
) -> None:
    command = ["run", "line.py", "--set", "steps=2000", "--resume", "auto", "--save-every", "50"]
    process = subprocess.Popen(
        [*NVN, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    until(lambda: [*Path("runs/line").glob("*/checkpoints/main-*/manifest.json")], process)
    process.send_signal(number)
    code, _, _ = end_of(process)
    assert code == (-9 if number is signal.SIGKILL else 75)
    code, said, error = nvn(*command)
    assert (code, error) == (0, "")
    assert "going on from main-" in said
    [run] = Path("runs/line").iterdir()
    assert about(run)["outcome"] == "finished"
    assert len(about(run)["parts"]) == 2
    assert nvn("run", "line.py", "--set", "steps=2000", "--out", "whole")[0] == 0
    assert lines(run) == lines(Path("whole"))
    assert weights(run) == weights(Path("whole"))


def test_with_a_folder_of_ones_own(place: Path, nvn: Command) -> None:
    command = ["run", "line.py", "--resume", "auto", "--out", "mine"]
    assert nvn(*command)[0] == 0
    assert nvn(*command)[0] == 0  # it has finished, and is left alone
    assert len(about(place / "mine")["parts"]) == 1
    code, _, error = nvn(*command, "--seed", "1")
    assert code == 1
    assert "seed = 1: it is 0 in mine" in error


def test_what_has_changed_is_shown_and_refused(place: Path, nvn: Command) -> None:
    assert nvn("run", "line.py", "--out", "part", "--max-steps", "20")[0] == 0
    before = {p: p.read_bytes() for p in (place / "part").rglob("*") if p.is_file()}

    (place / "line.py").write_text(RECIPE.replace("lr=0.01", "lr=0.1"))
    code, said, error = nvn("resume", "part", "--more-steps", "5")
    assert code == 1
    assert "line.py has changed since the run began" in error
    assert "-        optimizers=partial(torch.optim.Adam, lr=0.01)" in error
    assert "give --changed" in error
    (place / "line.py").write_text(RECIPE)

    (place / "inputs.py").write_text(INPUTS.replace("16", "17"))
    code, said, error = nvn("resume", "part", "--more-steps", "5")
    assert code == 1
    assert "inputs.py, which the recipe imports, has changed" in error
    (place / "inputs.py").write_text(INPUTS)

    code, said, error = nvn("resume", "part", "--more-steps", "5", "--set", "slope=3")
    assert code == 1
    assert "setting slope = 3.0: it was 2.0" in error
    assert before == {p: p.read_bytes() for p in (place / "part").rglob("*") if p.is_file()}

    more = ["--more-steps", "5", "--set", "slope=3", "--changed"]
    code, said, error = nvn("resume", "part", *more)
    assert (code, error) == (0, "")
    assert "setting slope = 3.0: it was 2.0" in said
    assert "slope: 3.0" in (place / "part" / "config.yaml").read_text()
    assert "slope: 2.0" in (place / "part" / "config.part1.yaml").read_text()


def test_code_that_has_changed_is_not_run_before_it_is_refused(place: Path, nvn: Command) -> None:
    assert nvn("run", "line.py", "--out", "part", "--max-steps", "2")[0] == 0
    (place / "line.py").write_text("raise SystemExit('run')\n" + RECIPE)
    code, _, error = nvn("resume", "part", "--more-steps", "5")
    assert code == 1
    assert "has changed since the run began" in error


def test_what_is_no_run(place: Path, nvn: Command) -> None:
    for folder in ("nowhere", "."):
        code, _, error = nvn("resume", folder)
        assert code == 1
        assert "there is no run" in error
        assert "Traceback" not in error


def test_a_second_process_is_refused(place: Path, nvn: Command) -> None:
    command = [*NVN, "run", "line.py", "--set", "steps=100000", "--out", "one"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until(lambda: Path("one/metrics.jsonl").exists() and Path("one/run.yaml").exists(), process)
    code, _, error = nvn("resume", "one")
    assert code == 1
    assert "another process is training in one" in error
    process.send_signal(signal.SIGINT)
    assert end_of(process)[0] == 130


def test_a_run_that_was_deterministic_goes_on_so(place: Path, nvn: Command) -> None:
    Path("line.py").write_text(
        RECIPE.replace(
            'return {"slope"',
            'return {"held": float(torch.are_deterministic_algorithms_enabled()), "slope"',
        )
    )
    run = ["run", "line.py", "--out", "run", "--deterministic", "--max-steps", "20"]
    assert nvn(*run)[0] == 0
    assert about(Path("run"))["deterministic"] is True
    assert nvn("resume", "run", "--more-steps", "20")[0] == 0
    looks = [line["metrics"] for line in lines(Path("run")) if "metrics" in line]
    held = [look["held"] for look in looks]
    assert len(held) == 4
    assert set(held) == {1.0}


GROUPS = """\
class Data(nvn.Config):
    slope: float = 2.0


class Config(nvn.Config):
    once_flat: ClassVar[bool] = True
    steps: int = 40
    data: Data = Data()
"""
FLAT = "class Config(nvn.Config):\n    steps: int = 40\n    slope: float = 2.0\n"
MOVED = "warning: settings have moved: slope is data.slope now\n"


@pytest.mark.filterwarnings("always")
def test_a_run_whose_settings_were_flat_goes_on(place: Path, nvn: Command) -> None:
    grouped = RECIPE.replace(FLAT, GROUPS).replace("config.slope", "config.data.slope")
    (place / "line.py").write_text(
        grouped.replace("from functools", "from typing import ClassVar\nfrom functools")
    )
    command = ("run", "line.py", "--set", "data.slope=3", "--out", "part")
    assert nvn(*command, "--max-steps", "2")[0] == 0
    kept = place / "part" / "config.yaml"
    assert "data:\n  slope: 3.0\n" in kept.read_text()
    kept.write_text("steps: 40\nslope: 3.0\n")  # as it was before there were groups

    code, said, error = nvn("resume", "part", "--more-steps", "2", "--set", "data.slope=4")
    assert code == 1
    assert "setting data.slope = 4.0: it was 3.0" in error
    code, said, error = nvn("resume", "part", "--more-steps", "2")
    assert (code, error) == (0, MOVED)
    assert "setting " not in said
