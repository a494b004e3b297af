"""No command line ends in a traceback, or does not end: random ones, in this process.

More of them: `python -m pytest -n 0 -m slow tests/cli/test_fuzz.py`, about ten minutes.
"""

import contextlib
import importlib
import io
import os
import signal
import sys
import warnings
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from types import FrameType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from nvn.cli import main
from nvn.errors import NvnWarning
from tests.cli import hostile

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes")

ENCODINGS = ("utf-8", "ascii", "latin-1")
SECONDS = 20  # a command that takes longer hangs
Arguments = list[str]


class HangsError(BaseException):
    """A command has not ended; nothing catches this."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder that the commands run in, one below another, for those that write to `..`."""
    folder = tmp_path_factory.mktemp("fuzz") / "above" / "here"
    folder.mkdir(parents=True)
    hostile.make_folder(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("HOME", str(folder))
        # Nothing trains: a sweep checks its grid, makes its folder, and writes tables of nothing.
        sweeping = importlib.import_module("nvn.sweep.sweep")
        patch.setattr(sweeping, "run_jobs", lambda *_: None)
        assert ends(["run", "game.py", "--out", "run", "--accelerator", "cpu"])[0] == 0
        yield folder


def ends(arguments: Arguments, encoding: str = "utf-8") -> tuple[int, str]:
    """Run a command, and return its exit code and all that it printed to a file of an encoding."""
    printed = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.redirect_stdout(printed))
        stack.enter_context(contextlib.redirect_stderr(printed))
        stack.enter_context(warnings.catch_warnings())  # main puts its own showwarning there
        warnings.simplefilter("always", NvnWarning)
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        for name in ("excepthook", "argv", "stdin"):
            patch.setattr(sys, name, getattr(sys, name))
        sys.argv, sys.stdin = ["nvn", *arguments], open(os.devnull)  # noqa: SIM115, PTH123
        sys.stdin.close()
        stack.enter_context(limited(SECONDS))
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
    printed.flush()
    assert isinstance(code, int)
    return code, printed.buffer.getvalue().decode(encoding)  # type: ignore[attr-defined]


@contextlib.contextmanager
def limited(seconds: int) -> Iterator[None]:
    def hangs(number: int, frame: FrameType | None) -> None:
        raise HangsError(f"no end after {seconds} s")

    before = signal.signal(signal.SIGALRM, hangs)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def judge(arguments: Arguments) -> None:
    """Run a command: an exception is a failure, and so is an error without a message."""
    # Each terminal gets a third of the lines, and a line always the same one.
    code, printed = ends(arguments, ENCODINGS[sum(map(len, arguments)) % len(ENCODINGS)])
    assert code in (0, 1, 2)
    if code:
        assert "error" in printed.lower()
    assert "Traceback" not in printed
    assert "\x1b[2J" not in printed  # what was given does not steer the terminal


# --- what is given ---


def option(name: str, value: SearchStrategy[str]) -> SearchStrategy[Arguments]:
    return value.map(lambda text: [name, hostile.argument(text)])


def some(*options: SearchStrategy[Arguments]) -> SearchStrategy[Arguments]:
    """A few of some options, in any order."""
    return st.lists(st.one_of(options), max_size=3).map(lambda drawn: [*chain.from_iterable(drawn)])


RECIPE = st.just("game.py") | hostile.PLACE
PAIR = st.tuples(hostile.NAME | hostile.ODD_NAME, hostile.VALUE).map("=".join)
VALUES = st.lists(hostile.VALUE, max_size=3).map(",".join)
OVER = st.tuples(hostile.NAME | hostile.ODD_NAME, VALUES).map("=".join)
NUMBER = st.integers().map(str) | hostile.SCALAR
SET = option("--set", PAIR | hostile.WORDS)
PRESET = option("--preset", st.sampled_from(["long", "deep", "logn", ""]) | hostile.WORDS)
CONFIG = option("--config", hostile.PLACE | st.just("drawn.yaml"))
SEED = option("--seed", NUMBER)
CONFIGURED = (SET, SET, PRESET, CONFIG, CONFIG)
OUT = option("--out", hostile.OUT)
FLAGS = st.sampled_from(["--json", "--source", "--mermaid", "--changed", "--resume", "-x"]).map(
    lambda flag: [flag]
)
NAME = st.text(st.characters(), max_size=6) | hostile.SCALAR


def command(
    verb: str, *places: SearchStrategy[str], options: SearchStrategy[Arguments]
) -> SearchStrategy[Arguments]:
    given = [st.just([verb]), *(place.map(lambda p: [hostile.argument(p)]) for place in places)]
    return st.tuples(*given, options).map(lambda parts: [*chain.from_iterable(parts)])


STEPS = option("--max-steps", st.sampled_from(["0", "1", "x", "-1", "9" * 5000]))
LINES = st.one_of(
    command("check", RECIPE, options=some(*CONFIGURED, SEED, FLAGS)),
    command("graph", RECIPE, options=some(*CONFIGURED, option("--svg", hostile.OUT), FLAGS)),
    command("plan", RECIPE, options=some(*CONFIGURED, option("--phase", NAME), FLAGS)),
    command("recipes", RECIPE, options=some(FLAGS)),
    command(
        "sweep",
        RECIPE,
        options=some(
            *CONFIGURED,
            *(option("--over", OVER | hostile.WORDS), option("--over", OVER)),
            option("--folds", NUMBER | st.sampled_from(["2", "3", "1", "100", "100001"])),
            *(SEED, OUT, STEPS, option("--jobs", NUMBER), option("--metric", NAME)),
        ),
    ),
    command(
        "run",
        RECIPE,
        options=st.tuples(
            st.just(["--max-steps", "1", "--accelerator", "cpu"]),
            some(
                *CONFIGURED,
                *(SEED, OUT, STEPS, FLAGS),
                *(option(f"--{x}", NAME) for x in ("max-time", "save-every", "keep-every", "best")),
                *(option(f"--{x}", NAME) for x in ("precision", "devices", "compile")),
            ),
        ).map(lambda parts: [*chain.from_iterable(parts)]),
    ),
    command("runs", hostile.PLACE, options=some(FLAGS)),
    command("report", st.just("run") | hostile.PLACE, options=some(OUT, FLAGS)),
    command("compare", st.just("run") | hostile.PLACE, hostile.PLACE, options=some(FLAGS)),
    command("sample", st.just("run") | hostile.PLACE, options=some(OUT, option("-n", NUMBER))),
    command("new", hostile.OUT, options=some(option("--from", RECIPE))),
    command(
        "resume", hostile.PLACE, options=some(SET, STEPS, FLAGS, option("--more-steps", NUMBER))
    ),
    command(
        "apply",
        st.just("run") | hostile.PLACE,
        st.just("pictures") | hostile.PICTURES,
        options=st.tuples(OUT, some(OUT, FLAGS, option("--recipe", RECIPE))).map(
            lambda parts: [*chain.from_iterable(parts)]
        ),
    ),
)
YAML = st.one_of(
    hostile.VALUE,
    st.tuples(hostile.NAME | hostile.ODD_NAME, hostile.VALUE).map(": ".join),
    st.lists(st.tuples(hostile.NAME, hostile.VALUE).map(": ".join), max_size=4).map("\n".join),
).map(lambda text: text.encode("utf-8", "surrogatepass")) | st.binary(max_size=20)


def check_line(folder: Path, line: Arguments, config: bytes) -> None:
    (folder / "drawn.yaml").write_bytes(config)
    judge(line)


unhurried = settings(suppress_health_check=[*HealthCheck])


@settings(unhurried, max_examples=80, derandomize=True)
@given(line=LINES, config=YAML)
def test_no_command_line_is_a_traceback(folder: Path, line: Arguments, config: bytes) -> None:
    check_line(folder, line, config)


@pytest.mark.slow
@settings(unhurried, max_examples=10_000)
@given(line=LINES, config=YAML)
def test_nor_is_one_of_many_more(folder: Path, line: Arguments, config: bytes) -> None:
    check_line(folder, line, config)
