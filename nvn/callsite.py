"""Where a person wrote something: the nearest line of code that is no library's."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType, TracebackType

__all__ = ["CallSite", "call_site", "own_frames", "room_of"]


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
    while frame.f_back is not None and room_of(frame) in LIBRARIES:
        frame = frame.f_back
    return CallSite(frame.f_code.co_filename, frame.f_lineno)


def own_frames(trace: TracebackType | None) -> Iterator[TracebackType]:
    """Yield the parts of a traceback that are in a person's own code."""
    while trace is not None:
        if room_of(trace.tb_frame) not in LIBRARIES:
            yield trace
        trace = trace.tb_next


def room_of(frame: FrameType) -> str:
    """Return the package, or the module of none, that a frame's code is of."""
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


# A value that is given to a function of torch's comes back to nvn from the depths of that.
LIBRARIES = ("nvn", "torch", "numpy")
