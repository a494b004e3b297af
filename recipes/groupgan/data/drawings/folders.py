"""Drawings of one's own: any folder of pictures, and Sketchy as it is distributed."""

from __future__ import annotations

import random
import re
import warnings
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

import nvn
from nvn import folders
from nvn.images import endings, printable

from .labeled import Drawings
from .likeness import merge_alike
from .pictures import Gray, read_drawing

NAMED = 10  # files named in a message; of more, only how many there are
ANY_LAYOUT = """\
ROOT/CLASS/….png     a folder of drawings for each class, in folders of their own if need be
or
ROOT/….png           drawings of one class"""
SKETCHY_LAYOUT = """\
ROOT/sketch/tx_000100000000/airplane/n02691156_10151-1.png     (ROOT may be 256x256, or hold it)"""
SKETCHY_RENDERING = "tx_000100000000"  # centered, and scaled to the box of the photograph's object
SKETCHY_NAME = re.compile(r"(?P<photo>n\d+_\d+)-\d+")


def from_folder(root: Path, side: int, limit: int | None = None) -> Drawings:
    """Read every picture in a folder: dark ink on a white ground, of any size and mode.

    The class of a drawing is the folder under `root` that it lies in, or `root` itself. Drawings
    that look nearly the same share a group. Links out of the folder are followed; one to what is
    found at its own place is not, or a drawing would be of two classes.

    Args:
        root: The folder.
        side: The side of the drawings, in pixels.
        limit: How many to read at most, equally many of each class; None reads all.

    Raises:
        DataError: If there is no such folder, or no picture in it.

    Warns:
        NvnWarning: If something is left out: it is counted and named.
    """
    _require_folder(root, ANY_LAYOUT)
    passed_over = folders.LeftOut(f"The drawings in {printable(root)}", root)

    def kind(path: Path) -> str:
        inside = path.relative_to(root).parts
        return inside[0] if len(inside) > 1 else root.resolve().name

    files = list(folders.walk(root, passed_over.add, outward=True))
    drawings = _read(root, files, kind, side, limit, ANY_LAYOUT, passed_over)
    passed_over.warn()
    alone = torch.arange(len(drawings))
    return replace(drawings, group=merge_alike(drawings.pictures, alone))


def from_sketchy(root: Path, side: int, limit: int | None = 1000) -> Drawings:
    """Read the drawings of Sketchy (Sangkloy et al. 2016), in the layout it is distributed in.

    Drawings of one photograph share a group. Where one rendering is there, the one named
    `tx_000100000000` is taken, else the first.

    Args:
        root: The folder `256x256`, the one that holds it, `sketch`, or a rendering of it.
        side: The side of the drawings, in pixels.
        limit: How many to read at most, equally many of each class (Niu et al. 2022 take 1000);
            None reads all.

    Raises:
        DataError: If there is no such folder, or no drawing in it.

    Warns:
        NvnWarning: If something is left out: it is counted and named.
    """
    _require_folder(root, SKETCHY_LAYOUT)
    passed_over = folders.LeftOut(f"Sketchy in {printable(root)}", root)
    files = []
    for path in folders.walk(_rendering(root), passed_over.add, outward=True):
        if SKETCHY_NAME.fullmatch(path.stem):
            files.append(path)
        else:
            passed_over.add("not named as drawings of Sketchy are", path)

    def kind(path: Path) -> str:
        return path.parent.name

    drawings = _read(root, files, kind, side, limit, SKETCHY_LAYOUT, passed_over)
    passed_over.warn()
    numbers: dict[str, int] = {}
    photos = [_photo(name) for name in drawings.names]
    group = torch.tensor([numbers.setdefault(photo, len(numbers)) for photo in photos])
    return replace(drawings, group=group)


def _photo(name: str) -> str:
    """The photograph that a drawing of Sketchy was made from."""
    return Path(name).stem.rpartition("-")[0]


def _rendering(root: Path) -> Path:
    """The folder that holds the folders of Sketchy's classes."""
    for top in (root, root / "sketch", root / "256x256" / "sketch"):
        renderings = sorted(path for path in top.glob("tx_*") if path.is_dir())
        for path in renderings:
            if path.name == SKETCHY_RENDERING:
                return path
        if renderings:
            return renderings[0]
    return root


def _read(
    root: Path,
    files: Sequence[Path],
    kind: Callable[[Path], str],
    side: int,
    limit: int | None,
    layout: str,
    passed_over: folders.LeftOut,
) -> Drawings:
    """Read the files as drawings, each a group of its own, in order of their paths."""
    read: dict[Path, Gray] = {}
    left_out: dict[Path, str] = {}
    wanted = len(files) if limit is None else min(limit, len(files))
    with nvn.progress("reading drawings", total=wanted) as bar:
        for path in _mixed(files, kind):
            if len(read) == wanted:
                break
            try:
                read[path] = read_drawing(path, side)
                bar.advance()
            except nvn.DataError as error:
                left_out[path] = str(error)
            except Exception as error:  # noqa: BLE001  (one drawing's must not cost the others)
                left_out[path] = f"{type(error).__name__}: {error}"
    if not read:
        raise _nothing(root, left_out, layout, passed_over)
    if left_out:
        count = f"{len(left_out)} of {len(left_out) + len(read)} pictures in {printable(root)}"
        said = f"{count} were left out: {_listed(left_out, root)}"
        warnings.warn(said, nvn.NvnWarning, stacklevel=3)
    paths = sorted(read)
    kinds = [kind(path) for path in paths]
    classes = sorted(set(kinds))
    return Drawings(
        pictures=torch.from_numpy(np.stack([read[path] for path in paths])).unsqueeze(1),
        label=torch.tensor([classes.index(each) for each in kinds]),
        group=torch.arange(len(paths)),
        classes=tuple(classes),
        names=tuple(path.relative_to(root).as_posix() for path in paths),
    )


def _mixed(files: Sequence[Path], kind: Callable[[Path], str]) -> list[Path]:
    """The files in an order of which any beginning is drawn evenly from the classes."""
    of_class: dict[str, list[Path]] = defaultdict(list)
    for path in files:
        of_class[kind(path)].append(path)
    ranked = []
    for name in sorted(of_class):
        members = sorted(of_class[name])
        random.Random(0).shuffle(members)
        ranked += [(rank, name, path) for rank, path in enumerate(members)]
    return [path for _, _, path in sorted(ranked)]


def _require_folder(root: Path, layout: str) -> None:
    if not root.is_dir():
        what = "is a file" if root.exists() else "does not exist"
        raise nvn.DataError(
            f"the folder of drawings, {printable(root)}, {what}\nexpected:\n{layout}"
        )


def _nothing(
    root: Path, left_out: dict[Path, str], layout: str, passed_over: folders.LeftOut
) -> nvn.DataError:
    """What to say where there is no drawing to be read."""
    if left_out:
        found = f"{len(left_out)} that cannot be read: {_listed(left_out, root)}"
    else:
        found = _contents(root)
    also = f"\nleft out:\n{passed_over}" if passed_over else ""
    return nvn.DataError(
        f"there is no drawing in {printable(root)}\nfound: {found}{also}\nexpected:\n{layout}\n"
        f"(endings read: {', '.join(sorted(endings()))})"
    )


def _contents(root: Path) -> str:
    try:
        inside = sorted(printable(path.name) + "/" * path.is_dir() for path in root.iterdir())
    except OSError as error:
        return f"a folder that cannot be read ({error.strerror})"
    rest = f" and {len(inside) - NAMED} more" if len(inside) > NAMED else ""
    return ", ".join(inside[:NAMED]) + rest if inside else "nothing, it is empty"


def _listed(left_out: dict[Path, str], root: Path) -> str:
    """The first of some files, and why they could not be read."""
    parts = [
        f"{printable(path.relative_to(root).as_posix())} ({left_out[path]})"
        for path in sorted(left_out)[:NAMED]
    ]
    rest = len(left_out) - len(parts)
    return "; ".join(parts) + (f"; and {rest} more" if rest else "")
