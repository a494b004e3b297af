"""A module that is not there, as one error: which line imports it, and what to do."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from nvn.errors import did_you_mean
from nvn.folder_package import folder_of
from nvn.packages import how_to_install

__all__ = ["missing_module"]


def missing_module(error: ModuleNotFoundError) -> str | None:
    """Return what to tell a person of an import that failed; None if it has no module's name."""
    if error.name is None:
        return None
    where = _where(error.__traceback__)
    top, _, inside = error.name.partition(".")
    folder = folder_of(error.name)
    if folder is not None:
        known = [path.stem for path in folder.glob("*.py")]
        place = folder.joinpath(*inside.split("."))
        return f"{where}: there is no {place}.py to import.{did_you_mean(inside, known)}"
    if inside and _is_there(top):
        return f"{where}: the package {top}, which is installed, has no module {error.name}"
    return (
        f"{where}: the package {top} is needed, and is not installed in {sys.prefix}: "
        f"{how_to_install(top)}"
    )


def _where(trace: TracebackType | None) -> str:
    """Return the line that imports: the innermost one that is no machinery of imports."""
    place = "an import"
    for frame in _frames(trace):
        name = str(frame.tb_frame.f_globals.get("__name__", ""))
        if not name.startswith("importlib") and name != "nvn.folder_package":
            place = f"{Path(frame.tb_frame.f_code.co_filename)}, line {frame.tb_lineno}"
    return place


def _frames(trace: TracebackType | None) -> Iterator[TracebackType]:
    while trace is not None:
        yield trace
        trace = trace.tb_next


def _is_there(top: str) -> bool:
    try:
        return importlib.util.find_spec(top) is not None
    except ValueError:  # it has been imported, and has no spec
        return True
