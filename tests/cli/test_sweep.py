"""`nvn sweep`, its runs real processes: what is killed goes on, and no run is done twice."""

import os
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from tests.processes import NVN, Process, end_of, until

GAME = '''
"""A game that notes when it begins, and waits at its end for a file `go`, if told to."""

import os
import time
from functools import partial

import torch
from pydantic import Field
from torch import nn

import nvn


class Config(nvn.Config):
    net: str = Field("a", description="network")
    folds: int = Field(2, ge=2, description="parts")
    fold: int = Field(0, ge=0, description="part")
    waits: bool = Field(False, description="for the file")


def square(x):
    return (x**2).mean()


def recipe(config):
    with open("begun", "a") as file:
        file.write(f"{config.net}{config.fold} {os.getpid()}\\n")
    if config.net == "bad":
        raise nvn.NvnError("no such net")

    def score(engine):
        while config.waits and config.net + str(config.fold) != "a0" and not os.path.exists("go"):
            time.sleep(0.02)
        return {"accuracy": 60.0 + len(config.net) + 2 * config.fold, "loss": 0.5}

    game = nvn.Game("game")
    G = game.player("G", nn.Linear(3, 1))
    G.minimizes(nvn.energy(square, name="square")(G(game.batch("x"))))
    return nvn.Recipe(
        name="game",
        game=game,
        schedule=nvn.alternating(G),
        optimizers=partial(torch.optim.SGD, lr=0.1),
        data=[{"x": torch.ones(2, 3)}],
        steps=1,
        evaluations=[nvn.Evaluation("score", score)],
    )
'''

Start = Callable[..., Process]
GRID = ("game.py", "--over", "net=a,b", "--folds", "2", "--out", "out", "--accelerator", "cpu")
WAITING = (*GRID, "--jobs", "2", "--set", "waits=true")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Where the sweep runs; nothing that begins there is left running."""
    (tmp_path / "game.py").write_text(GAME)
    yield tmp_path
    (tmp_path / "go").touch()
    for number in pids(tmp_path):
        until(lambda number=number: not alive(number))


@pytest.fixture
def start(folder: Path) -> Iterator[Start]:
    started = []

    def start(*arguments: str) -> Process:
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            [*NVN, "sweep", *arguments], cwd=folder, stdout=pipe, stderr=pipe, text=True
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def lines(folder: Path) -> list[list[str]]:
    path = folder / "begun"
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def begun(folder: Path) -> Counter[str]:
    return Counter(name for name, _ in lines(folder))


def pids(folder: Path) -> list[int]:
    return [int(number) for _, number in lines(folder)]


def alive(number: int) -> bool:
    """Whether a process is there; one that has ended and that nobody waits for does not count."""
    try:
        stat = Path(f"/proc/{number}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def begin(folder: Path, start: Start) -> Process:
    """Start a sweep, and let it finish one run and be in the middle of two."""
    process = start(*WAITING)
    until(lambda: len(lines(folder)) == 3, process)
    table = folder / "out" / "table.md"
    until(lambda: "1 of 4 runs finished" in table.read_text(), process)
    return process


def test_a_killed_sweep_goes_on_while_its_runs_do(folder: Path, start: Start) -> None:
    process = begin(folder, start)
    code, _, error = end_of(start(*WAITING))
    assert code == 1
    assert error.startswith("error: another sweep is at work in out: wait until it ends")
    process.kill()
    end_of(process)
    again = start(*WAITING)
    assert again.stdout is not None
    said = "".join(next(again.stdout) for _ in range(3))
    assert said.startswith("4 runs, 1 of them finished earlier; 2 at a time; in out\n")
    assert said.count("of an earlier sweep is still at it; waiting for that") == 2
    (folder / "go").touch()
    code, said, error = end_of(again)
    assert (code, error) == (0, "")
    assert begun(folder) == {"a0": 1, "a1": 1, "b0": 1, "b1": 1}
    assert "a     62.00 ± 1.41   0.5000 ± 0.0000" in said
    assert said.splitlines()[-1] == "4 of 4 runs finished; all is in out"


@pytest.mark.slow
def test_a_sweep_killed_with_its_runs_does_only_those_again(folder: Path, start: Start) -> None:
    process = begin(folder, start)
    process.kill()
    end_of(process)
    for number in [int(number) for name, number in lines(folder) if name != "a0"]:
        os.kill(number, signal.SIGKILL)
        until(lambda number=number: not alive(number))
    (folder / "go").touch()
    code, said, error = end_of(start(*WAITING))
    assert (code, error) == (0, "")
    assert "waiting" not in said
    assert begun(folder) == {"a0": 1, "a1": 2, "b0": 2, "b1": 1}
    assert said.splitlines()[-1] == "4 of 4 runs finished; all is in out"


@pytest.mark.slow
def test_a_signal_ends_a_sweep_and_its_runs(folder: Path, start: Start) -> None:
    process = begin(folder, start)
    process.send_signal(signal.SIGINT)
    code, said, error = end_of(process)
    assert (code, error) == (130, "")
    last = "interrupted: 1 of 4 runs finished; all is in out; the same command goes on from here"
    assert said.splitlines()[-1] == last
    assert not any(map(alive, pids(folder)))
    assert begun(folder) == {"a0": 1, "a1": 1, "b0": 1}


def test_a_failed_run_is_named_and_the_same_command_goes_on(folder: Path, start: Start) -> None:
    grid = ("game.py", "--over", "net=bad,a", "--seed", "3", "--max-steps", "1")
    code, said, error = end_of(start(*grid))
    (out,) = (path.relative_to(folder) for path in (folder / "runs" / "sweeps").iterdir())
    (log,) = (folder / out / "cells").glob("game_net=bad-*.log")
    assert code == 1
    place = log.relative_to(folder)
    assert error == f"error: 1 run failed:\ngame net=bad: no such net\n  its output: {place}\n"
    assert [line.split() for line in said.splitlines() if "–" in line] == [["bad", "–", "–"]]
    assert "| bad | – | – |" in (folder / out / "table.md").read_text()
    about = yaml.safe_load((folder / out / "sweep.yaml").read_text())
    assert about["command"] == "nvn sweep game.py --over net=bad,a --seed 3 --max-steps 1"

    (folder / "game.py").write_text(GAME.replace('if config.net == "bad"', "if False"))
    code, said, error = end_of(start(*grid, "--metric", "score/acuracy"))
    assert code == 1
    assert said.startswith(f"2 runs, 1 of them finished earlier; in {out}\n")
    assert f"2 of 2 runs finished; all is in {out}" in said
    warning, *_ = error.splitlines()
    assert warning.startswith("warning: game.py has changed since 1 run of it finished.")
    assert "no run has measured it. Did you mean 'score/accuracy'?" in error
    assert begun(folder) == {"a0": 1, "bad0": 2}


def test_nothing_runs_if_anything_is_wrong(folder: Path, start: Start) -> None:
    code, _, error = end_of(start("game.py", "no.py", "--over", "net=a,b", "--over", "nett=1"))
    assert code == 1
    assert error.startswith("error: 2 problems with this sweep:\n  there is no recipe file no.py.")
    assert "Did you mean 'net'?" in error
    assert not (folder / "begun").exists()
    assert not (folder / "runs").exists()
