"""The command as a process of its own: signals, tracebacks, both ways to start it."""

import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml
from safetensors.torch import load_file

from tests.tiny import FILE, NEIGHBOUR

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "game.py").write_text(FILE)
    # tests/ is no installed package: the neighbour finds it by the repository's path.
    path = f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n"
    (tmp_path / "neighbour.py").write_text(path + NEIGHBOUR)
    return tmp_path


def start(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    command: Sequence[str] = [sys.executable, "-m", "nvn", *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=folder, stdout=pipe, stderr=pipe, text=True)


def wait_for(path: Path, process: "subprocess.Popen[str]", seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not (path.exists() and path.stat().st_size):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_signal_ends_a_run_cleanly(folder: Path, number: int) -> None:
    process = start(folder, "run", "game.py", "--set", "steps=100000000", "--out", "run")
    wait_for(folder / "run" / "metrics.jsonl", process)
    process.send_signal(number)
    said, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in error
    assert "interrupted: what was learnt so far is saved" in said.splitlines()[-1]
    final = folder / "run" / "checkpoints" / "final"
    assert {path.stem for path in final.iterdir()} == {"G", "D"}
    assert load_file(final / "G.safetensors")["by"].isfinite().all()
    about = yaml.safe_load((folder / "run" / "run.yaml").read_text())
    assert about["outcome"] == "interrupted"
    assert about["steps"]["main"] > 0


def test_ctrl_c_before_anything_was_learnt(folder: Path) -> None:
    (folder / "game.py").write_text("import time\nopen('begun', 'w').write('x')\ntime.sleep(60)\n")
    process = start(folder, "run", "game.py")
    wait_for(folder / "begun", process)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in error


def test_an_error_of_the_recipes_own_keeps_its_traceback(folder: Path) -> None:
    mine = "\ndef broken(engine):\n    return 1 / 0\n"
    changed = FILE.replace(
        "return made(config)",
        "return made(config).replace(evaluations=[nvn.Evaluation('mine', broken, every=2)])",
    )
    (folder / "game.py").write_text(changed + mine)
    process = start(folder, "run", "game.py", "--out", "run")
    said, error = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "in broken\n    return 1 / 0" in error
    assert error.splitlines()[-1] == "ZeroDivisionError: division by zero"
    assert "failed: what was learnt so far is saved (steps: warmup 3, main 2;" in said
    assert (folder / "run" / "checkpoints" / "final" / "G.safetensors").exists()


def test_without_a_terminal_there_are_plain_lines(folder: Path) -> None:
    process = start(folder, "run", "game.py")
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    assert "\x1b" not in said
    assert "main: 6/6 in " in said
