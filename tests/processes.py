"""The command as a process of its own, and waiting for what it does, however slow the machine."""

import subprocess
import sys
import time
from collections.abc import Callable

HANG = 1800  # seconds after which a process is taken to hang, not to be slow

# Whoever runs the tests in the background may ignore SIGINT, and under nohup SIGHUP: a child would
# inherit that.
_START = """
import runpy, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.{hangup})
runpy.run_module("nvn", run_name="__main__", alter_sys=True)
"""
NVN = (sys.executable, "-c", _START.format(hangup="SIG_DFL"))
UNDER_NOHUP = (sys.executable, "-c", _START.format(hangup="SIG_IGN"))

Process = subprocess.Popen[str]


def until(happened: Callable[[], object], process: Process | None = None) -> None:
    """Wait for something that a process is to bring about; it has failed if the process ends."""
    deadline = time.monotonic() + HANG
    while not happened():
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def end_of(process: Process) -> tuple[int, str, str]:
    """Wait for the end; return the exit code, and what was said on stdout and stderr."""
    said, error = process.communicate(timeout=HANG)
    return process.returncode, said, error
