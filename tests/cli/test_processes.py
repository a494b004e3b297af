"""The command as a process of its own: signals, tracebacks, both ways to start it."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from safetensors.torch import load_file

from tests.processes import NVN, UNDER_NOHUP, Process, end_of, until
from tests.tiny import FILE, NEIGHBOR

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "game.py").write_text(FILE)
    # tests/ is no installed package: the neighbor finds it by the repository's path.
    path = f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n"
    (tmp_path / "neighbor.py").write_text(path + NEIGHBOR)
    return tmp_path


Start = Callable[..., Process]


@pytest.fixture
def start(folder: Path) -> Iterator[Start]:
    """Start `nvn …` in the folder; nothing is left running, whatever the test does."""
    started = []

    def start(
        *arguments: str, stdout: int = subprocess.PIPE, program: tuple[str, ...] = NVN
    ) -> Process:
        process = subprocess.Popen(
            [*program, *arguments], cwd=folder, stdout=stdout, stderr=subprocess.PIPE, text=True
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def wait_for(path: Path, process: Process) -> None:
    until(lambda: path.exists() and path.stat().st_size, process)


def wait_for_main(folder: Path, process: Process) -> None:
    """Wait until steps of the game itself have been written."""
    metrics = folder / "run" / "metrics.jsonl"
    until(lambda: metrics.exists() and '"phase": "main"' in metrics.read_text(), process)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 75), (signal.SIGHUP, 130)]
)
def test_a_signal_ends_a_run_cleanly(
    folder: Path, start: Start, number: signal.Signals, code: int
) -> None:
    process = start("run", "game.py", "--set", "steps=100000000", "--out", "run")
    wait_for_main(folder, process)
    process.send_signal(number)
    found, said, error = end_of(process)
    assert found == code
    assert "Traceback" not in error
    outcome = "interrupted" if code == 130 else "preempted"
    assert f"{outcome}: the weights so far are saved" in said.splitlines()[-1]
    assert_saved(folder, outcome)


def test_a_run_under_nohup_outlives_its_terminal(folder: Path, start: Start) -> None:
    run = ("run", "game.py", "--set", "steps=100000000", "--out", "run")
    process = start(*run, program=UNDER_NOHUP)
    metrics = folder / "run" / "metrics.jsonl"
    wait_for_main(folder, process)
    process.send_signal(signal.SIGHUP)
    written = metrics.stat().st_size
    until(lambda: metrics.stat().st_size > written, process)  # it goes on
    process.send_signal(signal.SIGTERM)
    code, _, error = end_of(process)
    assert (code, error) == (75, "")
    assert_saved(folder, "preempted")


def assert_saved(folder: Path, outcome: str = "interrupted") -> None:
    final = folder / "run" / "checkpoints" / "final"
    assert {path.name for path in final.iterdir()} == {"G.safetensors", "D.safetensors"}
    assert load_file(final / "G.safetensors")["by"].isfinite().all()
    about = yaml.safe_load((folder / "run" / "run.yaml").read_text())
    assert about["outcome"] == outcome
    assert about["steps"]["main"] > 0


@pytest.mark.parametrize("pause", [0.0, 0.0005, 0.02, 0.2])
def test_no_burst_of_signals_loses_what_was_learned(
    folder: Path, start: Start, pause: float
) -> None:
    process = start("run", "game.py", "--set", "steps=100000000", "--out", "run")
    wait_for_main(folder, process)
    while process.poll() is None:
        process.send_signal(signal.SIGINT)
        time.sleep(pause)
        if (folder / "run" / "checkpoints" / "final" / "D.safetensors").exists():
            break  # once all is written, a signal may end the rest
    _, _, error = end_of(process)
    assert "Traceback" not in error
    assert_saved(folder)


def test_a_signal_while_weights_are_written(folder: Path, start: Start) -> None:
    changed = FILE + SLOW_DISK
    (folder / "game.py").write_text(changed)
    process = start("run", "game.py", "--set", "steps=100000000", "--out", "run")
    wait_for_main(folder, process)
    process.send_signal(signal.SIGINT)
    wait_for(folder / "run" / "saving", process)
    process.send_signal(signal.SIGINT)
    (folder / "run" / "signaled").touch()
    code, said, error = end_of(process)
    assert (code, error) == (130, "")
    assert "interrupted: the weights so far are saved" in said
    assert_saved(folder)


SLOW_DISK = """
import time
from pathlib import Path

from nvn.training import run_folder as runfolder

def slow(folder, states, metadata):
    Path("run/saving").write_text("x")
    while not Path("run/signaled").exists():
        time.sleep(0.01)
    save(folder, states, metadata)

save, runfolder.save_players = runfolder.save_players, slow
"""


def test_ctrl_c_before_anything_was_learned(folder: Path, start: Start) -> None:
    (folder / "game.py").write_text(
        "import time\nopen('begun', 'w').write('x')\ntime.sleep(3600)\n"
    )
    process = start("run", "game.py")
    wait_for(folder / "begun", process)
    process.send_signal(signal.SIGINT)
    code, _, error = end_of(process)
    assert code == 130
    assert "Traceback" not in error


def test_an_error_of_the_recipes_own_keeps_its_traceback(folder: Path, start: Start) -> None:
    mine = "\ndef broken():\n    yield from DATA[:2]\n    1 / 0\n"
    changed = FILE.replace("return made(config)", "return made(config).replace(data=broken)")
    (folder / "game.py").write_text(changed + mine + "from tests.tiny import DATA\n")
    process = start("run", "game.py", "--out", "run")
    code, said, error = end_of(process)
    assert code == 1
    assert "in broken\n    1 / 0" in error
    assert "ZeroDivisionError: division by zero" in error.splitlines()
    assert "nvn/" not in error
    assert "typer" not in error
    assert "failed: the weights so far are saved (steps: warmup 2;" in said
    assert (folder / "run" / "checkpoints" / "final" / "G.safetensors").exists()


def test_an_evaluation_that_fails_costs_the_exit_code(folder: Path, start: Start) -> None:
    mine = "\ndef broken(engine):\n    return 1 / 0\n"
    changed = FILE.replace(
        "return made(config)",
        "return made(config).replace(evaluations=[nvn.Evaluation('mine', broken, every=2)])",
    )
    (folder / "game.py").write_text(changed + mine)
    process = start("run", "game.py", "--out", "run")
    code, said, error = end_of(process)
    assert code == 3
    assert "warning: evaluation 'mine' failed at step 2 of phase 'main'" in error
    assert "in broken\n    return 1 / 0" in error
    assert "error: evaluation 'mine' failed: ZeroDivisionError: division by zero" in error
    assert "nvn/" not in error
    assert "typer" not in error
    assert "trained, but something failed beside it (steps: warmup 3, main 6;" in said
    assert (folder / "run" / "checkpoints" / "final" / "G.safetensors").exists()


def test_without_a_terminal_there_are_plain_lines(folder: Path, start: Start) -> None:
    process = start("run", "game.py")
    code, said, _ = end_of(process)
    assert code == 0
    assert "\x1b" not in said
    assert "main: 6/6 in " in said


def test_a_reader_that_goes_does_not_end_training(folder: Path, start: Start) -> None:
    read, write = os.pipe()
    process = start("run", "game.py", "--set", "steps=3000", "--out", "run", stdout=write)
    os.close(write)
    os.close(read)  # as `| head -1` does after the first line
    code, _, error = end_of(process)
    assert (code, error) == (0, "")
    about = yaml.safe_load((folder / "run" / "run.yaml").read_text())
    assert (about["outcome"], about["steps"]["main"]) == ("finished", 3000)


def test_a_full_disk_says_that_the_weights_are_lost(folder: Path, start: Start) -> None:
    limit = "\nimport resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
    big = NEIGHBOR.replace("return tiny(", "return large(") + LARGE
    path = f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n"
    (folder / "neighbor.py").write_text(path + big + limit)
    process = start("run", "game.py", "--out", "run")
    code, _, error = end_of(process)
    assert code == 1
    assert "error: the weights could not be saved: cannot write run/checkpoints/" in error
    assert "they are lost" in error  # the second place is no better here
    assert "Traceback" not in error
    about = yaml.safe_load((folder / "run" / "run.yaml").read_text())
    assert about["outcome"] == "failed"
    assert "the weights could not be saved" in about["error"]


LARGE = """
from torch import nn

def large(**changes):
    recipe = tiny(**changes)
    for player in recipe.game.players.values():
        player.module.register_buffer("ballast", torch.zeros(10_000))
    return recipe
"""


def test_what_a_terminal_cannot_print_costs_nothing(
    folder: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = "\ndef named(engine):\n    return {'\N{GREEK CAPITAL LETTER DELTA} norm': 1.0}\n"
    changed = FILE.replace(
        "return made(config)",
        "return made(config).replace(evaluations=[nvn.Evaluation('mine', named, every=2)])",
    )
    (folder / "game.py").write_text(changed + mine)
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    process = start("run", "game.py", "--out", "run")
    code, said, error = end_of(process)
    assert (code, error) == (0, "")
    assert "? norm 1" in said
    assert yaml.safe_load((folder / "run" / "run.yaml").read_text())["outcome"] == "finished"
