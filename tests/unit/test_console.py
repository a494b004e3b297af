import io
from pathlib import Path

import pytest
import rich
from rich.console import Console

import nvn
from nvn import console
from nvn.console import Reporter, fail, show, show_settings
from nvn.loading import load_recipe
from tests.tiny import tiny


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


def test_progress_on_a_terminal_is_a_bar(terminal: io.StringIO) -> None:
    with nvn.progress("rendering", total=3) as bar:
        bar.advance()
        bar.reach(3)
    assert "rendering" in terminal.getvalue()
    assert "3/3" in terminal.getvalue()


def test_bars_may_be_nested(terminal: io.StringIO) -> None:
    with nvn.progress("outer", total=1) as outer, nvn.progress("inner", total=1) as inner:
        inner.advance()
        outer.advance()
    assert "outer" in terminal.getvalue()
    assert "inner" in terminal.getvalue()


def test_progress_in_a_file_is_a_line_now_and_then(
    plain: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(0, 1000, 4))
    monkeypatch.setattr(console.time, "monotonic", lambda: float(next(clock)))
    with nvn.progress("rendering", total=100) as bar:
        for done in range(10, 101, 10):
            bar.reach(done)
    said = plain.getvalue().splitlines()
    assert said[0].startswith("rendering: ")
    assert "left" in said[0]
    assert 1 < len(said) < 10
    assert said[-1].startswith("rendering: 100/100 in ")


def test_progress_without_a_total(plain: io.StringIO) -> None:
    with nvn.progress("searching") as bar:
        bar.advance(5)
    assert plain.getvalue().startswith("searching: 5 in ")


def test_a_bar_is_closed_when_the_work_fails(terminal: io.StringIO) -> None:
    with pytest.raises(ZeroDivisionError), nvn.progress("dividing", total=1):
        raise ZeroDivisionError
    assert terminal.getvalue().endswith("\n") or "\x1b[?25h" in terminal.getvalue()


def test_text_is_shown_as_it_stands(plain: io.StringIO) -> None:
    text = "[bold]D[/bold] :smile: " + "x" * 300
    show(text)
    assert plain.getvalue() == f"{text}\n"


def test_an_error_goes_where_errors_go(capsys: pytest.CaptureFixture[str]) -> None:
    fail("no [room] left")
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "error: no [room] left\n"


@pytest.mark.parametrize("where", ["plain", "terminal"])
def test_a_run_is_shown(where: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    file: io.StringIO = request.getfixturevalue(where)
    run = nvn.train(tiny(), out=tmp_path / "run", plugins=[Reporter()], seed=7)
    said = file.getvalue()
    for part in ("tiny: warmup 3 steps, main 6 steps, seed 7", "3/3", "6/6", "step 2: size: norm"):
        assert part in said
    assert f"{run.metrics['size']['norm']:.4g}" in said
    assert f"picture: {run.folder}/images/grey-000006.png" in said
    assert "finished (steps: warmup 3, main 6;" in said
    assert f"everything is in {run.folder}" in said


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
    assert console._duration(seconds) == said
