"""The SVG picture: well-formed, and everybody is in it."""

import xml.etree.ElementTree as ET
from itertools import pairwise

import nvn
from nvn import energies as en
from nvn.checks import loss_graph
from nvn.show.svg import HEIGHT, WIDTH, svg
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


def test_nothing_lies_on_top_of_anything_else() -> None:
    boxes = [
        (float(box.get("x", 0)), float(box.get("y", 0)))
        for box in drawn().iter(f"{SVG}rect")
        if box.get("width") == str(WIDTH)
    ]
    assert len(boxes) >= 8
    for i, (x, y) in enumerate(boxes):
        for u, v in boxes[:i]:
            assert abs(x - u) >= WIDTH or abs(y - v) >= HEIGHT
