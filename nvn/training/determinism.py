"""Running with torch's deterministic algorithms alone, as a run may ask for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from nvn.errors import RunError

__all__ = ["deterministic"]

_MISSING = "does not have a deterministic implementation"


@contextmanager
def deterministic(wanted: bool = True) -> Iterator[None]:
    """Let torch use deterministic algorithms alone; afterwards it is as before.

    On a CPU nvn's runs are the same to the bit without it, with the same number of threads. On a
    GPU some operations add up in any order unless this is asked for, and are slower then.

    Args:
        wanted: Whether to; else nothing is changed.

    Raises:
        RunError: Naming an operation that has no deterministic form.

    >>> with deterministic():
    ...     torch.are_deterministic_algorithms_enabled()
    True
    >>> torch.are_deterministic_algorithms_enabled()
    False
    """
    if not wanted:
        yield
        return
    before = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    benchmark = torch.backends.cudnn.benchmark
    # cuBLAS reads it when it is first used in this process.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False
    try:
        yield
    except RuntimeError as error:
        if _MISSING not in str(error):
            raise
        operation = str(error).partition(_MISSING)[0].strip()
        raise RunError(
            f"--deterministic: {operation} has no deterministic form in torch: replace it, or run "
            "without the option"
        ) from error
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warn_only)
        torch.backends.cudnn.benchmark = benchmark
