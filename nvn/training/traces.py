"""Tracebacks of errors in a recipe's own functions, as text."""

from __future__ import annotations

import traceback

__all__ = ["own_traceback", "summary"]


def own_traceback(error: BaseException) -> str:
    """Return an error's traceback without the frames of nvn that called the recipe's function."""
    own = error.__traceback__
    while own is not None and _is_ours(str(own.tb_frame.f_globals.get("__name__", ""))):
        own = own.tb_next
    # (An error that nvn itself raised, of what a function returned, has none of the recipe's.)
    text = "".join(traceback.format_exception(type(error), error, own, chain=False))
    return text.rstrip("\n")


def summary(error: BaseException) -> str:
    """Return an error in a line: its kind and message, and the line of code that raised it."""
    text = "".join(traceback.format_exception_only(type(error), error)).strip()
    steps = traceback.extract_tb(error.__traceback__)
    return f"{text} ({steps[-1].filename}, line {steps[-1].lineno})" if steps else text


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] in ("nvn", "contextlib")
