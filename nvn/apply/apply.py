"""`nvn apply`: a trained game, applied to picture files one by one.

DIR/<name>-<application>.png             a result
DIR/<name>-<application>-compared.png    the picture and its result side by side
DIR/contact-sheet.png                    thumbnails of all; the next page is contact-sheet-2.png
DIR/applied.yaml                         the run, each file's result, what was skipped and why
"""

from __future__ import annotations

import io
import math
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import yaml
from PIL import Image

from nvn.apply.contact_sheet import PAGE, Pair, beside, contact_sheet, small
from nvn.console import fail, progress, show
from nvn.errors import DataError, NvnError, RunError
from nvn.files import atomic_write, disk
from nvn.images import MADE_BY_US, PictureFile, printable, read_picture, rgb
from nvn.packages import version
from nvn.training.stopping import Stop, stop_on_signals
from nvn.training.trained import Trained

__all__ = ["Applied", "apply_to", "check_empty", "report"]

_SHEET = "contact-sheet"
_IS_SHEET = re.compile(rf"{_SHEET}(-\d+)?", re.IGNORECASE)
_LISTED = 20  # skipped files named on the terminal, at most
_PNG_MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")
_NAME_BYTES = (
    150  # of a result's name; file systems allow 255, and a temporary file's name is longer
)


@dataclass
class Applied:
    """The outcome of applying a game to files.

    Attributes:
        results: The result of each file.
        skipped: The reason for each file that was skipped.
        sheets: The contact sheets.
        interrupted: Whether a signal stopped it.
    """

    results: dict[Path, Path] = field(default_factory=dict)
    skipped: dict[Path, str] = field(default_factory=dict)
    sheets: list[Path] = field(default_factory=list)
    interrupted: bool = False


def check_empty(out: Path) -> None:
    """Check that an output folder is new or empty: nothing is overwritten.

    Raises:
        RunError: If it is not, or cannot be read.
    """
    with disk(out, "create"):
        if out.exists() and any(out.iterdir()):
            raise RunError(f"{out} is not empty: nothing is overwritten, choose another folder")


def apply_to(trained: Trained, pictures: Sequence[PictureFile], out: Path) -> Applied:
    """Apply a trained game to picture files, one by one.

    A file that cannot be read, or that the application refuses, is skipped. Ctrl-C (SIGTERM,
    SIGHUP) stops it; the results so far stay, with their contact sheet.

    Args:
        trained: The game; its recipe has an application.
        pictures: The files.
        out: The output folder, new or empty.

    Raises:
        ConfigError: If the recipe has no application.
        RunError: If the folder is not empty, or if something cannot be written.
    """
    name = trained.application.name
    check_empty(out)
    _claim(out)
    stop = Stop()
    work = _Work(trained, out, stop)
    with stop_on_signals(stop), progress(name, len(pictures)) as bar:
        work.record()
        try:
            for picture, place in _places(pictures, name).items():
                work.do(picture, place)
                bar.advance()
        except KeyboardInterrupt:
            work.done.interrupted = True
        except RunError:
            raise  # of the disk: a contact sheet could not be written either
        except BaseException:
            with suppress(RunError):
                work.finish()
            raise
        work.finish()
    return work.done


def _claim(out: Path) -> None:
    """Create the folder, and its list of results: of two that want it, one gets it."""
    with disk(out, "create"):
        out.mkdir(parents=True, exist_ok=True)
        try:
            (out / MADE_BY_US).open("xb").close()
        except FileExistsError:
            raise RunError(f"{out} is not empty: another apply works there") from None


@dataclass
class _Work:
    """Applies a game to one file after another, and collects the outcome."""

    trained: Trained
    out: Path
    stop: Stop
    done: Applied = field(default_factory=Applied)
    pairs: list[Pair] = field(default_factory=list)
    recorded: float = -math.inf  # when the list was written, and how long that took
    recording: float = 0.0

    def do(self, picture: PictureFile, place: Path) -> None:
        """Read a picture, apply the game, write the result; or record why it is skipped."""
        try:
            with self.stop.at_once():
                before = read_picture(picture.path)
                after = self.trained.apply(before)
                shown = rgb(after)
        except NvnError as error:
            self.done.skipped[picture.path] = str(error)
            return
        path = self.out / place
        with disk(path.parent, "create"):
            path.parent.mkdir(parents=True, exist_ok=True)
        _write(path.with_name(f"{path.name}.png"), after if after.mode in _PNG_MODES else shown)
        _write(path.with_name(f"{path.name}-compared.png"), beside(before, shown))
        self.done.results[picture.path] = path.with_name(f"{path.name}.png")
        if time.monotonic() - self.recorded > 20 * self.recording:
            self.record()
        self.pairs.append(Pair(printable(picture.place), small(before), small(shown)))
        if len(self.pairs) == PAGE:
            self._page()

    def finish(self) -> None:
        """Write the last contact sheet and applied.yaml; no signal interrupts it."""
        self.stop.save()
        self._page()
        self.record(ended=not self.done.interrupted)

    def _page(self) -> None:
        """Write a contact sheet, unless it would be empty."""
        if not self.pairs:
            return
        number = len(self.done.sheets) + 1
        path = self.out / (f"{_SHEET}.png" if number == 1 else f"{_SHEET}-{number}.png")
        title = f"{self.trained.recipe.name}: left before, right {self.trained.application.name}"
        page = f" ({number})" if number > 1 else ""
        _write(path, contact_sheet(f"{title}{page}", self.pairs))
        self.done.sheets.append(path)
        self.pairs.clear()

    def record(self, *, ended: bool = False) -> None:
        """Write applied.yaml: from the start, and so often that it takes 5 % of the time at most.

        It marks a folder of results; what it lists is there, also if this is killed.
        """
        begun = time.monotonic()
        about = {
            "run": printable(self.trained.folder.resolve()),
            "recipe": self.trained.recipe.name,
            "application": self.trained.application.name,
            "nvn": version(),
            "ended": ended,
            "results": _as_text(self.done.results),
            "skipped": _as_text(self.done.skipped),
        }
        text = yaml.safe_dump(about, sort_keys=False, allow_unicode=True)
        atomic_write(self.out / MADE_BY_US, text.encode())
        self.recorded = time.monotonic()
        self.recording = self.recorded - begun


def report(applied: Applied, total: int, out: Path) -> None:
    """Print the outcome, and on stderr the files that were skipped, with reasons."""
    done = len(applied.results) + len(applied.skipped)
    what = f"interrupted after {done} of {total}; " if applied.interrupted else ""
    show(f"{what}{_counted(len(applied.results), 'result')} in {printable(out)}")
    for sheet in applied.sheets:
        show(f"contact sheet: {printable(sheet)}")
    if applied.skipped:
        lines = [f"{printable(path)}: {why}" for path, why in applied.skipped.items()]
        if len(lines) > _LISTED:
            lines[_LISTED:] = [
                f"and {len(lines) - _LISTED} more, see {printable(out / MADE_BY_US)}"
            ]
        fail(DataError("\n  ".join([f"{_counted(len(applied.skipped), 'file')} skipped:", *lines])))


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _as_text(paths: Mapping[Path, Path | str]) -> dict[str, str]:
    return {printable(path): printable(what) for path, what in paths.items()}


def _write(path: Path, image: Image.Image) -> None:
    content = io.BytesIO()
    image.save(content, format="PNG")
    atomic_write(path, content.getvalue())


def _places(pictures: Iterable[PictureFile], application: str) -> dict[PictureFile, Path]:
    """Return a unique path for each result, relative to the folder and without ".png".

    Paths differ in more than case, since some file systems ignore case.
    """
    taken: set[str] = set()
    places = {}
    for picture in pictures:
        for stem in _stems(picture.place):
            place = picture.place.parent / f"{stem}-{application}"
            ours = {f"{place}".casefold(), f"{place}-compared".casefold()}
            if not ours & taken and not _IS_SHEET.fullmatch(f"{place}"):
                break
        taken |= ours
        places[picture] = place
    return places


def _stems(place: Path) -> Iterator[str]:
    """Yield candidate names for a file's result, in order: a, a.jpg, a_2."""
    stem = _shortened(place.stem)
    yield from (stem, _shortened(place.name))
    yield from (f"{stem}_{number}" for number in count(2))


def _shortened(stem: str) -> str:
    while len(stem.encode("utf-8", "surrogateescape")) > _NAME_BYTES:
        stem = stem[:-1]
    return stem
