"""YAML of settings and of runs, read so that nothing in it does harm, and every fault is one error.

A stranger's file may have tags that make objects, anchors that explode, or numbers that Python
takes minutes to read. Neither tags nor anchors have a use here.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable
from typing import Any, ClassVar

import yaml

from nvn.errors import ConfigError

__all__ = ["MOST_BYTES", "parse", "shortened"]

MOST_BYTES = 2**20  # of a file, and of a text
_DEEPEST = 50  # lists and mappings in one another: what is read is walked through by recursion
_LONGEST = 100  # characters of a number; Python itself does not print integers of 5,000 digits
_TAG = "tag:yaml.org,2002:"
_NUMBERS = [f"{_TAG}int", f"{_TAG}float"]
_NO_USE = [f"{_TAG}{name}" for name in ("binary", "omap", "pairs", "set")]


class _Loader(yaml.SafeLoader):
    """Plain data: no tags of objects, no anchors, no name twice."""

    yaml_constructors: ClassVar[dict[Any, Any]] = {
        tag: make for tag, make in yaml.SafeLoader.yaml_constructors.items() if tag not in _NO_USE
    }
    _depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            name = f"{'*' if isinstance(event, yaml.AliasEvent) else '&'}{event.anchor}"
            raise yaml.YAMLError(f"{name!r}: anchors and aliases are not read{_at(event)}")
        self._depth += 1
        if self._depth > _DEEPEST:
            raise yaml.YAMLError(f"nested too deeply: more than {_DEEPEST} levels{_at(event)}")
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        pairs = node.value if isinstance(node, yaml.MappingNode) else ()  # else refused below
        names = Counter(key.value for key, _ in pairs if isinstance(key, yaml.ScalarNode))
        twice = next((name for name, count in names.items() if count > 1), None)
        if twice is not None:
            raise yaml.YAMLError(f"{twice!r} is there twice{_at(node)}")
        return super().construct_mapping(node, deep)

    def construct_scalar(self, node: Any) -> Any:
        text = super().construct_scalar(node)
        if node.tag in _NUMBERS:
            _check_number(text)
        return text


def parse(text: str) -> Any:
    """Return what a YAML text says: numbers, texts, lists and mappings.

    Raises:
        ConfigError: It is not YAML, or has what is not read.

    >>> parse("{size: 3, names: [a, b]}")
    {'size': 3, 'names': ['a', 'b']}
    >>> parse("{a: &x 1, b: *x}")
    Traceback (most recent call last):
    nvn.errors.ConfigError: '&x': anchors and aliases are not read, line 1
    """
    if len(text) > MOST_BYTES:
        raise ConfigError(f"{len(text):,} characters: more than {MOST_BYTES:,} are not read")
    try:
        # A SafeLoader's: no objects are made of tags.
        return yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        raise ConfigError(" ".join(str(error).split())) from None
    except RecursionError:
        raise ConfigError("nested too deeply") from None
    except (ValueError, LookupError, AttributeError, TypeError, OverflowError) as error:
        # PyYAML's own, of what looks like a date or a number and is none.
        raise ConfigError(f"a value that is none: {shortened(error)}") from None


def shortened(value: object, most: int = 80) -> str:
    """Return a value as a text of bounded length, for a message.

    >>> shortened("x" * 100, 10)
    'xxxxxxxxxx…'
    """
    text = str(value)
    return text if len(text) <= most else f"{text[:most]}…"


def _check_number(text: str) -> None:
    if len(text) > _LONGEST:
        raise ValueError(f"a number of {len(text):,} characters")
    # In YAML 1.1, which PyYAML reads, 010 is 8 and 1:30 is 90: nobody means that.
    if ":" in text or re.match(r"[-+]?0[0-9_]+$", text):
        raise ValueError(f"{text!r} may be read as a number in two ways; quote a text")


def _at(thing: Any) -> str:
    return f", line {thing.start_mark.line + 1}" if thing.start_mark else ""
