"""YAML of settings and of runs, read so that nothing in it does harm, and every fault is one error.

A stranger's file may have tags that make objects, anchors that explode, or numbers that Python
takes minutes to read. Neither tags nor anchors have a use here.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import yaml

from nvn.errors import ConfigError

__all__ = ["MOST_BYTES", "parse", "shortened"]

MOST_BYTES = 2**20  # of a file, and of a text


class _Loader(yaml.SafeLoader):
    """Plain data: no tags of objects, no anchors, no name twice."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            name = f"{'*' if isinstance(event, yaml.AliasEvent) else '&'}{event.anchor}"
            raise yaml.YAMLError(f"{name!r}: anchors and aliases are not read{_at(event)}")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise yaml.YAMLError(f"{twice!r} is there twice{_at(node)}")
        return super().construct_mapping(node, deep)


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


def _at(thing: Any) -> str:
    return f", line {thing.start_mark.line + 1}" if thing.start_mark else ""
