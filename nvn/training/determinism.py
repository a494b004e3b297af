"""Running with torch's deterministic algorithms alone, as a run may ask for."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from nvn.errors import GameError, NvnWarning, RunError

__all__ = ["deterministic"]

# How torch says that an operation has no deterministic form.
_MISSING = re.compile(r"(\S+) does not have a deterministic implementation")
_CUBLAS = "because it uses CuBLAS"
_CONFIG = "CUBLAS_WORKSPACE_CONFIG"
_FIT = (":4096:8", ":16:8")  # what cuBLAS has to be told


@contextmanager
def deterministic(wanted: bool = True) -> Iterator[None]:
    """Let torch use deterministic algorithms alone; afterwards it is as before.

    On a CPU nvn's runs are the same to the bit without it, with the same number of threads. On a
    GPU some operations add up in any order unless this is asked for, and are slower then.

    CUBLAS_WORKSPACE_CONFIG is set if it is not, and stays: cuBLAS reads it once a process.

    Args:
        wanted: Whether to; else nothing is changed.

    Raises:
        RunError: Naming an operation that has no deterministic form; or cuBLAS is told otherwise.

    Warns:
        NvnWarning: CUDA was started before, without it.

    >>> with deterministic():
    ...     torch.are_deterministic_algorithms_enabled()
    True
    >>> torch.are_deterministic_algorithms_enabled()
    False
    """
    if not wanted:
        yield
        return
    _tell_cublas()
    before = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    benchmark = torch.backends.cudnn.benchmark
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False
    try:
        yield
    except (RuntimeError, GameError) as error:
        found = _explained(error)
        if found is None:
            raise
        raise found from error
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warn_only)
        torch.backends.cudnn.benchmark = benchmark


def has_no_deterministic_form(error: Exception) -> bool:
    """Return whether torch refused an operation because it is held to deterministic ones."""
    return isinstance(error, RuntimeError | GameError) and _explained(error) is not None


def _tell_cublas() -> None:
    """Let cuBLAS be deterministic, which it is by what the environment says when it is started."""
    told = os.environ.get(_CONFIG)
    if told is None:
        os.environ[_CONFIG] = _FIT[0]
        if _computed_on_cuda():
            warnings.warn(
                f"--deterministic: CUDA was used before {_CONFIG} was set; set it to {_FIT[0]} in "
                "the environment, or matrix products may not be the same every time",
                NvnWarning,
                stacklevel=3,
            )
    elif told not in _FIT and torch.cuda.is_available():
        raise RunError(
            f"--deterministic: {_CONFIG} is {told!r} in the environment; expected "
            f"{' or '.join(_FIT)}, or nothing"
        )


def _computed_on_cuda() -> bool:
    """Return whether anything was ever computed there; that a device was chosen is harmless."""
    if not torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        return False
    stats = map(torch.cuda.memory_stats, range(torch.cuda.device_count()))
    return any(of.get("allocation.all.allocated", 0) for of in stats)


def _explained(error: RuntimeError | GameError) -> RunError | None:
    """Return what says that operations have no deterministic form, if torch's error does."""
    problems = error.problems if isinstance(error, GameError) else ()
    messages = [problem.found for problem in problems] or [str(error)]
    if any(_CUBLAS in message for message in messages):
        return RunError(
            "--deterministic: cuBLAS was started otherwise in this process; set "
            f"{_CONFIG}={_FIT[0]} in the environment before"
        )
    operations = [_MISSING.search(message) for message in messages]
    if not all(operations):
        return None
    names = ", ".join(dict.fromkeys(operation[1] for operation in operations if operation))
    found = RunError(
        f"--deterministic: {names} has no deterministic form in torch: replace it, or run without "
        "the option"
    )
    for problem in problems:
        found.add_note(f"{problem.where}: {_MISSING.split(problem.found)[0].strip(' :')}")
    for note in getattr(error, "__notes__", ()):
        found.add_note(note)
    return found
