"""Looking through folders for pictures: one list of endings and one way to walk, for all readers.

What is passed over is told, with a reason that reads well after a number. Only of what is hidden,
of what systems leave behind, and of earlier results nothing is said: nobody means them.
"""

from __future__ import annotations

import re
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from nvn.errors import DataError, NvnWarning
from nvn.images import endings, printable

__all__ = [
    "Inside",
    "LeftOut",
    "PictureFile",
    "Telling",
    "find_pictures",
    "is_litter",
    "look_into",
    "natural",
    "refusing",
    "walk",
]

MADE_BY_US = "applied.yaml"  # in folders of results, whose pictures are not taken as inputs
# Left behind by macOS, Windows, and disks on a network; other such names begin with a dot.
_LITTER = frozenset(
    (
        *("__macosx", "icon\r", "thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin"),
        *("system volume information", "@eadir", "#recycle", "#snapshot", "lost+found"),
    )
)
_NAMED = 5  # of a kind; of more, only how many there are
NO_PICTURE = "not pictures by their endings"
LINKED = "links to what is read at its own place"
LEADS_OUT = "links that lead out of it"
LINKED_FOLDER = "links to folders"
AGAIN = "folders that were looked into by another way"

Telling: TypeAlias = Callable[[str, Path], None]  # a reason, and what is left out for it


class LeftOut:
    """What was left out so far, by the reason why: counted and named.

    Args:
        where: Where it was found, in words.
        root: The folder it lies in.

    >>> left_out = LeftOut("photos", Path("photos"))
    >>> for number in range(7):
    ...     left_out.add("too small", Path(f"photos/{number}.png"))
    >>> print(left_out)
        7 too small: 0.png, 1.png, 2.png, 3.png, 4.png, … and 2 more
    """

    def __init__(self, where: str, root: Path) -> None:
        self._where = where
        self._root = root
        # (Names in a dict: what is come upon twice is one.)
        self._names: dict[str, dict[str, None]] = defaultdict(dict)

    def add(self, reason: str, path: Path) -> None:
        """Count one, under a reason that reads well after a number: "too short"."""
        root = self._root
        beneath = path.relative_to(root) if path.is_relative_to(root) else path
        self._names[reason][printable(beneath.as_posix())] = None

    def __bool__(self) -> bool:
        return bool(self._names)

    def __str__(self) -> str:
        return "\n".join(
            f"    {len(names)} {reason}: {_listed(list(names))}"
            for reason, names in self._names.items()
        )

    def warn(self) -> None:
        """Say all of it in one warning, if there is anything to say."""
        if self:
            said = f"{self._where}: not all of it is used.\n{self}"
            warnings.warn(said, NvnWarning, stacklevel=3)

    def nothing_left(self, expected: str) -> DataError:
        """Return the error that nothing at all can be used."""
        found = f"{self}\n" if self else ""
        return DataError(f"{self._where}: nothing of it can be used.\n{found}expected:\n{expected}")


def _listed(names: list[str]) -> str:
    """The first few names, and how many more there are."""
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f", … and {more} more" if more > 0 else "")


@dataclass(frozen=True)
class Inside:
    """What is in a folder, in natural order.

    Attributes:
        folders: The folders, and links to folders.
        pictures: The picture files, known by their endings; they may turn out to be none.

    >>> Inside(folders=(), pictures=(Path("a.png"),)).pictures[0].name
    'a.png'
    """

    folders: tuple[Path, ...]
    pictures: tuple[Path, ...]


def natural(path: Path) -> tuple[list[tuple[int, int, str]], str]:
    """Return a key by which names are in the order that people count in: 2 before 10.

    >>> [path.name for path in sorted([Path("b10"), Path("B2"), Path("a")], key=natural)]
    ['a', 'B2', 'b10']
    """
    parts = re.split(r"(\d+)", path.name.casefold())
    return [(1, int(p), "") if p.isdecimal() else (0, 0, p) for p in parts], path.name


def look_into(
    folder: Path, telling: Telling, refused: Callable[[Path], str | None] = lambda link: None
) -> Inside:
    """Look into one folder; one that may not be read is told of, and has nothing in it.

    Args:
        folder: The folder.
        telling: Is told what is left out.
        refused: Says why a link is not to be followed, if it is not.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     for name in ("a.png", ".hidden.png", "Thumbs.db", "notes.txt"):
    ...         Path(folder, name).touch()
    ...     found = look_into(Path(folder), lambda why, path: print(path.name, why, sep=": "))
    ...     [path.name for path in found.pictures]
    notes.txt: not pictures by their endings
    ['a.png']
    """
    try:
        entries = sorted((p for p in folder.iterdir() if not is_litter(p.name)), key=natural)
    except OSError as error:
        telling(f"folders that cannot be read ({error.strerror})", folder)
        return Inside((), ())
    known = endings()
    folders, pictures = list[Path](), list[Path]()
    for path in entries:
        is_folder = _is_folder(path)
        if not is_folder and path.suffix.casefold() not in known:
            telling(NO_PICTURE, path)
        elif path.is_symlink() and (why := refused(path)):
            telling(why, path)
        else:
            (folders if is_folder else pictures).append(path)
    return Inside(tuple(folders), tuple(pictures))


def walk(root: Path, telling: Telling, *, outward: bool) -> Iterator[Path]:
    """Yield every picture beneath a folder once: those of a folder first, then its folders'.

    A link to what is found at its own place is passed over, or a picture would be found under two
    names. Folders of results of `nvn apply` are passed over.

    Args:
        root: The folder.
        telling: Is told what is left out.
        outward: Whether links are followed that lead out of the folder, and those to folders.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     Path(folder, "cats").mkdir()
    ...     for name in ("z.png", "cats/a.png"):
    ...         Path(folder, name).touch()
    ...     [path.name for path in walk(Path(folder), print, outward=False)]
    ['z.png', 'a.png']
    """
    refused = refusing(root, outward=outward)
    waiting, looked_into, found = [root], set[Path](), set[Path]()
    while waiting:
        folder = waiting.pop()
        real = _resolved(folder)
        if real in looked_into:  # through a link, from elsewhere back to where we were
            telling(AGAIN, folder)
            continue
        looked_into.add(real)
        if _is_file(folder / MADE_BY_US):
            continue
        inside = look_into(folder, telling, refused)
        for path in inside.pictures:
            place = _resolved(path) if path.is_symlink() else real / path.name
            if place in found:
                telling(LINKED, path)
            else:
                found.add(place)
                yield path
        waiting += reversed(inside.folders)


def refusing(root: Path, *, outward: bool = True) -> Callable[[Path], str | None]:
    """Return what says of a link beneath a folder why it is not to be followed, if it is not.

    A link to what is found at its own place would give a picture, a person or a class two names.

    Args:
        root: The folder.
        outward: Whether links are followed that lead out of it, and those to folders.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     refusing(Path(folder), outward=False)(Path.cwd())
    'links that lead out of it'
    """
    real_root = _resolved(root)

    def refused(link: Path) -> str | None:
        try:
            real = link.resolve(strict=True)
        except (OSError, RuntimeError):  # it leads nowhere, or in a circle: reading it tells
            return None
        if not real.is_relative_to(real_root):
            return None if outward else LEADS_OUT
        if _is_found(real.relative_to(real_root), real):
            return LINKED
        return None if outward or not _is_folder(link) else LINKED_FOLDER

    return refused


def _is_found(place: Path, real: Path) -> bool:
    """Whether walking finds what is at a place: nothing of its path is passed over by its name."""
    hidden = any(is_litter(part) for part in place.parts)
    return not hidden and (_is_folder(real) or real.suffix.casefold() in endings())


def is_litter(name: str) -> bool:
    """Return whether a file or folder of this name is passed over: hidden, or left by a system.

    >>> [name for name in ("photos", "__MACOSX", ".git", "Thumbs.db") if not is_litter(name)]
    ['photos']
    """
    return name.startswith(".") or name.casefold() in _LITTER


# (What may not be looked at is, for us, neither.)
def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError):  # links that lead in a circle: reading it tells
        return path.absolute()


@dataclass(frozen=True)
class PictureFile:
    """A picture file.

    Attributes:
        path: The file.
        place: Where it lies beneath the folder that was given; of a file that was given, its name.

    >>> PictureFile(Path("photos/2024/smile.jpg"), place=Path("2024/smile.jpg")).place.name
    'smile.jpg'
    """

    path: Path
    place: Path


def find_pictures(given: Iterable[Path]) -> tuple[PictureFile, ...]:
    """Find pictures: files as they are given, and those in folders, each file once.

    Folders are walked in the order of names, numbers as people count. What is passed over is said
    in a warning (`NvnWarning`) for each folder.

    Raises:
        DataError: If there is no file at all.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     for name in ("b.png", "a.JPG", ".hidden.png", "desktop.ini"):
    ...         Path(folder, name).touch()
    ...     [str(found.place) for found in find_pictures([Path(folder)])]
    ['a.JPG', 'b.png']
    """
    given = list(given)
    files: dict[Path, PictureFile] = {}
    passed_over: list[LeftOut] = []
    for path in given:
        if not _is_folder(path):
            files.setdefault(_resolved(path), PictureFile(path, Path(path.name)))
            continue
        left_out = LeftOut(printable(path), path)
        passed_over.append(left_out)
        for each in walk(path, left_out.add, outward=False):
            files.setdefault(_resolved(each), PictureFile(each, each.relative_to(path)))
    if not any(_exists(each.path) for each in files.values()):
        raise _none(given, passed_over)
    for left_out in passed_over:
        left_out.warn()
    return tuple(files.values())


def _none(given: Iterable[Path], passed_over: Iterable[LeftOut]) -> DataError:
    names = ", ".join(printable(path) for path in given)
    found = "".join(f"\n{left_out}" for left_out in passed_over if left_out)
    return DataError(
        f"there are no pictures: {names or 'nothing was given'}. "
        f"Expected files, or folders with files that end in one of {' '.join(sorted(endings()))}"
        f"{f'{chr(10)}found:{found}' if found else ''}"
    )


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # such as a name that is too long: reading it tells
        return False
