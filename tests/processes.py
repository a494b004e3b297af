"""The command as a process of its own, and waiting for what it does, however slow the machine."""

import os
import socket
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


def together(count: int, module: str, *arguments: str) -> list[str]:
    """Run a module in several processes, as torchrun would; return what each said.

    All end with code 0, or the first that did not is shown.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "GROUP_RANK": "0",
        "TORCHELASTIC_RUN_ID": "tests",
        "OMP_NUM_THREADS": "1",
    }
    started = [
        subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            env={**os.environ, **common, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(count)
    ]
    try:
        ends = [end_of(process) for process in started]
    finally:
        for process in started:
            process.kill()
    for code, said, error in ends:
        assert code == 0, f"{said}\n{error}"
    return [said for _, said, _ in ends]
