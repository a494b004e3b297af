import os
from pathlib import Path

import pytest

from nvn.errors import RunError
from nvn.training.run_folder import new_folder, picture_path


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
