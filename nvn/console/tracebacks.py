"""Tracebacks of unexpected errors: a person's own code, and of libraries nothing.

Of nvn itself only where it is nvn that failed: such a traceback is for those who mend that.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import TracebackType

from nvn.callsite import LIBRARIES, room_of

# What a command goes through before it comes to a recipe, and what a recipe's code goes through.
HIDDEN = frozenset(
    [*LIBRARIES, "__main__", "importlib", "lightning_fabric", "pluggy", "runpy", "typer"]
)
_FILE = re.compile(r'  File "(?P<path>.+?)", line \d+')


def crash(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print a traceback of the code that is not nvn's nor torch's; a `sys.excepthook`."""
    for link in _chain(error):
        _shorten(link)
        link.__traceback__ = _shown(link)
    sys.__excepthook__(kind, error, error.__traceback__)


def _chain(error: BaseException) -> list[BaseException]:
    """Return an error and those it was raised from."""
    chain = [error]
    while (link := chain[-1].__cause__ or chain[-1].__context__) and link not in chain:
        chain.append(link)
    return chain


def _shown(error: BaseException) -> TracebackType | None:
    """Return the part of an error's traceback that says something to who reads it."""
    parts = [*_parts(error.__traceback__)]
    own = [part for part in parts if not _is_hidden(part)]
    if parts and _is_of_nvn(parts[-1]):
        first = parts.index(own[0]) if own else 0
        return _joined([part for part in parts[first:] if part in own or _is_of_nvn(part)])
    if own:
        return _joined(own)
    # What a layer of torch's raises, say, has notes on whose that is, and where; and what a worker
    # raised has frames in its text.
    if getattr(error, "__notes__", ()) or _of_worker(error):
        return None
    return _joined([part for part in parts if _is_of_nvn(part)])


def _parts(trace: TracebackType | None) -> list[TracebackType]:
    parts = []
    while trace is not None:
        parts.append(trace)
        trace = trace.tb_next
    return parts


def _joined(parts: list[TracebackType]) -> TracebackType | None:
    trace: TracebackType | None = None
    for part in reversed(parts):
        trace = TracebackType(trace, part.tb_frame, part.tb_lasti, part.tb_lineno)
    return trace


def _is_hidden(part: TracebackType) -> bool:
    written_out = part.tb_frame.f_code.co_filename.startswith("<nvn loop")
    return written_out or room_of(part.tb_frame) in HIDDEN


def _is_of_nvn(part: TracebackType) -> bool:
    """Tell whether a frame is nvn's, energies apart: these refuse what they are given."""
    name = str(part.tb_frame.f_globals.get("__name__", ""))
    return room_of(part.tb_frame) == "nvn" and not name.startswith("nvn.energies")


def _shorten(error: BaseException) -> None:
    """Leave libraries' frames out of the traceback that a DataLoader's worker sends as a text."""
    text = _of_worker(error)
    folders = tuple(f"{Path(file).parent}/" for file in map(_file_of, HIDDEN) if file)
    kept, hiding = [], False
    for line in str(text).splitlines():
        if found := _FILE.match(line):
            hiding = found["path"].startswith(folders)
        elif not line.startswith("    "):
            hiding = False
        if not hiding:
            kept.append(line)
    if text:
        error.args = (type(text)("\n".join(kept)),)  # torch's own type, for what is a KeyError


def _of_worker(error: BaseException) -> str:
    """Return the text that an error of a worker's has, with a traceback in it; "" of others."""
    text = error.args[0] if len(error.args) == 1 else ""
    told = isinstance(text, str) and "\nOriginal Traceback (most recent call last):" in text
    return text if told else ""


def _file_of(package: str) -> str | None:
    found = None if package == "__main__" else getattr(sys.modules.get(package), "__file__", None)
    # A module that is a file has neighbors of all kinds: a package has its folder alone.
    return found if isinstance(found, str) and found.endswith("__init__.py") else None
