"""Lines on the terminal: what is asked for on stdout, errors and warnings where errors go."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import rich
from rich.console import Console, RenderableType
from rich.text import Text

from nvn.errors import NvnWarning


def show(what: RenderableType) -> None:
    """Print something; text is printed as it stands, not wrapped."""
    console = rich.get_console()
    with heard_or_not(console):
        if isinstance(what, str):
            console.print(what, markup=False, highlight=False, emoji=False, soft_wrap=True)
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
def apart() -> Iterator[None]:
    """Show what is shown meanwhile where errors go: stdout is kept for data."""
    usual = rich.get_console()
    usual.stderr = True
    try:
        yield
    finally:
        usual.stderr = False


def fail(error: BaseException) -> None:
    """Print an error and the notes on it, to where errors go."""
    message = "\n".join([str(error), *getattr(error, "__notes__", ())])
    _complain(Text("error: ", style="bold red") + Text(message, style="default"))


def warn(message: Warning | str, category: type[Warning], place: str) -> None:
    """Print a warning in place of Python; nvn's own say where they apply."""
    where = "" if issubclass(category, NvnWarning) else f"{place}: "
    _complain(Text("warning: ", style="bold yellow") + Text(f"{where}{message}", style="default"))


def _complain(text: Text) -> None:
    console = Console(stderr=True)
    with heard_or_not(console):
        if not console.is_terminal:
            console.print(text, soft_wrap=True)
            return
        # A bar that is being drawn takes what sys.stderr gets and puts it above itself. Printing
        # by a console of its own would write into the bar's line.
        with console.capture() as captured:
            console.print(text, soft_wrap=True)
        sys.stderr.write(captured.get())


@contextmanager
def heard_or_not(console: Console) -> Iterator[None]:
    """Let work go on though what it prints reaches nobody."""
    try:
        yield
    except SystemExit:
        pass  # what rich makes of a closed pipe, after sending all further output nowhere
    except OSError:
        console.quiet = True
