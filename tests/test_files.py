import os
from pathlib import Path
from typing import Any

import pytest

from nvn.errors import RunError
from nvn.files import atomic_write, content_of, read_regular


def test_a_write_that_fails_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "file"
    atomic_write(path, b"old")
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(RunError, match="No space left on device"):
        atomic_write(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_no_more_than_expected_is_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    assert read_regular(tmp_path / "file", "numbers", 5) == b"12345"
    with pytest.raises(RunError, match="file: it is too large: expected 4 bytes at most"):
        read_regular(tmp_path / "file", "numbers", 4)


@pytest.mark.skipif(os.name == "nt", reason="links and pipes")
def test_what_is_no_regular_file_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zeros").symlink_to("/dev/zero")
    for name in ("pipe", "zeros", "."):
        with pytest.raises(RunError, match="is no regular file"):
            read_regular(tmp_path / name, "numbers", 5)


def test_a_name_that_no_file_can_have_is_told_like_one_that_is_missing() -> None:
    with pytest.raises(OSError, match="no file has such a name"):
        content_of(Path("\0"))
    with pytest.raises(RunError, match=r"cannot read x+: File name too long"):
        read_regular(Path("x" * 5000), "numbers")
