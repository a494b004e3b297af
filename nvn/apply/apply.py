"""`nvn apply`: what a trained game does to pictures of one's own, file by file.

DIR/<name>-<application>.png             a result
DIR/<name>-<application>-compared.png    the picture and its result beside each other
DIR/contact-sheet.png                    all of them, small; the next page is contact-sheet-2.png
DIR/applied.yaml                         which run it was, each file's result, what was skipped
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import count
from pathlib import Path

import yaml
from PIL import Image

from nvn.apply.contact_sheet import PAGE, Pair, beside, contact_sheet, small
from nvn.console import fail, progress, show
from nvn.errors import DataError, NvnError, RunError
from nvn.files import atomic_write, disk
from nvn.images import MADE_BY_US, Found, printable, read_picture, rgb
from nvn.training.stopping import Stop, stop_on_signals
from nvn.training.trained import Trained

__all__ = ["Applied", "apply_to", "check_free", "tell"]

_SHEET = "contact-sheet"
_IS_SHEET = re.compile(rf"{_SHEET}(-\d+)?", re.IGNORECASE)
_TOLD = 20  # files that were skipped are named on the terminal, at most
_PNG_MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")
_NAME_BYTES = 150  # of a result's name; file systems have 255, and a draft's name is longer


@dataclass
class Applied:
    """What was done.

    Attributes:
        results: For each picture's file, its result.
        skipped: For each file that gave none, why.
        sheets: The contact sheets.
        interrupted: Whether a signal ended it before all was done.
    """

    results: dict[Path, Path] = field(default_factory=dict)
    skipped: dict[Path, str] = field(default_factory=dict)
    sheets: list[Path] = field(default_factory=list)
    interrupted: bool = False


def check_free(out: Path) -> None:
    """Refuse a folder that holds anything: results never overwrite.

    Raises:
        RunError: If it is not new or empty, or cannot be looked into.
    """
    with disk(out, "create"):
        if out.exists() and any(out.iterdir()):
            raise RunError(f"{out} is not empty: nothing is overwritten, choose another folder")


def apply_to(trained: Trained, pictures: Sequence[Found], out: Path) -> Applied:
    """Apply a trained game to pictures, one after the other.

    A picture that cannot be read, or that the application refuses, is skipped. Ctrl-C (SIGTERM,
    SIGHUP) ends it; what is done stays, and has its contact sheet.

    Args:
        trained: The game; its recipe has an application.
        pictures: The files; all are found before anything is written.
        out: The folder for the results, new or empty.

    Raises:
        ConfigError: If the recipe has no application.
        RunError: If the folder is in use, or if something cannot be written.
    """
    name = trained.application.name
    check_free(out)
    with disk(out, "create"):
        out.mkdir(parents=True, exist_ok=True)
    stop = Stop()
    work = _Work(trained, out, stop)
    with stop_on_signals(stop), progress(name, len(pictures)) as bar:
        work.record()
        try:
            for found, place in _places(pictures, name).items():
                work.do(found, place)
                bar.advance()
        except KeyboardInterrupt:
            work.done.interrupted = True
        except RunError:
            raise  # the disk, which would not take a contact sheet either
        except BaseException:
            with suppress(RunError):
                work.finish()
            raise
        work.finish()
    return work.done


@dataclass
class _Work:
    """The work, and what it has come to."""

    trained: Trained
    out: Path
    stop: Stop
    done: Applied = field(default_factory=Applied)
    pairs: list[Pair] = field(default_factory=list)

    def do(self, found: Found, place: Path) -> None:
        """Read a picture, apply the game, write the result; or note why not."""
        try:
            with self.stop.at_once():
                before = read_picture(found.path)
                after = self.trained.apply(before)
                shown = rgb(after)
        except NvnError as error:
            self.done.skipped[found.path] = str(error)
            return
        path = self.out / place
        with disk(path.parent, "create"):
            path.parent.mkdir(parents=True, exist_ok=True)
        _write(path.with_name(f"{path.name}.png"), after if after.mode in _PNG_MODES else shown)
        _write(path.with_name(f"{path.name}-compared.png"), beside(before, shown))
        self.done.results[found.path] = path.with_name(f"{path.name}.png")
        self.pairs.append(Pair(printable(found.place), small(before), small(shown)))
        if len(self.pairs) == PAGE:
            self._page()

    def finish(self) -> None:
        """Write what remains to be written, which no signal ends."""
        self.stop.save()
        self._page()
        self.record()

    def _page(self) -> None:
        """Write a contact sheet, if there is anything to be on it."""
        if not self.pairs:
            return
        number = len(self.done.sheets) + 1
        path = self.out / (f"{_SHEET}.png" if number == 1 else f"{_SHEET}-{number}.png")
        title = f"{self.trained.recipe.name}: left before, right {self.trained.application.name}"
        page = f" ({number})" if number > 1 else ""
        _write(path, contact_sheet(f"{title}{page}", self.pairs))
        self.done.sheets.append(path)
        self.pairs.clear()

    def record(self) -> None:
        """Write applied.yaml; from the start, so that it marks a folder of results."""
        about = {
            "run": printable(self.trained.folder.resolve()),
            "recipe": self.trained.recipe.name,
            "application": self.trained.application.name,
            "nvn": version("nvn"),
            "results": _as_text(self.done.results),
            "skipped": _as_text(self.done.skipped),
        }
        text = yaml.safe_dump(about, sort_keys=False, allow_unicode=True)
        atomic_write(self.out / MADE_BY_US, text.encode())


def tell(applied: Applied, total: int, out: Path) -> None:
    """Say what was done, and, where errors go, what was skipped and why."""
    done = len(applied.results) + len(applied.skipped)
    what = f"interrupted after {done} of {total}; " if applied.interrupted else ""
    show(f"{what}{_counted(len(applied.results), 'result')} in {printable(out)}")
    for sheet in applied.sheets:
        show(f"contact sheet: {printable(sheet)}")
    if applied.skipped:
        lines = [f"{printable(path)}: {why}" for path, why in applied.skipped.items()]
        if len(lines) > _TOLD:
            lines[_TOLD:] = [f"and {len(lines) - _TOLD} more, see {printable(out / MADE_BY_US)}"]
        fail(DataError("\n  ".join([f"{_counted(len(applied.skipped), 'file')} skipped:", *lines])))


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _as_text(paths: Mapping[Path, Path | str]) -> dict[str, str]:
    return {printable(path): printable(what) for path, what in paths.items()}


def _write(path: Path, image: Image.Image) -> None:
    content = io.BytesIO()
    image.save(content, format="PNG")
    atomic_write(path, content.getvalue())


def _places(pictures: Iterable[Found], application: str) -> dict[Found, Path]:
    """Give every picture the place of its result beneath the folder, without ".png".

    No two are the same, not even where a file system does not tell capitals from small letters.
    """
    taken: set[str] = set()
    places = {}
    for found in pictures:
        for stem in _stems(found.place):
            place = found.place.parent / f"{stem}-{application}"
            ours = {f"{place}".casefold(), f"{place}-compared".casefold()}
            if not ours & taken and not _IS_SHEET.fullmatch(f"{place}"):
                break
        taken |= ours
        places[found] = place
    return places


def _stems(place: Path) -> Iterator[str]:
    """Yield names for a file's result, in the order in which they are tried: a, a.jpg, a_2."""
    stem = _shortened(place.stem)
    yield from (stem, _shortened(place.name))
    yield from (f"{stem}_{number}" for number in count(2))


def _shortened(stem: str) -> str:
    while len(stem.encode("utf-8", "surrogateescape")) > _NAME_BYTES:
        stem = stem[:-1]
    return stem
