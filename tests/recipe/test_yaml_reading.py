"""YAML from a stranger: every fault is one clear error, and nothing in it does harm."""

import contextlib
import itertools
import os
import string
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from nvn.errors import ConfigError
from nvn.recipe import yaml_reading
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
        ("[" * 60 + "]" * 60, "nested too deeply: more than 50 levels, line 1"),
        ("0x" + "f" * 5000, "a number of 5,002 characters"),
        ("steps: 010", "'010' may be read as a number in two ways; quote a text"),
        ("steps: 1:30", "'1:30' may be read as a number in two ways"),
        ("!!set {a}", "could not determine a constructor for the tag"),
        ("!!binary eA==", "could not determine a constructor for the tag"),
        ("!!map 1", "expected a mapping node"),
        ("a: 1\nb: 2\na: 3", "'a' is there twice, line 1"),
        ("a: [", "expected"),
        ("\x00", "unacceptable character"),
        ("x" * (MOST_BYTES + 1), "more than 1,048,576 are not read"),
    ],
    ids=range(22),
)
def test_what_is_not_read_is_told(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse(text)


def test_a_number_is_what_it_looks_like() -> None:
    assert parse("[0, -3, 1_000, 0x1f, 0b11, 1.5]") == [0, -3, 1000, 31, 3, 1.5]
    assert read_settings(["steps=010"]) == {"steps": "010"}  # the setting's type decides: 10


def test_many_names_take_no_longer_than_few() -> None:
    compared = 0

    class Name(str):
        def __eq__(self, other: object) -> bool:
            nonlocal compared
            compared += 1
            return super().__eq__(other)

        __hash__ = str.__hash__

    nodes = [(yaml.ScalarNode("tag:yaml.org,2002:str", Name(n)),) * 2 for n in range(1000)]
    yaml_reading._Loader("").construct_mapping(yaml.MappingNode("tag:yaml.org,2002:map", nodes))
    assert compared < 10_000


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
