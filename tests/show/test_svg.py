"""The SVG picture: well-formed, and everybody is in it."""

import re
import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest

import nvn
from nvn import energies as en
from nvn.checks import loss_graph
from nvn.show.svg import HEIGHT, svg
from tests.small import linear, mean

SVG = "{http://www.w3.org/2000/svg}"


def drawn() -> ET.Element:
    game = nvn.Game("a <game> & more")
    x = game.batch("x")
    G, E = game.team("makers", G=linear(), E=linear())
    D = game.player("D", linear(3, 1))
    C = game.frozen("C", linear())
    fake = G(E(x)).named("fake")
    judged = mean(D(fake)).named("judged")
    D.minimizes(judged + 0.5 * en.r1(D(x), x))
    G.maximizes(0.25 * judged)
    E.minimizes(mean(C(fake)) - judged)
    E.minimizes(mean(E(x.stop_gradient())))
    graph = loss_graph(game, [nvn.alternating(D, (G, E))])
    return ET.fromstring(svg(graph))


def texts(picture: ET.Element) -> list[str]:
    return [element.text or "" for element in picture.iter(f"{SVG}text")]


def test_everybody_is_in_the_picture() -> None:
    said = texts(drawn())
    for name in ("a <game> & more", "team makers", "G", "E", "D", "C", "frozen", "fake", "judged"):
        assert name in said


def test_who_pulls_stands_beside_the_energy_with_the_weight() -> None:
    said = texts(drawn())
    for chip in ("D 1", "D 0.5", "G −0.25", "E 1", "E −1"):
        assert chip in said


def test_who_maximizes_is_hollow() -> None:
    picture = [*drawn()]
    chips = {
        label.text: box.get("fill") for box, label in pairwise(picture) if box.get("rx") == "12"
    }
    assert chips["G −0.25"] == chips["E −1"] == "#ffffff"
    assert "#ffffff" not in (chips["D 1"], chips["E 1"])


def test_a_constant_is_reached_by_a_dashed_line() -> None:
    dashed = [path for path in drawn().iter(f"{SVG}path") if path.get("stroke-dasharray")]
    assert len(dashed) == 1


Box = tuple[float, float, float]


def boxes(picture: ET.Element) -> list[Box]:
    """The left edge, the top and the width of each box."""
    found = [box for box in picture.iter(f"{SVG}rect") if box.get("height") == str(HEIGHT)]
    return [tuple(float(box.get(name, 0)) for name in ("x", "y", "width")) for box in found]  # type: ignore[misc]


def unrolled(steps: int) -> ET.Element:
    game = nvn.Game("unrolled")
    x = game.batch("x")
    w, judge = game.player("w", linear()), game.player("judge", linear())
    inner = nvn.energy(lambda a, b: (a - b).square().mean(), name="inner")
    descend = nvn.value(lambda a, b: a - 0.1 * b, name="descend")
    y = w(x)
    for _ in range(steps):
        y = descend(y, nvn.gradient(inner(y, x), y))
    w.minimizes(inner(judge(y), x))
    judge.minimizes(inner(judge(y), x))
    return ET.fromstring(svg(loss_graph(game, [nvn.alternating(w, judge)])))


@pytest.mark.parametrize(("picture", "least"), [(drawn(), 8), (unrolled(1), 6), (unrolled(3), 10)])
def test_nothing_lies_on_top_of_anything_else(picture: ET.Element, least: int) -> None:
    found = boxes(picture)
    assert len(found) >= least
    for i, (x, y, width) in enumerate(found):
        for u, v, other in found[:i]:
            assert x >= u + other or u >= x + width or abs(y - v) >= HEIGHT


@pytest.mark.parametrize("picture", [drawn(), unrolled(1), unrolled(3)])
def test_no_line_runs_behind_a_box(picture: ET.Element) -> None:
    found = boxes(picture)
    lines = [way for way in picture.iter(f"{SVG}path") if way.get("marker-end")]
    assert any(" L" in line.get("d", "") for line in lines)
    for line in lines:
        # Where it is straight, it passes a column; in between, there are no boxes.
        straight = re.findall(r" ([\d.]+),([\d.]+) L([\d.]+),([\d.]+)", line.get("d", ""))
        for left, height, right, same in straight:
            assert height == same
            for x, y, width in found:
                beside = float(right) <= x or x + width <= float(left)
                assert beside or not y < float(height) < y + HEIGHT, line.get("d")


def test_lines_run_from_left_to_right() -> None:
    for way in unrolled(3).iter(f"{SVG}path"):
        xs = [float(x) for x in re.findall(r"([\d.]+),[\d.]+(?= C| L|$)", way.get("d", ""))]
        if way.get("marker-end"):
            assert xs == sorted(xs)


def test_names_of_energies_are_whole() -> None:
    game = nvn.Game("names")
    x, label = game.batch("x", "label")
    E = game.player("E", linear())
    E.minimizes(en.cross_entropy(E.method("forward", training=False)(E(x)), label))
    said = texts(ET.fromstring(svg(loss_graph(game, [nvn.alternating(E)]))))
    assert "cross_entropy(E.eval(E(x)), label)" in said


def test_gray_energies_are_explained_where_there_are_some() -> None:
    gray = "gray: in nobody's objective in the game itself"
    assert gray not in texts(drawn())
    game = nvn.Game("two")
    x = game.batch("x")
    f = game.player("f", linear())
    f.minimizes(mean(f(x)))
    early = nvn.alternating(nvn.move(f, toward=en.mse(f(x), x)))
    graph = loss_graph(game, [early, nvn.alternating(f)])
    assert gray in texts(ET.fromstring(svg(graph)))


def test_a_wide_picture_is_shown_whole() -> None:
    picture = unrolled(3)
    _, _, width, height = map(float, picture.get("viewBox", "").split())
    assert width > 1600 >= float(picture.get("width", 0))
    assert float(picture.get("height", 0)) == pytest.approx(height * 1600 / width, abs=1)
