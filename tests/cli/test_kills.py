"""Runs killed by SIGKILL at random moments, and gone on with, end as if they had not been.

    python -m pytest -q -m slow tests/cli/test_kills.py -s
    python -m pytest -q -n 0 -m slow tests/cli/test_kills.py -s -k cuda    # where there is a GPU

The killed run and the whole one are compared to the bit: metrics.jsonl, pictures, weights.
docs/reliability.md has the figures.
"""

import os
import random
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from tests.processes import HANG, NVN

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="a system without SIGKILL"),
]

# Recipe and settings; how many kills.
SHORT = {
    "gaussians": (["gaussians", "--set", "steps=1500"], 20),
    "expression_2v2": (["expression_2v2", "--preset", "quick", "--max-steps", "12"], 12),
    "sketch_repair": (["sketch_repair", "--preset", "quick", "--max-steps", "12"], 12),
}
RUNS = {
    **{name: ([*run, "--accelerator", "cpu"], kills) for name, (run, kills) in SHORT.items()},
    # The others use grid_sample, whose gradient has no deterministic form on a GPU.
    "gaussians-cuda": ([*SHORT["gaussians"][0], "--accelerator", "cuda", "--deterministic"], 5),
}
ON_CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
NAMES = [pytest.param(name, marks=[ON_CUDA] if "cuda" in name else []) for name in RUNS]


def start(arguments: list[str], *more: str) -> "subprocess.Popen[bytes]":
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*NVN, "run", *arguments, *more],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
    )


def result(folder: Path) -> dict[str, bytes]:
    """Return what a run has made: lines of metrics, pictures, the bytes of every weight."""
    seen = [folder / "metrics.jsonl", *folder.glob("images/*.png")]
    made = {path.name: path.read_bytes() for path in seen}
    for path in folder.glob("checkpoints/final/*.safetensors"):
        for name, tensor in load_file(path).items():  # (the order of a file's metadata varies)
            made[f"{path.stem}/{name}"] = tensor.flatten().view(torch.uint8).numpy().tobytes()
    return made


@pytest.mark.parametrize("name", NAMES)
def test_a_run_that_is_killed_again_and_again_ends_the_same(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments, kills = RUNS[name]
    begun = time.monotonic()
    assert start(arguments, "--out", "whole").wait(HANG) == 0
    seconds = time.monotonic() - begun

    chance = random.Random(0)
    killed, where, number = 0, Counter[str](), 0
    while killed < kills:  # a run that gets to its end before is followed by another one
        number += 1
        out = Path(f"killed{number}")
        while True:
            process = start(arguments, "--out", str(out), "--resume", "auto", "--save-every", "3")
            try:
                code = process.wait(chance.uniform(0.3, 1.0) * seconds if killed < kills else HANG)
            except subprocess.TimeoutExpired:
                process.kill()
                assert process.wait(HANG) == -signal.SIGKILL
                killed += 1
                where[place(out)] += 1
            else:
                assert code == 0
                break
        whole, again = result(Path("whole")), result(out)
        assert whole.keys() == again.keys()
        assert [name for name in whole if whole[name] != again[name]] == []
    print(f"\n{name}: {killed} kills in {number} runs; last whole state: {dict(where)}")


def place(out: Path) -> str:
    """Say where a killed run was: how many checkpoints, whether it was in the middle of writing."""
    if not (out / "run.yaml").exists():
        return "before it began"
    if [*out.rglob(".*.tmp")]:
        return "while writing"
    outcome = yaml.safe_load((out / "run.yaml").read_text())["outcome"]
    if outcome != "running":
        return "at its end"
    found = sorted(path.name for path in (out / "checkpoints").glob("*-*"))
    return found[-1].rpartition("-")[0] if found else "before a checkpoint"
