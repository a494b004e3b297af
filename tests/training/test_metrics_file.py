"""metrics.jsonl: whole lines, in order, whatever happens."""

import json
from pathlib import Path

import pytest
import torch

from nvn.errors import RunError
from nvn.records import Record
from nvn.training.metrics_file import MetricsFile, cut, valid


def record(step: int) -> Record:
    return Record(step, {"e": torch.tensor(1.0)}, {"G": torch.tensor(2.0)}, {})


def steps(path: Path) -> list[int]:
    return [json.loads(line)["step"] for line in path.read_text().splitlines()]


def test_json_has_neither_nan_nor_infinity() -> None:
    line = {"a": float("nan"), "b": {"c": float("-inf"), "d": 1.5}, "e": "text"}
    assert valid(line) == {"a": None, "b": {"c": None, "d": 1.5}, "e": "text"}


def test_lines_that_found_no_space_come_with_the_next_ones(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    metrics = MetricsFile(path)
    metrics.step("main", record(1))
    path.mkdir()  # nothing can be written there
    with pytest.raises(RunError, match="cannot write"):
        metrics.flush()
    metrics.step("main", record(2))
    path.rmdir()
    assert metrics.flush() == path.stat().st_size
    assert steps(path) == [1, 2]


def test_half_a_line_is_never_left(tmp_path: Path) -> None:
    """A limit of the file's size, as on a disk that becomes full in the middle of a line."""
    resource = pytest.importorskip("resource")
    import signal

    path = tmp_path / "metrics.jsonl"
    metrics = MetricsFile(path)
    metrics.step("main", record(1))
    size = metrics.flush()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10, before[1]))
    try:
        metrics.step("main", record(2))
        with pytest.raises(RunError, match="cannot write"):
            metrics.flush()
        assert path.stat().st_size == size
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    metrics.flush()
    assert steps(path) == [1, 2]


def test_what_is_cut_off_is_kept_aside(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    metrics = MetricsFile(path)
    metrics.step("main", record(1))
    size = metrics.flush()
    for step in (2, 3):
        metrics.step("main", record(step))
    metrics.flush()
    assert cut(path, size) == 2
    assert steps(path) == [1]
    assert steps(tmp_path / "metrics.jsonl.cut") == [2, 3]
    assert cut(path, size) == 0


def test_a_file_that_lacks_lines_is_not_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text("{}\n")
    with pytest.raises(RunError, match="has 3 bytes, and had 9"):
        cut(path, 9)
    assert path.read_text() == "{}\n"
