"""HTML that escapes what it is given: only what was made here is taken as it is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

__all__ = ["Html", "join", "table", "tag"]

_EMPTY = frozenset({"img", "input", "link", "meta"})  # elements that have no end


class Html(str):
    """HTML; any other text is escaped wherever it is put.

    >>> tag("b", "1 < 2", tag("i", "!"))
    '<b>1 &lt; 2<i>!</i></b>'
    """

    __slots__ = ()


def tag(element: str, /, *inner: object, **attributes: object) -> Html:
    """Return an element.

    Args:
        element: Its name.
        inner: What is in it: `Html` as it is, anything else as its text. None is nothing.
        attributes: Its attributes, `_` for `-` (and at the end for nothing): True for one without
            a value, False or None for none.

    >>> tag("p", 'say "yes"', class_="said", hidden=False, data_at='"1"')
    '<p class="said" data-at="&quot;1&quot;">say &quot;yes&quot;</p>'
    """
    given = "".join(_attribute(key, value) for key, value in attributes.items())
    end = "" if element in _EMPTY else f"</{element}>"
    return Html(f"<{element}{given}>{join(inner)}{end}")


def join(parts: Iterable[object]) -> Html:
    """Return parts one after the other.

    >>> join(["<", tag("b"), None])
    '&lt;<b></b>'
    """
    return Html("".join(map(_inner, parts)))


def table(header: Sequence[object], rows: Iterable[Sequence[object]], numbers: int = 0) -> Html:
    """Return a table whose rows each begin with what names them.

    Args:
        header: The names of its columns.
        rows: Its rows.
        numbers: From which column on numbers stand in it; 0 if nowhere.

    >>> table(["name", "value"], [["a", 1]], numbers=1).count("<td")
    1
    """
    kinds = ["number" if numbers and i >= numbers else None for i in range(len(header))]
    head = join(
        tag("th", cell, scope="col", class_=kind) for cell, kind in zip(header, kinds, strict=True)
    )
    body = join(tag("tr", *_row(row, kinds)) for row in rows)
    inner = tag("table", tag("thead", tag("tr", head)), tag("tbody", body))
    return tag("div", inner, class_="wide", tabindex=0, role="region", aria_label="table")


def _row(row: Sequence[object], kinds: Sequence[str | None]) -> Iterable[Html]:
    yield tag("th", row[0], scope="row")
    for cell, kind in zip(row[1:], kinds[1:], strict=True):
        yield tag("td", cell, class_=kind)


def _attribute(key: str, value: object) -> str:
    name = key.rstrip("_").replace("_", "-")
    if value is None or value is False:
        return ""
    return f" {name}" if value is True else f' {name}="{escape(_clean(str(value)))}"'


def _inner(part: object) -> str:
    if part is None:
        return ""
    return part if isinstance(part, Html) else escape(_clean(str(part)))


def _clean(text: str) -> str:
    """Return a text that can be written as UTF-8: names of files may have halves of characters."""
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
