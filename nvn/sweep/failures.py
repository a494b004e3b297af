"""Why a run failed, from what its process left."""

from __future__ import annotations

import re
import signal
from pathlib import Path

from nvn.sweep.results import Result

__all__ = ["failure", "process_of"]

_TAIL = 20_000  # bytes of a log that are read
_ERROR = re.compile(r"^error: (.*)", re.MULTILINE | re.DOTALL)  # as nvn says one, to the end


def failure(result: Result, code: int, log: Path) -> str:
    """Say why a run failed.

    Args:
        result: What its folder says.
        code: Its process's exit code; minus a signal's number.
        log: What it said.
    """
    if code < 0:
        memory = ": is memory short?" if code == -signal.SIGKILL else ""
        return f"ended by {_name(-code)}{memory}"
    if result.error is not None:
        return result.error
    said = _tail(log)
    if match := _ERROR.search(said):
        return match[1].strip()
    lines = [line for line in said.splitlines() if line.strip()]
    last = lines[-1].strip() if lines else "it said nothing"
    return f"{last} (exit code {code})"


def process_of(log: Path) -> str | None:
    """Return the number of the process that a log is of, if it says so."""
    try:
        with log.open(encoding="utf-8", errors="replace") as file:
            match = re.search(r"^process (\d+)$", file.read(_TAIL), re.MULTILINE)
    except OSError:
        return None
    return match[1] if match else None


def _tail(log: Path) -> str:
    try:
        return log.read_bytes()[-_TAIL:].decode(errors="replace")
    except OSError:
        return ""


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
