"""Workers, however they are started, find the recipe, and leave signals to the run."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from tests.processes import NVN, end_of, until

RECIPE = '''
"""A line whose data are read by workers."""
from functools import partial

import torch
from torch.utils.data import DataLoader

import nvn
from nvn import energies as en

from .rows import Rows, Streamed, stacked


class Config(nvn.Config):
    steps: int = 30
    workers: int = 2
    context: str = "fork"
    hangs: bool = False
    fails: str = ""


def recipe(config: Config) -> nvn.Recipe:
    game = nvn.Game("line")
    x = game.batch("x")
    f = game.player("f", torch.nn.Linear(1, 1))
    f.minimizes(en.mse(f(x), x))
    loader = DataLoader(
        Streamed() if config.fails == "streamed" else Rows(config.hangs, config.fails),
        batch_size=4, shuffle=None if config.fails == "streamed" else True,
        num_workers=config.workers,
        collate_fn=stacked,
        multiprocessing_context=config.context if config.workers else None,
    )
    return nvn.Recipe(
        name="line", game=game, schedule=nvn.alternating(f), data=loader,
        optimizers=partial(torch.optim.SGD, lr=0.01), steps=config.steps,
    )
'''
ROWS = """
import random
import time

import torch


class Rows:
    def __init__(self, hangs, fails):
        self.hangs, self.fails = hangs, fails

    def __len__(self):
        return 40

    def __getitem__(self, index):
        if self.hangs and index == 7:
            open("hanging", "w").write("x")
            time.sleep(3600)
        if self.fails and index == 7:
            raise OSError("row 7 cannot be read")
        return torch.tensor([float(index) / 40 + random.random()])


class Streamed(torch.utils.data.IterableDataset):
    def __iter__(self):
        for index in range(40):
            yield Rows(False, True)[index]


def stacked(rows):
    return {"x": torch.stack(rows)}
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "line.py").write_text(RECIPE)
    (tmp_path / "rows.py").write_text(ROWS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def nvn(*arguments: str, **options: object) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*NVN, "run", "line.py", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.mark.parametrize(
    "context", ["fork", *(pytest.param(c, marks=pytest.mark.slow) for c in ("spawn", "forkserver"))]
)
def test_workers_started_in_any_way_read_the_same(place: Path, context: str) -> None:
    alone = nvn("--out", "alone", "--set", "workers=0")
    code, _, error = end_of(alone)
    assert (code, error) == (0, "")
    code, _, error = end_of(nvn("--out", "run", "--set", f"context={context}"))
    assert (code, error) == (0, "")
    assert Path("run/metrics.jsonl").read_text() == Path("alone/metrics.jsonl").read_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda n: n.name)
def test_a_signal_to_the_whole_group_is_a_clean_end(place: Path, number: signal.Signals) -> None:
    """As a terminal sends it, and a scheduler."""
    process = nvn("--out", "run", "--set", "steps=1000000")
    until(lambda: Path("run/metrics.jsonl").exists(), process)
    os.killpg(process.pid, number)
    code, _, error = end_of(process)
    assert (code, error) == (130 if number is signal.SIGINT else 75, "")
    about = yaml.safe_load(Path("run/run.yaml").read_text())
    assert about["outcome"] == ("interrupted" if number is signal.SIGINT else "preempted")
    assert_gone(process)


def test_one_ctrl_c_ends_the_waiting_for_a_worker_that_hangs(place: Path) -> None:
    process = nvn("--out", "run", "--set", "steps=1000000", "--set", "hangs=true")
    until(lambda: Path("hanging").exists(), process)
    time.sleep(1)  # until what had been read ahead is used up
    os.killpg(process.pid, signal.SIGINT)
    code, _, error = end_of(process)
    assert (code, error) == (130, "")
    assert_gone(process)


@pytest.mark.parametrize("fails", ["indexed", "streamed"])
def test_an_error_in_a_worker_ends_the_command(place: Path, fails: str) -> None:
    """It went on forever: workers do not hear when they are asked to end."""
    process = nvn("--out", "run", "--set", f"fails={fails}")
    code, _, error = end_of(process)
    assert code == 1
    assert "OSError: row 7 cannot be read" in error
    assert "in __getitem__" in error
    assert "nvn/" not in error
    assert "torch/" not in error
    assert_gone(process)


def assert_gone(process: "subprocess.Popen[str]") -> None:
    """No process of its group is left."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    pytest.fail(f"workers are left: {sys.platform}")
