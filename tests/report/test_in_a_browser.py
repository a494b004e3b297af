"""The report, opened: it is read, zoomed, slid through; nothing is asked for, nothing complains."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from nvn.report import write_report
from tests.report.browser import NAMES, Browser, browser, chromium
from tests.report.folders import write_run

pytestmark = pytest.mark.skipif(chromium() is None, reason=f"none of {', '.join(NAMES)} is here")

PLOT = "document.querySelector('.chart .plot .u-over').getBoundingClientRect().toJSON()"
VALUES = "[...document.querySelectorAll('.chart .key .value')].map(v => v.textContent)"
TICKS = "document.querySelector('.chart canvas').toDataURL()"
CURVES = "document.getElementById('curves').scrollIntoView()"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture
def chrome(running: Browser) -> Iterator[Browser]:
    """The browser; when a test is over, nothing must have gone wrong in it."""
    running.problems.clear()
    running.requests.clear()
    yield running
    assert running.problems == []
    assert [url for url in running.requests if not url.endswith("/report.html")] == []
    assert len(running.requests) == 1


def opened(chrome: Browser, *folders: Path, width: int = 1200, dark: bool = False) -> None:
    page = folders[0] / "report.html"
    write_report(folders, page)
    chrome.open(page, width, dark=dark)
    chrome.run(CURVES)


def test_it_is_read(chrome: Browser, tmp_path: Path) -> None:
    opened(chrome, write_run(tmp_path / "run"))
    assert chrome.run("document.querySelector('h1').innerText").startswith("game")
    assert chrome.run("document.querySelectorAll('.chart canvas').length") == 3
    # What is last, as long as nobody points anywhere: of the judge, and G and D (lines are smooth
    # where there are enough numbers, so not of D).
    assert chrome.run(VALUES)[0] == "0.02000"


def test_pointing_shows_the_numbers_there_in_all_charts(chrome: Browser, tmp_path: Path) -> None:
    opened(chrome, write_run(tmp_path / "run"))
    before = chrome.run(VALUES)
    at = chrome.run(PLOT)
    chrome.mouse("mouseMoved", at["x"] + at["width"] / 2, at["y"] + at["height"] / 2)
    values = chrome.run(VALUES)
    assert all(now != then for now, then in zip(values, before, strict=True)), (values, before)


def test_dragging_zooms_all_charts_and_escape_ends_it(chrome: Browser, tmp_path: Path) -> None:
    opened(chrome, write_run(tmp_path / "run"))
    pictures = "[...document.querySelectorAll('.chart canvas')].map(c => c.toDataURL())"
    before, at = chrome.run(pictures), chrome.run(PLOT)
    y = at["y"] + at["height"] / 2
    chrome.mouse("mouseMoved", at["x"] + 20, y)
    chrome.mouse("mousePressed", at["x"] + 20, y, button="left", buttons=1, clickCount=1)
    chrome.mouse("mouseMoved", at["x"] + at["width"] / 2, y, button="left", buttons=1)
    chrome.mouse("mouseReleased", at["x"] + at["width"] / 2, y, button="left", clickCount=1)
    zoomed = chrome.run(pictures)
    assert all(now != then for now, then in zip(zoomed, before, strict=True))
    chrome.run("document.querySelectorAll('.plot')[1].focus()")
    chrome.key("Escape")
    assert chrome.run(pictures) == before


def test_the_keyboard_moves_the_cursor_and_zooms(chrome: Browser, tmp_path: Path) -> None:
    opened(chrome, write_run(tmp_path / "run"))
    chrome.run("document.querySelector('.plot').focus()")
    before = chrome.run(VALUES)[0]
    for _ in range(3):
        chrome.key("ArrowLeft")
    assert chrome.run(VALUES)[0] != before
    whole = chrome.run(TICKS)
    chrome.key("+")
    assert chrome.run(TICKS) != whole


def test_the_slider_chooses_a_picture(chrome: Browser, tmp_path: Path) -> None:
    opened(chrome, write_run(tmp_path / "run"))
    shown = "[...document.querySelectorAll('.frames img')].filter(i => !i.hidden).map(i => i.alt)"
    assert chrome.run(shown) == ["faces, main, step 20"]
    chrome.run("document.querySelector('.frames input').focus()")
    chrome.key("ArrowLeft")
    assert chrome.run(shown) == ["faces, main, step 10"]
    assert chrome.run("document.querySelector('.frames output').textContent") == "main, step 10"


def test_curves_are_switched_off_scaled_and_smoothed(chrome: Browser, tmp_path: Path) -> None:
    opened(chrome, write_run(tmp_path / "run", steps=500))
    pictures = {chrome.run(TICKS)}
    for act in (
        "document.querySelector('.chart .log').click()",
        "document.getElementById('log').click()",
        "document.getElementById('log').click()",
        "document.querySelector('.chart .key').click()",
    ):
        chrome.run(act)
        pictures.add(chrome.run(TICKS))
    assert len(pictures) >= 3
    chrome.run(
        "(s => { s.value = '0.05'; s.dispatchEvent(new Event('change')) })"
        "(document.getElementById('smooth'))"
    )
    chrome.run("document.querySelector('.chart .key').click()")
    assert chrome.run(TICKS) not in pictures


@pytest.mark.parametrize("width", [360, 1200])
@pytest.mark.parametrize("dark", [False, True])
def test_nothing_is_wider_than_the_screen(
    chrome: Browser, tmp_path: Path, width: int, dark: bool
) -> None:
    folder = write_run(tmp_path / "run", energies=60, names="an energy of a long name " * 4)
    opened(chrome, folder, width=width, dark=dark)
    assert chrome.run("document.documentElement.scrollWidth") == width
    paper = chrome.run("getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(21, 24, 27)") == dark


@pytest.mark.parametrize(
    "odd",
    [{"steps": 0}, {"steps": 1}, {"value": lambda _: None}, {"value": lambda _: 2.0}],
    ids=["no step", "one step", "NaN", "still"],
)
def test_odd_runs(chrome: Browser, tmp_path: Path, odd: dict[str, object]) -> None:
    folder = write_run(tmp_path / "run", pictures=0, **odd)  # type: ignore[arg-type]
    opened(chrome, folder)
    chrome.run("document.querySelectorAll('#log').forEach(b => b.click())")
    assert chrome.run("document.querySelectorAll('h2').length") > 2


def test_several_runs(chrome: Browser, tmp_path: Path) -> None:
    folders = [
        write_run(tmp_path / f"{seed}", steps=40 + 10 * seed, seed=seed, max_steps=9)
        for seed in (0, 1, 2)
    ]
    opened(chrome, *folders)
    mean = chrome.run(TICKS)
    chrome.run("document.getElementById('singles').click()")
    assert chrome.run(TICKS) != mean


def test_texts_of_files_do_nothing(chrome: Browser, tmp_path: Path) -> None:
    hostile = "</script><script>document.title = 'taken'</script><img src=http://localhost/x>"
    opened(chrome, write_run(tmp_path / "run", recipe=hostile, names=hostile))
    assert chrome.run("document.title") == f"{hostile} · nvn"
    assert chrome.run("document.querySelector('h1').innerText").startswith(hostile)
