"""The command in several processes: starting them, and what is left when one of them is killed."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from tests.processes import NVN, Process, end_of, until

RECIPE = '''\
"""A line, learned slowly."""

import os
import time
from functools import partial

import torch

import nvn
from nvn import energies as en


class Config(nvn.Config):
    """Settings."""

    steps: int = 10
    slow: float = 0.0
    fails_in: int = -1


def recipe(config):
    print("a recipe is built")
    game = nvn.Game("line")
    x, y = game.batch("x", "y")
    f = game.player("f", torch.nn.Linear(1, 1))
    f.minimizes(en.mse(f(x), y))
    made = []

    def look(generator, batch):
        time.sleep(config.slow)
        made.append(batch)
        if len(made) > 6 and int(os.environ.get("LOCAL_RANK", 0)) == config.fails_in:
            raise ValueError("a bad sample")
        return batch

    x = torch.linspace(-1, 1, 24)[:, None]
    return nvn.Recipe(
        name="line",
        game=game,
        schedule=nvn.alternating(f),
        optimizers=partial(torch.optim.SGD, lr=0.1),
        data=nvn.data.TensorBatches({"x": x, "y": 2 * x}, 4, transform=look),
        steps=config.steps,
        evaluations=[nvn.Evaluation("told", lambda engine: {"one": 1.0}, every=5)],
    )
'''
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "nvn")
TOGETHER = ("--devices", "2", "--accelerator", "cpu")

Start = Callable[..., Process]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start `nvn …` in a folder with the recipe; nothing is left running."""
    (tmp_path / "line.py").write_text(RECIPE)
    started = []

    def start(*arguments: str, program: tuple[str, ...] = NVN) -> Process:
        process = subprocess.Popen(
            [*program, *arguments],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def about(folder: Path) -> dict[str, object]:
    found: dict[str, object] = yaml.safe_load((folder / "run.yaml").read_text())
    return found


def followers(process: Process) -> list[int]:
    """The processes that a process has started, on Linux."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return [int(pid) for pid in children.read_text().split()]


def test_a_run_in_two_processes_is_told_once(start: Start, tmp_path: Path) -> None:
    code, said, error = end_of(start("run", "line.py", *TOGETHER, "--out", "run"))
    assert (code, error) == (0, "")
    assert said.count("a recipe is built") == 1
    assert "line: main 10 steps, seed 0, 2 processes; into run" in said
    assert said.count("finished (steps: main 10") == 1
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert sum('"main"' in line for line in lines) == 10
    found = about(tmp_path / "run")
    assert (found["processes"], found["num_nodes"]) == (2, 1)

    # It has finished: there is nothing to do, for none of the processes of a launcher.
    auto = ("--out", "run", "--resume", "auto", "--accelerator", "cpu")
    code, said, _ = end_of(start("run", "line.py", *auto, program=TORCHRUN))
    assert code == 0
    assert said.count("the run run has finished") == 1


def test_torchrun_starts_one_run(start: Start, tmp_path: Path) -> None:
    """And not two, which would write to one folder."""
    run = ("run", "line.py", "--accelerator", "cpu", "--devices", "auto", "--out", "run")
    code, said, error = end_of(start(*run, program=TORCHRUN))
    assert code == 0, error
    assert said.count("finished (steps: main 10") == 1
    assert about(tmp_path / "run")["processes"] == 2


def test_two_machines_play_one_run(start: Start, tmp_path: Path) -> None:
    """Two of torchrun's agents, of a process each, which reach one another as machines would."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    agent = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2"]
    agent += ["--master-addr", "127.0.0.1", "--master-port", port, "--nproc-per-node", "1"]
    run = ("run", "line.py", "--accelerator", "cpu", "--out", "run")
    nodes = [
        start(*run, program=(*agent, "--node-rank", str(rank), "-m", "nvn")) for rank in (1, 0)
    ]
    other, first = [end_of(node) for node in nodes]
    assert (other[0], first[0]) == (0, 0), other[2] + first[2]
    assert "2 processes; into run" in first[1]
    assert not other[1]
    assert (about(tmp_path / "run")["processes"], about(tmp_path / "run")["num_nodes"]) == (2, 2)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux's /proc")
def test_a_process_that_is_killed_ends_the_run_which_goes_on(start: Start, tmp_path: Path) -> None:
    slow = ("--set", "slow=0.05", "--set", "steps=400", "--save-every", "5")
    process = start("run", "line.py", *TOGETHER, *slow, "--out", "run")
    checkpoints = tmp_path / "run" / "checkpoints"
    until(lambda: checkpoints.is_dir() and [*checkpoints.glob("main-*")], process)
    (other,) = followers(process)
    os.kill(other, signal.SIGKILL)
    code, _, error = end_of(process)
    assert code == 1
    assert error.count("error: process 1 is gone: it was killed") == 1
    assert "Traceback" not in error
    assert about(tmp_path / "run")["outcome"] == "failed"

    again = ("--set", "slow=0", "--set", "steps=30", "--changed")
    code, said, error = end_of(start("resume", "run", *again, "--devices", "1"))
    assert code == 0, error
    assert "going on from main-" in said
    assert "played by 2 processes, and goes on in 1" in error


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux's /proc")
def test_nobody_is_left_when_the_leading_process_is_killed(start: Start, tmp_path: Path) -> None:
    slow = ("--set", "slow=0.05", "--set", "steps=400")
    process = start("run", "line.py", *TOGETHER, *slow, "--out", "run")
    metrics = tmp_path / "run" / "metrics.jsonl"
    until(lambda: metrics.exists() and metrics.stat().st_size, process)
    (other,) = followers(process)
    process.kill()
    process.communicate()
    until(lambda: not Path(f"/proc/{other}").exists() or _is_dead(other))


def _is_dead(pid: int) -> bool:
    try:
        return ") Z " in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True


def test_ctrl_c_ends_all_in_order(start: Start, tmp_path: Path) -> None:
    slow = ("--set", "slow=0.05", "--set", "steps=400")
    process = start("run", "line.py", *TOGETHER, *slow, "--out", "run")
    metrics = tmp_path / "run" / "metrics.jsonl"
    until(lambda: metrics.exists() and metrics.stat().st_size, process)
    os.killpg(process.pid, signal.SIGINT)
    code, said, error = end_of(process)
    assert (code, error) == (130, "")
    assert "interrupted: the weights so far are saved" in said


def test_an_error_in_another_process_is_shown_once(start: Start) -> None:
    run = ("run", "line.py", *TOGETHER, "--out", "run", "--set", "fails_in=1")
    code, said, error = end_of(start(*run))
    assert code == 1
    assert "failed: the weights so far are saved" in said
    assert error.startswith("error: process 1 failed: Traceback")
    assert error.count("ValueError: a bad sample") == 1
    assert "nvn/" not in error  # no frames but the recipe's own
