"""`nvn apply`: a trained game, applied to picture files one by one.

DIR/<name>-<application>.png             a result
DIR/<name>-<application>-compared.png    the picture and its result side by side
DIR/contact-sheet.png                    thumbnails of all; the next page is contact-sheet-2.png
DIR/before-after.html                    a page with a slider for each of the first hundred
DIR/applied.yaml                         the run, each file's result, what was skipped and why,
                                         what is to be known of a result
"""

from __future__ import annotations

import errno
import io
import math
import time
import traceback
import warnings
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from PIL import Image

from nvn.apply.contact_sheet import PAGE, Pair, beside, contact_sheet, small
from nvn.apply.names import SHEET, places, spelled
from nvn.apply.page import MOST, PAGE_NAME, Shown, page, shown
from nvn.console import fail, progress, show
from nvn.errors import DataError, NvnError, NvnWarning, RunError
from nvn.files import atomic_write, disk
from nvn.folders import MADE_BY_US, PictureFile
from nvn.images import printable, read_picture, rgb
from nvn.packages import version
from nvn.training.stopping import Stop, stop_on_signals
from nvn.training.trained import Trained

__all__ = ["Applied", "apply_to", "check_empty", "report"]

_LISTED = 20  # skipped files named on the terminal, at most
_NAMED = 5  # files named of which one thing is to be known, at most
# What is wrong with one name, and not with the disk.
_OF_A_NAME = frozenset(
    (errno.ENAMETOOLONG, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.EILSEQ, errno.EINVAL)
)
_PNG_MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")


@dataclass
class Applied:
    """The outcome of applying a game to files.

    Attributes:
        results: The result of each file.
        skipped: The reason for each file that was skipped.
        notes: What is to be known of the result of a file, such as that no face was found.
        sheets: The contact sheets.
        page: The page with sliders, if there is any result.
        interrupted: Whether a signal stopped it.
    """

    results: dict[Path, Path] = field(default_factory=dict)
    skipped: dict[Path, str] = field(default_factory=dict)
    notes: dict[Path, str] = field(default_factory=dict)
    sheets: list[Path] = field(default_factory=list)
    page: Path | None = None
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

    A file that cannot be read, or with which the application fails in any way, is skipped. Ctrl-C
    (SIGTERM, SIGHUP) stops it; the results so far stay, with their contact sheet.

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
            for picture, place in places(pictures, name).items():
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
    on_page: list[Shown] = field(default_factory=list)
    recorded: float = -math.inf  # when the list was written, and how long that took
    recording: float = 0.0

    def do(self, picture: PictureFile, place: Path) -> None:
        """Make a picture's result and write it; or record why the picture is skipped."""
        try:
            with self.stop.at_once():
                made = self._make(picture.path)
            written = self._write(made, self.out / place)
        except RunError as error:  # of the disk
            if not _is_of_a_name(error):
                raise
            self.done.skipped[picture.path] = str(error)
        except Exception as error:  # noqa: BLE001  (what one picture does must not cost the others)
            self.done.skipped[picture.path] = _reason(error)
        else:
            self._note(picture, made, written)

    def _make(self, path: Path) -> _Made:
        """Read a picture and apply the game: whatever goes wrong is that picture's alone.

        The result is encoded here, where a signal interrupts: of a large one that takes long.
        """
        try:
            before = read_picture(path)
            with _noting() as notes:
                after = self.trained.apply(before)
            shown = after if _is_plain(after) else rgb(after)
            return _Made(before, shown, _png(after if after.mode in _PNG_MODES else shown), notes)
        except RunError as error:  # not one of the disk, which would end all
            raise DataError(str(error)) from error

    def _write(self, made: _Made, path: Path) -> Path:
        with disk(path.parent, "create"):
            path.parent.mkdir(parents=True, exist_ok=True)
        result = path.with_name(f"{path.name}.png")
        both = _png(beside(made.before, made.shown))
        atomic_write(result, made.result)
        atomic_write(path.with_name(f"{path.name}-compared.png"), both)
        return result

    def _note(self, picture: PictureFile, made: _Made, result: Path) -> None:
        """Record a result, and take its thumbnails."""
        self.done.results[picture.path] = result
        if made.notes:
            self.done.notes[picture.path] = "; ".join(made.notes)
        if time.monotonic() - self.recorded > 20 * self.recording:
            self.record()
        self.pairs.append(Pair(printable(picture.place), small(made.before), small(made.shown)))
        if len(self.on_page) < MOST:
            self.on_page.append(shown(printable(picture.place), made.before, made.shown))
        if len(self.pairs) == PAGE:
            self._sheet()

    def finish(self) -> None:
        """Write the last contact sheet and applied.yaml; no signal interrupts it."""
        self.stop.save()
        self._sheet()
        self._page()
        self.record(ended=not self.done.interrupted)

    def _page(self) -> None:
        """Write the page, unless it would be empty."""
        if self.on_page:
            title = f"{self.trained.recipe.name}: {self.trained.application.name}"
            content = page(title, self.on_page, len(self.done.results))
            self.done.page = self.out / PAGE_NAME
            atomic_write(self.done.page, content.encode())

    def _sheet(self) -> None:
        """Write a contact sheet, unless it would be empty."""
        if not self.pairs:
            return
        number = len(self.done.sheets) + 1
        path = self.out / (f"{SHEET}.png" if number == 1 else f"{SHEET}-{number}.png")
        title = f"{self.trained.recipe.name}: left before, right {self.trained.application.name}"
        page = f" ({number})" if number > 1 else ""
        atomic_write(path, _png(contact_sheet(f"{title}{page}", self.pairs)))
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
            "notes": _as_text(self.done.notes),
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
    _report_notes(applied.notes)
    for sheet in applied.sheets:
        show(f"contact sheet: {printable(sheet)}")
    if applied.page is not None:
        show(f"before and after: {printable(applied.page)}")
    if applied.skipped:
        lines = [f"{printable(path)}: {why}" for path, why in applied.skipped.items()]
        if len(lines) > _LISTED:
            lines[_LISTED:] = [
                f"and {len(lines) - _LISTED} more, see {printable(out / MADE_BY_US)}"
            ]
        fail(DataError("\n  ".join([f"{_counted(len(applied.skipped), 'file')} skipped:", *lines])))


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _report_notes(notes: Mapping[Path, str]) -> None:
    """Print what is to be known of results: each note once, with the files."""
    files: dict[str, list[str]] = defaultdict(list)
    for path, note in notes.items():
        files[note].append(printable(path))
    for note, names in files.items():
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        said = f"{_counted(len(names), 'file')}: {note}: {', '.join(names[:_NAMED])}{more}"
        warnings.warn(said, NvnWarning, stacklevel=3)


@dataclass(frozen=True)
class _Made:
    """A picture, its result as shown and as encoded, and what is to be known of it."""

    before: Image.Image
    shown: Image.Image
    result: memoryview
    notes: list[str]


@contextmanager
def _noting() -> Iterator[list[str]]:
    """Inside, nvn's warnings are collected: they are of one picture; others are let through."""
    notes: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", NvnWarning)
        yield notes
    for warning in caught:
        if issubclass(warning.category, NvnWarning):
            notes.append(str(warning.message))
        else:
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )


def _reason(error: Exception) -> str:
    """Why a picture is skipped; of an error that nobody meant, where in whose code it was."""
    if isinstance(error, NvnError):
        return str(error)
    if isinstance(error, MemoryError):
        return "there is not enough memory for it"
    last = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(last.filename).name}:{last.lineno}"
    said = str(error).partition("\n")[0]
    return f"{type(error).__name__}{f': {said}' if said else ''} ({where})"


def _is_of_a_name(error: RunError) -> bool:
    cause = error.__cause__
    return isinstance(cause, OSError) and cause.errno in _OF_A_NAME


def _is_plain(image: Image.Image) -> bool:
    """Whether a picture can be shown as it is."""
    return image.mode in ("L", "RGB") and not image.info


def _as_text(paths: Mapping[Path, Path | str]) -> dict[str, str]:
    return {
        spelled(path): spelled(what) if isinstance(what, Path) else printable(what)
        for path, what in paths.items()
    }


def _png(image: Image.Image) -> memoryview:
    """Encode a picture, without a color profile: it is in sRGB."""
    content = io.BytesIO()
    image.save(content, format="PNG", icc_profile=None)
    return content.getbuffer()
