"""Ending a process that waits for another one which is gone, where nothing can interrupt it."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

__all__ = ["GRACE", "end_at_once"]

GRACE = 10.0  # seconds after which a step is taken to wait for a process that is gone


def end_at_once(said: str = "") -> NoReturn:
    """End this process, from whatever thread, with exit code 1.

    Waiting for a CUDA device, or for torch's processes to gather, is nothing that Python could
    interrupt: no error can be raised there.

    Args:
        said: The error, for a person; none, where another process tells it.
    """
    if said:
        sys.stderr.write(f"error: {said}\n")
        sys.stderr.flush()
    os._exit(1)
