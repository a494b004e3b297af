"""The page of a run: what it shows, and who may read it."""

from __future__ import annotations

from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

import pytest

import nvn
from nvn.console import page as pages
from nvn.console.board import Board, Stretch
from nvn.console.page import Page


@pytest.fixture
def page() -> Iterator[Page]:
    made = Page()
    yield made
    made.stop()


def asked(page: Page, path: str, method: str = "GET", **headers: str) -> tuple[HTTPResponse, str]:
    connection = HTTPConnection(page.address.removeprefix("http://").rstrip("/"), timeout=10)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer, answer.read().decode(errors="replace")
    finally:
        connection.close()


def test_it_shows_the_latest_board_lines_and_pictures(page: Page, tmp_path: Path) -> None:
    page.begin("<tiny> & more: runs/1")
    for done in (3, 4):
        page.show(Board((Stretch("main", done, 10),)))
    page.say("step 3: size 1")
    page.say("step 4: <b>size</b> 2")
    for step in (3, 4):
        path = tmp_path / f"gray {step}.png"
        path.write_bytes(b"picture %d" % step)
        page.picture("gray", f"gray: step {step}", path)
    assert '<script src="/page.js">' in asked(page, "/")[1]
    assert 'fetch("/run")' in asked(page, "/page.js")[1]
    shown = asked(page, "/run")[1]
    assert "&lt;tiny&gt; &amp; more" in shown
    assert "4/10" in shown
    assert "3/10" not in shown
    assert "step 4: &lt;b&gt;size&lt;/b&gt; 2<br>step 3: size 1" in shown
    assert shown.count("<img") == 1
    answer, picture = asked(page, "/pictures/gray%204.png")
    assert answer.headers["Content-Type"] == "image/png"
    assert picture == "picture 4"
    assert asked(page, "/pictures/gray%203.png")[0].status == 404


def test_a_picture_that_was_not_written_is_not_there(page: Page, tmp_path: Path) -> None:
    page.picture("gray", "gray", tmp_path / "gray.png")
    assert asked(page, "/pictures/gray.png")[0].status == 404


@pytest.mark.parametrize("path", ["/../pyproject.toml", "/etc/passwd", "/run?x", "/x"])
def test_nothing_else_can_be_asked_for(page: Page, path: str) -> None:
    assert asked(page, path)[0].status == 404
    assert asked(page, "/", "POST")[0].status == 501


def test_it_is_for_this_machine_alone(page: Page) -> None:
    assert page.address.startswith("http://127.0.0.1:")
    for host, status in (("evil.example", 403), ("", 403), ("localhost:9000", 200)):
        assert asked(page, "/run", Host=host)[0].status == status
    policy = asked(page, "/")[0].headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'self'; ")


def test_it_prints_nothing(page: Page, capfd: pytest.CaptureFixture[str]) -> None:
    asked(page, "/")
    asked(page, "/x")
    assert capfd.readouterr() == ("", "")


def test_where_no_page_can_be_served_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> None:
        raise OSError(98, "Address already in use")

    monkeypatch.setattr(pages, "_Server", none)
    with pytest.raises(nvn.NvnError, match="no page can be served on 127.0.0.1"):
        Page()
