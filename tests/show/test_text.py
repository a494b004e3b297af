"""The game as text."""

import xml.etree.ElementTree as ET

import torch

import nvn
from nvn.show.mermaid import mermaid
from nvn.show.svg import svg
from nvn.show.text import text
from tests.show.small_graph import small_graph


def test_the_text_names_players_with_their_roles() -> None:
    told = text(small_graph())
    assert "G  Linear, 9 parameters, team makers" in told
    assert "D  Linear, 4 parameters, alone" in told
    assert "C  Linear, 4 parameters, frozen" in told


def test_the_text_says_how_named_values_are_made() -> None:
    lines = [line.strip() for line in text(small_graph()).splitlines()]
    assert "fake = G(z)" in lines
    assert "x from the batch" in lines
    assert "z drawn at random" in lines


def test_a_weight_stands_under_its_player() -> None:
    lines = text(small_graph()).splitlines()
    head = next(line for line in lines if line.split() == ["G", "D"])
    row = next(line for line in lines if line.strip().startswith("fake(D(fake))"))
    assert row.split()[1:] == ["-0.5", "1"]
    assert row.index("-0.5") + 4 == head.index("G") + 1  # right-aligned
    assert row.rindex("1") == head.index("D")


def test_a_name_of_any_letters_breaks_no_line_and_no_picture() -> None:
    game = nvn.Game("two\nlines")
    game.team("te\nam", G=torch.nn.Linear(1, 1))
    G = game.players["G"]
    energy = nvn.energy(lambda v: v.square().mean(), name='two\nlines\x1b[2J"<')
    G.minimizes(energy(G(game.batch("x\ny"))))
    graph = nvn.plan(game, nvn.alternating(G)).graph
    for shown in (text(graph), mermaid(graph), svg(graph)):
        assert "\x1b" not in shown
        assert "two\n" not in shown
    assert "game two\ufffdlines" in text(graph)
    ET.fromstring(svg(graph))
    calls = [line for line in mermaid(graph).splitlines() if "lines" in line]
    assert calls == ['  v2{{"two\ufffdlines\ufffd[2J#quot;<(G(x\ufffdy))"}}']
