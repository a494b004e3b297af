import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nvn
from nvn.errors import ConfigError, RunError
from nvn.training.run_folder import new_folder, picture_path
from tests.tiny import tiny


def test_runs_lie_by_recipe_and_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folders = [new_folder("gan") for _ in range(3)]
    assert len(set(folders)) == 3
    assert all(folder.is_dir() and folder.parent == Path("runs/gan") for folder in folders)


def test_a_folder_of_ones_own_may_be_new_or_empty(tmp_path: Path) -> None:
    assert new_folder("gan", tmp_path / "a" / "b").is_dir()
    (tmp_path / "c").mkdir()
    assert new_folder("gan", tmp_path / "c") == tmp_path / "c"


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="is not empty"):
        new_folder("gan", tmp_path)


def test_a_folder_below_a_file_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match=r"cannot create .*file/run: Not a directory"):
        new_folder("gan", tmp_path / "file" / "run")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_found_at_once(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(RunError, match="Permission denied"):
        new_folder("gan", tmp_path)


def test_pictures_sort_by_step() -> None:
    names = [picture_path(Path(), "faces", step).name for step in (2, 10, 100000)]
    assert names == sorted(names) == ["faces-000002.png", "faces-000010.png", "faces-100000.png"]


def test_metrics_are_written_of_every_so_many_steps(tmp_path: Path) -> None:
    run = nvn.train(tiny(steps=10), out=tmp_path / "run", metrics_every=4, pulls_every="off")
    metrics = nvn.read_metrics(run)
    steps = metrics["step"][~np.isnan(metrics["objectives/G"])]
    assert steps.tolist() == [1, 3, 1, 4, 8, 10]  # of the phase before, and of the game
    evaluated = metrics["step"][~np.isnan(metrics["evaluations/size/norm"])]
    assert evaluated.tolist() == [2, 4, 6, 8, 10]


@pytest.mark.parametrize("wrong", [0, -1, True, 1.5, "2"])
def test_metrics_every_is_a_number_of_steps(tmp_path: Path, wrong: Any) -> None:
    with pytest.raises(ConfigError, match=r"metrics_every = .*: expected a number of steps"):
        nvn.train(tiny(), out=tmp_path / "run", metrics_every=wrong)
