"""A run on a page: what is there while it goes on, and that nothing stays."""

from __future__ import annotations

from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

import nvn
from nvn.console import screen
from nvn.training.watching import Watch
from tests.small import assert_same
from tests.tiny import tiny


class Browser:
    """Reads the page after every step, and fails at one, if it is to."""

    def __init__(self, watch: Watch, fails: int = 0) -> None:
        self.address = watch._page.address
        self.fails = fails
        self.seen: list[str] = []

    @nvn.plugins.hook
    def step_done(self, record: nvn.Record) -> None:
        if record.step == self.fails:
            raise ZeroDivisionError
        with urlopen(f"{self.address}run") as answer:
            self.seen.append(answer.read().decode())

    def is_over(self) -> bool:
        try:
            urlopen(self.address).close()
        except URLError:
            return True
        return False


def test_the_page_follows_the_run_and_ends_with_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(screen.Rhythm, "due", lambda self: True)
    watch = Watch()
    browser = Browser(watch)
    nvn.train(tiny(), out=tmp_path / "run", plugins=[watch, browser], pulls_every=1)
    assert f"to watch it: {browser.address}" in capsys.readouterr().out
    assert "warmup" in browser.seen[0]
    last = browser.seen[-1]
    assert f"<h1>tiny: {tmp_path / 'run'}</h1>" in last
    assert "6/6" in last
    assert "hold(D(x))" in last
    assert "pulled by" in last
    assert "step 4: size: " in last
    assert 'src="/pictures/gray-000004.png"' in last
    assert browser.is_over()


def test_it_ends_with_a_run_that_fails(tmp_path: Path) -> None:
    watch = Watch()
    browser = Browser(watch, fails=2)
    with pytest.raises(ZeroDivisionError):
        nvn.train(tiny(), out=tmp_path / "run", plugins=[watch, browser])
    assert browser.is_over()


def test_training_is_the_same(tmp_path: Path) -> None:
    states = []
    for name, plugins in (("watched", [Watch()]), ("alone", [])):
        run = nvn.train(tiny, out=tmp_path / name, plugins=plugins)
        states.append(run.engine.state_dict())
    assert_same(*states)
