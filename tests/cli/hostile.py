"""Hostile command lines: strategies of arguments, and a folder of things that are no files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from PIL import Image

from tests.tiny import NEIGHBOR

RECIPE = '''\
"""A tiny game with settings of every kind."""

from typing import ClassVar, Literal

from pydantic import Field

import nvn

from .neighbor import made


class Inner(nvn.Config):
    """Settings in a group."""

    depth: int = Field(2, ge=1, le=9, description="layers")
    rates: list[float] = Field([0.1], max_length=3, description="rates")


class Config(nvn.Config):
    """Settings."""

    presets: ClassVar = {"long": {"steps": 9}, "deep": {"inner": {"depth": 3}}}
    steps: int = Field(6, ge=1, le=1000, description="iterations of the game")
    lr: float = Field(0.1, gt=0, le=1, description="learning rate")
    folds: int = Field(2, ge=2, le=100, description="parts")
    fold: int = Field(0, ge=0, le=100, description="part")
    word: str = Field("a", description="any text")
    kind: Literal["one", "two"] = Field("one", description="one of two")
    flag: bool = Field(False, description="a flag")
    inner: Inner = Field(Inner(), description="a group")


def recipe(config: Config) -> nvn.Recipe:
    """Declare it."""
    return made(config).replace(application=nvn.Application("same", lambda engine, image: image))
'''


def one_of(texts: Sequence[str]) -> SearchStrategy[str]:
    """Draw one of some texts, of which a strategy's own name would be too long."""
    return st.integers(0, len(texts) - 1).map(lambda number: texts[number])


DEEP = 3000
LONG = (300, 5000)  # letters: more than a name, and more than a path, may have

# What YAML 1.1, PyYAML or Python take for something else, or cannot hold.
SCALARS = [
    *("0000-00-00", "2024-13-45", "2024-01-01", "2024-01-01T99:99:99", "2024-01-01 00:00:00 +99"),
    *("!!bool maybe", "!!int x", "!!float x", "!!timestamp x", "!!binary x", "!!set x", "!!map 1"),
    *("!!null x", "!!omap x", "!!pairs [1]", "!!python/name:os.system", "!!str 3", "!mine 3", "!"),
    *(".nan", ".inf", "-.inf", "1e400", "-1e400", "1e-400", "1e3", "0x", "0x_", "0b2", "0b1"),
    *("9" * 5000, "-" + "9" * 4299, "0x" + "f" * 5000, "1:30", "1:" * 900 + "1", "010", "0o10"),
    *(
        "yes",
        "no",
        "on",
        "y",
        "~",
        "null",
        "true",
        "1_000",
        "_",
        "<<",
        "=",
        "{<<: 1}",
        "{<<: {a: 1}}",
    ),
    *("[" * DEEP, "{a: " * DEEP, "[" * 90 + "]" * 90, "- " * DEEP, "? " * 50),
    *("[" * 900 + "]" * 900, "{a: " * 400 + "}" * 400, "{[]: 1}", "{{}: 1}", "{1: 2}", "{~: 1}"),
    *(
        "&a [*a]",
        "*a",
        "&a 1",
        "a: b: c",
        "%YAML 9.9",
        "---\n---",
        "...",
        "|",
        ">-",
        "'",
        '"',
        '"\\x',
    ),
    *(
        "",
        " ",
        "\t",
        "\n",
        "\x00",
        "\x1b[2J",
        "\x85",
        "\u2028",
        "\ufeff1",
        "\ud800",
        "\udcff",
        "é\r",
    ),
    *("x" * LONG[0], "x" * LONG[1], "0", "-1", "1", "2", "3", "0.1", "-0.0", "9" * 19, "9" * 400),
    *("one", "two", "True", "[1, 2]", "[]", "{}", "{depth: 3}", "{depth: x}", "{rates: [.nan]}"),
]
SCALAR = one_of(SCALARS)
WORDS = st.text(st.characters(), max_size=8) | st.text(
    "abc=:,.{}[]&*!|>'\"%@`#-? \n\t", max_size=12
)
VALUE = SCALAR | WORDS | st.integers().map(str) | st.floats().map(str)
NAME = st.sampled_from(
    ["steps", "lr", "folds", "fold", "word", "kind", "flag", "inner", "inner.depth", "inner.rates"]
)
ODD_NAME = NAME | st.sampled_from(
    ["", ".", "..", "inner.", ".depth", "seed", "lr.x", "\n", "stesp"]
)

# What lies in the folder, beside what is not there at all.
PLACES = [
    *("game.py", "none.py", "pipe.py", "zero.py", "folder.py", "loop.py", "broken.py", "noth.py"),
    *(
        "null.py",
        "bytes.py",
        "gone.py",
        "wild.py",
        "good.yaml",
        "pipe.yaml",
        "zero.yaml",
        "wide.py",
    ),
    *("folder.yaml", "loop.yaml", "bytes.yaml", "empty.yaml", "list.yaml", "none.yaml", "zero"),
    *(
        "",
        ".",
        "..",
        "/",
        "//",
        "~",
        "/proc",
        "/proc/self/mem",
        "/proc/1",
        "/dev/null",
        "/dev/full",
    ),
    *(
        "game.py/x",
        "a/b/c",
        "full",
        "empty",
        "run",
        "runs",
        "pictures",
        "bad\udcff",
        "bad\udcff.py",
    ),
    *("x" * LONG[0], "x" * LONG[1], "x/" * 3000, "x" * LONG[0] + ".py", "two\nlines", "\x1b[2J"),
    *("gaussians", "gausians", "locked", "\x00", "\ud800", "pictures/a.png", "pictures/pipe.png"),
    *("CON", " ", "-", "--", "-x", "*", "$HOME", "é.py", "run/run.yaml", "run/checkpoints"),
]
PLACE = one_of(PLACES)
# What is read may lie anywhere, what is written may not: the tests may run as root.
OUT = one_of(
    [place for place in PLACES if not place.startswith("/")]
    + ["/proc/none", *(f"new{number}" for number in range(50))]
)
# All of a computer would take long, as it should.
PICTURES = one_of([place for place in PLACES if place not in ("/", "//", "/proc")])


def make_folder(folder: Path) -> None:
    """Fill a folder with what is a file, and with what only looks like one."""
    (folder / "game.py").write_text(RECIPE)
    (folder / "neighbor.py").write_text(NEIGHBOR)
    for kind in ("py", "yaml"):
        os.mkfifo(folder / f"pipe.{kind}")
        (folder / f"zero.{kind}").symlink_to("/dev/zero")
        (folder / f"loop.{kind}").symlink_to(f"loop.{kind}")
        (folder / f"bytes.{kind}").write_bytes(b"\xff\xfe\x00")
        (folder / f"folder.{kind}").mkdir()
    (folder / "zero").symlink_to("/dev/zero")
    (folder / "gone.py").symlink_to("nowhere.py")
    (folder / "broken.py").write_text("def recipe(:\n")
    (folder / "null.py").write_bytes(b"a = 1\0")
    (folder / "noth.py").write_text("")
    (folder / "wide.py").write_bytes(b"# coding: latin-1\n# \xe9\n" + RECIPE.encode())
    (folder / "wild.py").write_text("# coding: klingon\n")
    (folder / "é.py").write_text(RECIPE)
    (folder / "good.yaml").write_text("steps: 3\n")
    (folder / "list.yaml").write_text("- 1\n")
    (folder / "empty.yaml").write_text("")
    (folder / "empty").mkdir()
    (folder / "full").mkdir()
    (folder / "full" / "file").touch()
    (folder / os.fsdecode(b"bad\xff.py")).write_text(RECIPE)
    (folder / os.fsdecode(b"bad\xff")).mkdir()
    (folder / "pictures").mkdir()
    Image.new("L", (8, 8)).save(folder / "pictures" / "a.png")
    os.mkfifo(folder / "pictures" / "pipe.png")


def argument(text: str) -> str:
    """Return what of a text an operating system passes on as an argument."""
    kept = (c for c in text if c and c != "\x00" and not "\ud800" <= c < "\udc80")
    return "".join(c for c in kept if not "\udd00" <= c <= "\udfff")
