"""A run in several processes is the run of one that has all their samples."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import nvn
from nvn.training.fabric import make_fabric
from tests.processes import together
from tests.training.processes.recipes import CASES
from tests.training.processes.together import SIZE

COUNT = 2
CLOSE = 1e-12


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folders of the runs of several processes: one start for all."""
    out = tmp_path_factory.mktemp("runs")
    together(COUNT, "tests.training.processes.together", str(out), str(COUNT))
    return out


def weights(folder: Path) -> dict[str, torch.Tensor]:
    files = sorted((folder / "checkpoints" / "final").iterdir())
    return {f"{f.stem}.{key}": x for f in files for key, x in load_file(f).items()}


@pytest.mark.parametrize("name", [*CASES, "accumulated"])
def test_n_processes_are_one_with_n_times_the_batch(runs: Path, name: str, tmp_path: Path) -> None:
    def alone() -> nvn.Recipe:
        return CASES.get(name, CASES["alternating"])(COUNT * SIZE)

    nvn.train(alone, out=tmp_path / "alone", fabric=make_fabric("cpu", "64-true"))
    one, several = weights(tmp_path / "alone"), weights(runs / name)
    assert one.keys() == several.keys()
    assert any(key.startswith("slow.") for key in one)
    for key, x in one.items():
        torch.testing.assert_close(x, several[key], rtol=CLOSE, atol=CLOSE, msg=key)


def test_a_run_in_parts_is_the_same_to_the_bit(runs: Path) -> None:
    whole, parts = weights(runs / "alternating"), weights(runs / "parts")
    assert all(torch.equal(x, parts[key]) for key, x in whole.items())


def test_what_is_not_finite_in_one_takes_all_back(runs: Path) -> None:
    assert "rollback" in (runs / "back" / "run.yaml").read_text()


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("plans", "process 1 (*): the plan of 'main' is *; in process 0 (*) it is *"),
        ("seeds", "process 1 (*): the argument seed is 1; in process 0 (*) it is 0"),
        ("data", "process 1 (*): the data of phase 'warmup' is 15 batches, the first one *"),
        ("failing", "process 1 failed: *ZeroDivisionError: integer division or modulo by zero"),
    ],
)
def test_what_is_not_alike_is_told_before_a_step(runs: Path, name: str, told: str) -> None:
    said = (runs / f"{name}.txt").read_text()
    start, *others = told.split("*")
    assert said.startswith(start)
    assert all(part in said for part in others)
    if name != "failing":
        assert said.endswith("have to be alike: nothing was trained")
    written = runs / name / "metrics.jsonl"
    assert not written.exists() or not written.read_text()
