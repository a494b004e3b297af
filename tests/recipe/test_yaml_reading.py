"""YAML from a stranger: every fault is one clear error, and nothing in it does harm."""

import contextlib
import itertools
import os
import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvn.errors import ConfigError
from nvn.recipe.config import read_settings, read_yaml
from nvn.recipe.yaml_reading import MOST_BYTES, parse

_NAMES = "abcdefghi"
LAUGHS = "a: &a [x, x]\n" + "\n".join(
    f"{after}: &{after} [*{name}, *{name}]" for name, after in itertools.pairwise(_NAMES)
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (LAUGHS, "anchors and aliases are not read, line 1"),
        ("!!python/object/apply:os.system [echo]", "could not determine a constructor for the tag"),
        ("!mine 3", "could not determine a constructor for the tag"),
        ("steps: 0000-00-00", "a value that is none"),
        ("steps: 2024-13-45", "a value that is none"),
        ("!!int x", "a value that is none"),
        ("!!float x", "a value that is none"),
        ("!!bool maybe", "a value that is none"),
        ("!!timestamp x", "a value that is none"),
        ("9" * 5000, "a value that is none"),
        ("[" * 3000, "nested too deeply"),
        ("a: 1\nb: 2\na: 3", "'a' is there twice, line 1"),
        ("a: [", "expected"),
        ("\x00", "unacceptable character"),
        ("x" * (MOST_BYTES + 1), "more than 1,048,576 are not read"),
    ],
    ids=range(15),
)
def test_what_is_not_read_is_told(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse(text)


def test_a_files_fault_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("a: &a 1")
    with pytest.raises(ConfigError, match=r"mine.yaml is not valid YAML: '&a': anchors"):
        read_yaml(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"mine.yaml is not valid YAML"):
        read_yaml(path)
    with pytest.raises(ConfigError, match="cannot read .*missing.yaml"):
        read_yaml(tmp_path / "missing.yaml")
    with pytest.raises(ConfigError, match="is no regular file"):
        read_yaml(tmp_path)
    with pytest.raises(ConfigError, match="cannot read"):
        read_yaml(Path("x" * 5000))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    with pytest.raises(ConfigError, match="is no regular file"):
        read_yaml(tmp_path / "pipe.yaml")
    (tmp_path / "zero.yaml").symlink_to("/dev/zero")
    with pytest.raises(ConfigError, match="is no regular file"):
        read_yaml(tmp_path / "zero.yaml")


_PIECES = st.sampled_from(
    [
        *"[]{}:,-?!&*#|>%@`'\" \n\t",
        "- ",
        ": ",
        "!!int ",
        "!!map ",
        "<<",
        "~",
        "0x",
        "1e",
        ".nan",
        "é",
    ]
)


@given(st.lists(_PIECES | st.text(string.printable, max_size=3), max_size=30).map("".join))
def test_whatever_is_written_nothing_but_one_error_comes_of_it(text: str) -> None:
    with contextlib.suppress(ConfigError):
        parse(text)
    read_settings([f"a={text}"])
