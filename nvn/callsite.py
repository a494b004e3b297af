"""Where a person wrote something: the nearest line of code that is no library's."""

from __future__ import annotations

import sys
from dataclasses import dataclass


@dataclass(frozen=True)
class CallSite:
    """A line of the user's code."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file.rsplit('/', 1)[-1]}:{self.line}"


def call_site() -> CallSite:
    """Return the nearest line up the stack that is not nvn's, nor of torch or NumPy."""
    frame = sys._getframe(1)
    while frame.f_back is not None and _is_ours(frame.f_globals.get("__name__", "")):
        frame = frame.f_back
    return CallSite(frame.f_code.co_filename, frame.f_lineno)


def _is_ours(module: str) -> bool:
    # A value that is given to a function of torch's comes back to nvn from the depths of that.
    return module.partition(".")[0] in ("nvn", "torch", "numpy")
