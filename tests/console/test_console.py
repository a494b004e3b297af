import errno
import io
import itertools
import sys
from pathlib import Path

import pytest
import rich
from rich.console import Console

import nvn
from nvn.console import bars, crash, fail, saying, show, show_settings, warn
from nvn.errors import NvnError, NvnWarning
from nvn.recipe.loading import load_recipe
from nvn.training.hooks import hook
from nvn.training.reporter import Reporter
from tests.tiny import gray, tiny


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """A terminal whose output can be read."""
    screen = io.StringIO()
    fake = Console(file=screen, force_terminal=True, width=120)
    monkeypatch.setattr(rich, "get_console", lambda: fake)
    return screen


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """A file whose lines can be read."""
    file = io.StringIO()
    fake = Console(file=file, force_terminal=False, width=120)
    monkeypatch.setattr(rich, "get_console", lambda: fake)
    return file


@pytest.fixture
def hour(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look at the clock is an hour later."""
    clock = itertools.count(0, 3600)
    monkeypatch.setattr(bars.time, "monotonic", lambda: float(next(clock)))


def test_progress_on_a_terminal_is_a_bar(terminal: io.StringIO) -> None:
    with nvn.progress("rendering", total=3) as bar:
        bar.advance()
        bar.reach(3)
    assert "rendering" in terminal.getvalue()
    assert "3/3" in terminal.getvalue()


def test_bars_may_be_nested(terminal: io.StringIO, hour: None) -> None:
    with nvn.progress("outer", total=1) as outer, nvn.progress("inner", total=1) as inner:
        inner.advance()
        outer.advance()
    assert "outer" in terminal.getvalue()
    assert "inner" in terminal.getvalue()


def test_progress_in_a_file_is_a_line_now_and_then(
    plain: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(0, 1000, 4))
    monkeypatch.setattr(bars.time, "monotonic", lambda: float(next(clock)))
    with nvn.progress("rendering", total=100) as bar:
        for done in range(10, 101, 10):
            bar.reach(done)
    said = plain.getvalue().splitlines()
    assert said[0].startswith("rendering: ")
    assert "left" in said[0]
    assert 1 < len(said) < 10
    assert said[-1].startswith("rendering: 100/100 in ")


def test_progress_without_a_total(plain: io.StringIO, hour: None) -> None:
    with nvn.progress("searching") as bar:
        bar.advance(5)
    assert "searching: 5 in " in plain.getvalue()


def test_of_brief_work_nothing_stays(plain: io.StringIO) -> None:
    with nvn.progress("blinking", total=1) as bar:
        bar.advance()
    assert plain.getvalue() == ""


class Closed(io.StringIO):
    """A file that nobody reads any more."""

    def __init__(self, error: OSError, terminal: bool) -> None:
        super().__init__()
        self._error = error
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal

    def write(self, text: str) -> int:
        raise self._error


@pytest.mark.parametrize("terminal", [False, True], ids=["plain", "terminal"])
def test_what_nobody_reads_ends_no_run(
    terminal: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = Closed(OSError(errno.EIO, "Input/output error"), terminal)
    gone = Console(file=file, force_terminal=terminal)
    monkeypatch.setattr(rich, "get_console", lambda: gone)
    # rich draws in a thread of its own, whose error would only be printed
    monkeypatch.setattr("threading.excepthook", lambda _: None)
    assert nvn.train(tiny(), out=tmp_path / "run", plugins=[Reporter()]).outcome == "finished"


def test_a_bar_is_closed_when_the_work_fails(terminal: io.StringIO) -> None:
    with pytest.raises(ZeroDivisionError), nvn.progress("dividing", total=1):
        raise ZeroDivisionError
    assert terminal.getvalue().endswith("\n") or "\x1b[?25h" in terminal.getvalue()


def test_text_is_shown_as_it_stands(plain: io.StringIO) -> None:
    text = "[bold]D[/bold] :smile: " + "x" * 300
    show(text)
    assert plain.getvalue() == f"{text}\n"


def test_an_error_goes_where_errors_go(capsys: pytest.CaptureFixture[str]) -> None:
    error = NvnError("no [room] left")
    error.add_note("then: no weights")
    fail(error)
    assert capsys.readouterr() == ("", "error: no [room] left\nthen: no weights\n")


def test_warnings_whose_message_is_enough_have_no_place(capsys: pytest.CaptureFixture[str]) -> None:
    warn("no cache", NvnWarning, "pairs.py:49")
    warn("old", DeprecationWarning, "pairs.py:49")
    assert capsys.readouterr().err == "warning: no cache\nwarning: pairs.py:49: old\n"


@pytest.mark.parametrize("where", ["plain", "terminal"])
def test_a_run_is_shown(where: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    file: io.StringIO = request.getfixturevalue(where)
    run = nvn.train(tiny(), out=tmp_path / "run", plugins=[Reporter()], seed=7)
    said = file.getvalue()
    for part in ("tiny: warmup 3 steps, main 6 steps, seed 7", "3/3", "6/6", "step 2: size: norm"):
        assert part in said
    assert f"{run.metrics['size']['norm']:.4g}" in said
    assert f"picture: {run.folder}/images/gray-000006.png" in said
    assert "finished (steps: warmup 3, main 6;" in said
    assert f"results are in {run.folder}" in said


def test_a_sign_of_life_is_for_terminals_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with saying("loading"):
        pass
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    with saying("loading"):
        assert "loading" in capsys.readouterr().err
    assert capsys.readouterr() == ("", "\x1b[2K")


def test_pictures_are_named_as_they_are_written(plain: io.StringIO, tmp_path: Path) -> None:
    early = nvn.Preview("gray", gray, every=4, early={"warmup": 3})
    nvn.train(tiny(previews=[early]), out=tmp_path / "run", plugins=[Reporter()])
    lines = plain.getvalue().splitlines()
    assert lines[0].endswith(f"seed 0; into {tmp_path / 'run'}")
    pictures = [line for line in lines if "picture: " in line]
    images = tmp_path / "run" / "images"
    assert pictures == [
        f"warmup, step 0: picture: {images / 'gray-warmup-000000.png'}",
        f"main, step 0: picture: {images / 'gray-000000.png'}",
        f"main, step 4: picture: {images / 'gray-000004.png'}",
        f"picture: {images / 'gray-000006.png'} (before the game: {images / 'gray-000000.png'})",
    ]


def test_the_closing_losses_are_those_of_the_last_step(plain: io.StringIO, tmp_path: Path) -> None:
    records = []

    class Kept:
        @hook
        def step_done(self, record: nvn.Record) -> None:
            records.append(record)

    nvn.train(tiny(), out=tmp_path / "run", plugins=[Kept(), Reporter()])
    (closing,) = (line for line in plain.getvalue().splitlines() if line.startswith("main: 6/6"))
    losses = records[-1].objectives
    assert closing.endswith("  ".join(f"{name} {value:.3g}" for name, value in losses.items()))


def test_a_warning_stands_above_the_bar(
    terminal: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)  # errors go to a terminal too
    with nvn.progress("rendering", total=3):
        warn("no cache", NvnWarning, "pairs.py:49")
        (line,) = (line for line in terminal.getvalue().splitlines() if "no cache" in line)
    assert "rendering" not in line.rpartition("\r")[2]


def test_what_was_measured_at_the_end_is_told_once(plain: io.StringIO, tmp_path: Path) -> None:
    nvn.train(tiny(), out=tmp_path / "run", plugins=[Reporter()])
    said = plain.getvalue()
    assert "step 4: size" in said
    assert "step 6: size" not in said
    assert said.count("evaluation") == 1


def test_a_bar_is_closed_before_anything_is_saved(terminal: io.StringIO, tmp_path: Path) -> None:
    shown = []

    class Broken:
        @hook
        def step_done(self) -> None:
            raise OSError("no room")

        @hook
        def run_finished(self) -> None:
            shown.append(terminal.getvalue())
            raise OSError("none at all")

    with pytest.raises(OSError, match="no room") as error:
        nvn.train(tiny(), out=tmp_path / "run", plugins=[Reporter(), Broken()])
    assert error.value.__notes__ == [
        "raised by plugin Broken, in its hook step_done",
        "then: none at all",
    ]
    assert "\x1b[?25h" in shown[0]  # the cursor is there again


def test_a_traceback_begins_with_the_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    mine: dict[str, object] = {"__name__": "nvn_recipes_in_mine.game"}
    exec(compile("def broken(): 1 / 0", "game.py", "exec"), mine)
    ours: dict[str, object] = {"__name__": "nvn.recipe.recipe", **mine, "broken": mine["broken"]}
    exec(compile("def call(): broken()", "ours.py", "exec"), {**ours, "__name__": "nvn.x"}, ours)
    with pytest.raises(ZeroDivisionError) as error:
        ours["call"]()  # type: ignore[operator]
    error.value.__traceback__ = error.tb.tb_next  # without this test
    crash(ZeroDivisionError, error.value, error.tb)
    said = capsys.readouterr().err
    assert said.splitlines()[1].startswith('  File "game.py", line 1, in broken')


def test_an_error_of_nvns_own_keeps_every_frame(capsys: pytest.CaptureFixture[str]) -> None:
    own: dict[str, object] = {"__name__": "nvn.engine.engine"}
    exec(compile("def step(): 1 / 0", "engine.py", "exec"), own)
    with pytest.raises(ZeroDivisionError) as error:
        own["step"]()  # type: ignore[operator]
    error.value.__traceback__ = error.tb.tb_next
    crash(ZeroDivisionError, error.value, error.tb)
    assert '"engine.py", line 1, in step' in capsys.readouterr().err


def test_settings_are_shown_with_what_they_are(plain: io.StringIO) -> None:
    show_settings(load_recipe("gaussians"))
    assert "learning rate of both players" in plain.getvalue()
    assert "batch" in plain.getvalue()


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.04, "0.0 s"),
        (59.4, "59.4 s"),
        (61, "1 min 1 s"),
        (3600, "1 h 0 min"),
        (7322, "2 h 2 min"),
    ],
)
def test_durations_are_said_as_people_do(seconds: float, said: str) -> None:
    assert bars.duration(seconds) == said


GROUPED = '''
"""A recipe whose data are of one of two kinds."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

import nvn


class Made(nvn.Config):
    """Made."""

    presets: ClassVar = {"large": {"people": 1000}}
    kind: Literal["made"] = "made"
    people: int = Field(200, description="people")


class Read(nvn.Config):
    """Read."""

    kind: Literal["read"] = "read"
    root: str = Field(description="the folder")


class Config(nvn.Config):
    """Settings."""

    data: Annotated[Made | Read, Field(discriminator="kind")] = Made()


def recipe(config):
    """Never called."""
'''


def test_settings_of_groups_are_shown_with_the_kinds_that_have_them(
    plain: io.StringIO, tmp_path: Path
) -> None:
    (tmp_path / "grouped.py").write_text(GROUPED)
    show_settings(load_recipe(str(tmp_path / "grouped.py")))
    lines = [" ".join(line.split()) for line in plain.getvalue().splitlines()]
    assert "data.kind 'made' the kind; it decides which settings there are (made, read)" in lines
    assert "data.people 200 made: people" in lines
    assert "data.root required read: the folder" in lines
    assert "--preset large: data.people=1000" in lines
