"""Lines on the terminal: results on stdout, errors and warnings on stderr."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import rich
from rich.console import Console, RenderableType
from rich.control import Control
from rich.segment import ControlType
from rich.text import Text

from nvn.errors import NvnWarning

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def visible(text: str) -> str:
    """Return a text with control characters written out: a file's must not steer the terminal.

    >>> visible(f"a{chr(27)}[2Jb") == "a" + repr(chr(27))[1:-1] + "[2Jb"
    True
    """
    return _CONTROL.sub(lambda found: repr(found[0])[1:-1], text)


def is_live(console: Console) -> bool:
    """Whether something can be drawn in place, and somebody may be there to see it.

    Colors in a log (FORCE_COLOR, which rich takes for a terminal) do not move its cursor; and what
    a CI shows is a log, whatever it says it is.
    """
    if not console.is_interactive or os.environ.get("CI"):
        return False
    if "FORCE_COLOR" not in os.environ:
        return True
    return shows(console.file)


def shows(stream: IO[str] | None) -> bool:
    """Whether a stream is a terminal.

    Of what is drawn in place, rich takes such streams to print above it. One that goes to a file
    (`2> errors.txt`) goes there all the same.
    """
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # it has been closed
        return False


def show(what: RenderableType) -> None:
    """Print to stdout; text is printed as it is, not wrapped."""
    console = rich.get_console()
    with ignore_broken_pipe(console):
        if isinstance(what, str):
            console.print(visible(what), markup=False, highlight=False, emoji=False, soft_wrap=True)
        else:
            console.print(what)


def show_source(source: str) -> None:
    """Print Python: in colors on a terminal, and as it stands elsewhere."""
    console = rich.get_console()
    if not console.is_terminal:
        show(source.rstrip("\n"))
        return
    from rich.syntax import Syntax

    show(Syntax(source, "python", theme="ansi_dark", background_color="default", word_wrap=True))


@contextmanager
def to_stderr() -> Iterator[None]:
    """Redirect console output to stderr, so that stdout has data only."""
    usual = rich.get_console()  # process-wide: the bars that recipes open use it too
    usual.stderr = True
    try:
        yield
    finally:
        usual.stderr = False


@contextmanager
def saying(text: str) -> Iterator[None]:
    """Show a line on the terminal while something takes long; elsewhere, nothing.

    It goes to stderr, and leaves nothing behind.
    """
    console = Console(stderr=True)
    if not is_live(console):
        yield
        return
    with ignore_broken_pipe(console):
        console.print(Text(text, style="dim"), end="\r", soft_wrap=True)
        console.file.flush()
    try:
        yield
    finally:
        with ignore_broken_pipe(console):
            console.control(Control((ControlType.ERASE_IN_LINE, 2)))


def fail(error: BaseException) -> None:
    """Print an error and its notes to stderr."""
    message = "\n".join([str(error), *getattr(error, "__notes__", ())])
    _write_to_stderr(Text("error: ", style="bold red") + Text(visible(message), style="default"))


def warn(message: Warning | str, category: type[Warning], place: str) -> None:
    """Print a warning to stderr, as Python would; nvn's own name their place themselves."""
    where = "" if issubclass(category, NvnWarning) else f"{place}: "
    _write_to_stderr(
        Text("warning: ", style="bold yellow") + Text(visible(f"{where}{message}"), style="default")
    )


def _write_to_stderr(text: Text) -> None:
    console = Console(stderr=True)
    with ignore_broken_pipe(console):
        if not console.is_terminal:
            console.print(text, soft_wrap=True)
            return
        # A bar that is being drawn takes what sys.stderr gets and puts it above itself. Printing
        # by a console of its own would write into the bar's line.
        with console.capture() as captured:
            console.print(text, soft_wrap=True)
        sys.stderr.write(captured.get())


@contextmanager
def ignore_broken_pipe(console: Console) -> Iterator[None]:
    """Ignore a closed output stream."""
    try:
        yield
    except SystemExit:
        pass  # rich raises it for a closed pipe, and discards all further output
    except OSError:
        console.quiet = True
