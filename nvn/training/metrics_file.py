"""metrics.jsonl: a line a step, an evaluation and a look at who pulls, in the order of time."""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nvn.errors import RunError
from nvn.files import disk
from nvn.pulls import Pulls
from nvn.records import Record
from nvn.training.buffer import RecordBuffer

__all__ = ["MetricsFile", "cut"]


class MetricsFile:
    """Appends lines to metrics.jsonl, several at a time.

    Lines that cannot be written are kept, and written with the next ones: the file never has half
    a line, and no gap once there is space again.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._records: RecordBuffer[tuple[str, Record]] = RecordBuffer()
        self._unwritten: list[bytes] = []

    def step(self, phase: str, record: Record) -> None:
        """Add a step's line."""
        if self._records.add((phase, record)):
            self._write()

    def evaluation(self, name: str, step: int, metrics: Mapping[str, float]) -> None:
        """Add an evaluation's line."""
        self._read_records()  # lines stay in chronological order
        self._add({"evaluation": name, "step": step, "metrics": metrics})
        self._write()

    def pulls(self, phase: str, pulls: Pulls) -> None:
        """Add the line of a look at who pulls."""
        self._read_records()  # it comes after its step's
        self._add({"phase": phase, "step": pulls.step, "pulls": pulls.as_dict()})

    def cut(self, size: int) -> None:
        """Cut the file back to a size; what was after it is kept aside.

        Raises:
            RunError: It cannot be written.
        """
        self.flush()
        cut(self._path, size)

    def flush(self) -> int:
        """Write all lines, bring them to the disk, and return the file's size in bytes.

        Raises:
            RunError: They cannot be written.
        """
        self._write()
        with disk(self._path), self._path.open("ab") as file:
            os.fsync(file.fileno())
            return file.tell()

    def _write(self) -> None:
        self._read_records()
        content = b"".join(self._unwritten)
        with disk(self._path), self._path.open("ab", buffering=0) as file:
            size = file.tell()
            try:
                done = file.write(content)
                if done != len(content):
                    raise RunError(f"cannot write {self._path}: only {done} bytes found space")
            except BaseException:
                _truncate(file.fileno(), size)
                raise
        self._unwritten.clear()

    def _read_records(self) -> None:
        for phase, record in self._records.take():
            self._add(
                {
                    "phase": phase,
                    "step": record.step,
                    "energies": record.energies,
                    "objectives": record.objectives,
                    "gradient_norms": record.gradient_norms,
                }
            )

    def _add(self, line: dict[str, Any]) -> None:
        self._unwritten.append(f"{json.dumps(valid(line), ensure_ascii=False)}\n".encode())


def cut(path: Path, size: int) -> int:
    """Cut a file of metrics back to a size; what was after it is appended to `<name>.cut`.

    Returns:
        How many lines were cut off.

    Raises:
        RunError: It is shorter than that, or cannot be written.
    """
    with disk(path, "cut back"), path.open("r+b") as file:
        file.seek(0, os.SEEK_END)
        if file.tell() < size:
            raise RunError(
                f"{path} has {file.tell()} bytes, and had {size} when the checkpoint was written: "
                "lines are missing. Put the file back, or choose an older checkpoint by removing "
                "the newer ones"
            )
        file.seek(size)
        later = file.read()
        if later:
            with path.with_name(f"{path.name}.cut").open("ab") as aside:
                aside.write(later)
                aside.flush()
                os.fsync(aside.fileno())  # before the lines are gone from where they were
            file.truncate(size)
            os.fsync(file.fileno())
    return later.count(b"\n")


def valid(value: Any) -> Any:
    """Return a valid JSON value: JSON has neither NaN nor infinity, which become null."""
    if isinstance(value, Mapping):
        return {key: valid(part) for key, part in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _truncate(handle: int, size: int) -> None:
    """Cut off half a line; what is not a regular file cannot be cut, and keeps it."""
    with contextlib.suppress(OSError):
        os.ftruncate(handle, size)
