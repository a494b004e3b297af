"""From the folders of runs to a page on the disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nvn.files import atomic_write
from nvn.report.gather import gather
from nvn.report.page import page

__all__ = ["write_report"]


def write_report(folders: Sequence[Path], out: Path) -> None:
    """Write the report of one run, or of several beside one another, as one page.

    Args:
        folders: The runs' folders.
        out: The page; it is replaced.

    Raises:
        RunError: A folder is no run's, or the page cannot be written.
    """
    atomic_write(out, page([gather(folder) for folder in folders]).encode())
