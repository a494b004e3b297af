"""The page before/after: whole in itself, its names only text, its pictures the right ones."""

import base64
import io
import re
from html.parser import HTMLParser

import pytest
from PIL import Image

from nvn.apply.page import page, shown


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def read(content: str) -> Reader:
    reader = Reader()
    reader.feed(content)
    return reader


def pictures(reader: Reader) -> list[Image.Image]:
    sources = [attrs["src"] or "" for tag, attrs in reader.tags if tag == "img"]
    assert all(source.startswith("data:image/jpeg;base64,") for source in sources)
    return [Image.open(io.BytesIO(base64.b64decode(s.partition(",")[2]))) for s in sources]


def test_each_pair_is_there_with_a_slider() -> None:
    red, blue = (Image.new("RGB", (1280, 640), color) for color in ("red", "blue"))
    reader = read(page("game: done", [shown("a.png", red, blue), shown("b.png", blue, red)], 2))
    found = pictures(reader)
    assert [image.size for image in found] == [(640, 320)] * 4
    r, _, b = found[0].getpixel((5, 5))  # type: ignore[misc]
    assert r > 200 > 50 > b
    sliders = [attrs for tag, attrs in reader.tags if tag == "input"]
    assert [s["aria-label"] for s in sliders] == [
        "before and after of a.png", "before and after of b.png"
    ]  # fmt: skip
    assert {s["type"] for s in sliders} == {"range"}


@pytest.mark.parametrize("name", ["<script>alert(1)</script>.png", 'a" onload="x.png', "{0}.png"])
def test_a_name_is_text(name: str) -> None:
    gray = Image.new("L", (8, 8))
    reader = read(page(name, [shown(name, gray, gray)], 1))
    assert sum(tag == "script" for tag, _ in reader.tags) == 1
    assert not any("onload" in attrs for _, attrs in reader.tags)
    assert name in reader.text


def test_it_loads_nothing() -> None:
    gray = Image.new("L", (8, 8))
    content = page("game", [shown("a", gray, gray)], 300)
    assert "default-src 'none'" in content
    assert not re.search(r"https?:|url\(|@import", content)
    assert "The first 1 of 300." in content
