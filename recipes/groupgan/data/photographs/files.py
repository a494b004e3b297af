"""Finding pictures in folders, whatever their spelling, and saying so where there are none."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import nvn
from nvn.folders import Inside, LeftOut, is_litter, look_into, natural, refusing

LONGEST = 64 << 20  # bytes of a list of pictures, at most
MISPLACED = "pictures where folders are expected"
SHOWN = 8  # of what is in a folder


@dataclass(frozen=True)
class Tree:
    """A tree of folders, looked into level by level; what is passed over is written down.

    Links out of it are followed. A link to another folder of it is not: a person, or an expression,
    would be there under two names.

    Attributes:
        root: Its folder.
        left_out: Where it is written down.
        shared: Whether a picture may be a link to one of another folder, such as a neutral face.
        beside: Endings of files that come with the pictures and are not read.
    """

    root: Path
    left_out: LeftOut
    shared: bool = False
    beside: frozenset[str] = field(default_factory=frozenset)

    def inside(self, folder: Path) -> Inside:
        """Return what is in a folder; one that may not be read is written down."""
        return look_into(folder, self._tell, self._refused)

    def folders(self, folder: Path) -> tuple[Path, ...]:
        """Return the folders in a folder in which only folders are expected."""
        found = self.inside(folder)
        for path in found.pictures:
            self.left_out.add(MISPLACED, path)
        return found.folders

    def pictures(self, folder: Path) -> tuple[Path, ...]:
        """Return the picture files in a folder, in natural order."""
        return self.inside(folder).pictures

    def _tell(self, reason: str, path: Path) -> None:
        if path.suffix.casefold() not in self.beside:
            self.left_out.add(reason, path)

    def _refused(self, link: Path) -> str | None:
        return None if self.shared and not _is_folder(link) else self._leads_back(link)

    @cached_property
    def _leads_back(self) -> Callable[[Path], str | None]:
        return refusing(self.root)


def seen(folder: Path) -> list[Path]:
    """Return what is in a folder, in natural order, but for what systems leave behind.

    Raises:
        DataError: If it may not be read.
    """
    try:
        return sorted((p for p in folder.iterdir() if not is_litter(p.name)), key=natural)
    except OSError as error:
        raise nvn.DataError(f"{folder} cannot be read: {error.strerror or error}") from error


def text(path: Path, what: str, most: int = LONGEST, errors: str = "strict") -> str:
    """Return the text of a file, without the mark that some editors put at its beginning.

    Args:
        path: The file.
        what: What it has, for the error's text.
        most: The bytes that it has at most.
        errors: What to do about bytes that are no UTF-8.

    Raises:
        DataError: If it is no such file, or cannot be read.
    """
    try:
        return nvn.files.read_regular(path, what, most).decode("utf-8-sig", errors)
    except (nvn.RunError, UnicodeDecodeError) as error:
        raise nvn.DataError(f"{path} cannot be read: {error}") from error


def within(folder: Path, *names: str) -> Path | None:
    """Return the folder of one of the names, in any case, or None."""
    known = {path.name.casefold(): path for path in reversed(seen(folder)) if _is_folder(path)}
    return next((known[name.casefold()] for name in names if name.casefold() in known), None)


def beneath(root: Path, name: str) -> Path | None:
    """Return the folder of a name in `root` or in a folder of it, or None.

    An archive may have been unpacked into a folder of its own, or the root be one level too high.
    """
    if found := within(root, name):
        return found
    for folder in filter(_is_folder, seen(root)):
        with suppress(nvn.DataError):  # a neighbor that nobody may look into
            if found := within(folder, name):
                return found
    return None


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # what it leads to may not be looked at
        return False


def require(root: Path, name: str, layout: str) -> None:
    """Refuse a root that is no folder.

    Raises:
        DataError: It says what was expected there.
    """
    if not root.is_dir():
        what = "it is a file" if root.exists() else "there is no such folder"
        raise misplaced(root, name, layout, what)


def misplaced(root: Path, name: str, layout: str, found: str = "") -> nvn.DataError:
    """Return the error that a data set is not in its root: what is, and what should be.

    Args:
        root: The folder it was looked for in.
        name: The data set.
        layout: The paths expected, a line each, beginning with ROOT.
        found: What is there instead; by default the names of what is.
    """
    return nvn.DataError(
        f"{name} was looked for in {root}, but {found or _contents(root)}.\n"
        f"expected:\n{layout}\n"
        "fix: --set root=FOLDER, the folder that is called ROOT here"
    )


def _contents(root: Path) -> str:
    names = [path.name + "/" * _is_folder(path) for path in seen(root)]
    if not names:
        return "that folder is empty"
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"what is there is {', '.join(names[:SHOWN])}{more}"


def indented(*lines: str) -> str:
    """Return the lines of a layout as messages show them."""
    return "\n".join(f"    {line}" for line in lines)
