"""The plugin that writes a run's report when it has ended, and what notes its warnings before."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from nvn.errors import NvnWarning
from nvn.report import write_report
from nvn.training.hooks import hook

if TYPE_CHECKING:
    from nvn.training.run import Run

__all__ = ["REPORT", "Reports", "noting"]

REPORT = "report.html"


class Reports:
    """The plugin that writes report.html. A failure of that is told, and costs the run nothing."""

    @hook
    def run_finished(self, run: Run) -> None:
        """Write it: run.yaml and everything else are there."""
        try:
            write_report([run.folder], run.folder / REPORT)
        except Exception as error:  # noqa: BLE001  (whatever it is, it must not cost the run)
            said = str(error) or type(error).__name__
            warnings.warn(f"there is no report of this run: {said}", NvnWarning, stacklevel=2)


@contextmanager
def noting(note: Callable[[str], None]) -> Iterator[None]:
    """Let `note` have the text of each warning of nvn's that is shown meanwhile."""
    before = warnings.showwarning

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        before(message, category, filename, lineno, file, line)
        if issubclass(category, NvnWarning):
            note(str(message))

    warnings.showwarning = show
    try:
        yield
    finally:
        if warnings.showwarning is show:  # else somebody has put another one there
            warnings.showwarning = before
