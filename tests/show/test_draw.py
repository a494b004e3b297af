"""The game as text and as a Mermaid flowchart."""

from __future__ import annotations

import re

import pytest
from torch import nn

import nvn
from nvn import energies as en
from nvn.game.graph import LossGraph
from nvn.show import draw


@pytest.fixture
def graph() -> LossGraph:
    game = nvn.Game("small")
    x = game.batch("x")
    z = game.noise("z", 2, like=x)
    (G,) = game.team("makers", G=nn.Linear(2, 3))
    D = game.player("D", nn.Linear(3, 1))
    C = game.frozen("C", nn.Linear(3, 1))
    fake = G(z).named("fake")
    adv = en.Wasserstein()
    D.minimizes(adv.real(D(x)) + adv.fake(D(fake)))
    G.minimizes(0.5 * adv.fool(D(fake)) + en.mse(C(fake), C(x)))
    return nvn.plan(game, nvn.alternating(D, G)).graph


def test_the_text_names_players_with_their_roles(graph: LossGraph) -> None:
    told = draw.text(graph)
    assert "G  Linear, 9 parameters, team makers" in told
    assert "D  Linear, 4 parameters, alone" in told
    assert "C  Linear, 4 parameters, frozen" in told


def test_the_text_says_how_named_values_are_made(graph: LossGraph) -> None:
    lines = [line.strip() for line in draw.text(graph).splitlines()]
    assert "fake = G(z)" in lines
    assert "x from the batch" in lines
    assert "z drawn at random" in lines


def test_a_weight_stands_under_its_player(graph: LossGraph) -> None:
    lines = draw.text(graph).splitlines()
    head = next(line for line in lines if line.split() == ["G", "D"])
    row = next(line for line in lines if line.strip().startswith("fake(D(fake))"))
    assert row.split()[1:] == ["-0.5", "1"]
    assert row.index("-0.5") + 4 == head.index("G") + 1  # right-aligned
    assert row.rindex("1") == head.index("D")


def test_mermaid_has_every_node_and_pull(graph: LossGraph) -> None:
    lines = draw.mermaid(graph).splitlines()
    assert lines[0] == "flowchart LR"
    shaped = [re.match(r"\s*(v\d+)[\[({]", line) for line in lines]
    assert {m[1] for m in shaped if m} == {f"v{i}" for i in range(len(graph.nodes))}
    pulls = sorted(line.split(" -. ")[1] for line in lines if " -. " in line)
    assert pulls == [
        '"+1" .-> player_D',
        '"+1" .-> player_D',
        '"+1" .-> player_G',
        '"-0.5" .-> player_G',
    ]


def test_mermaid_boxes_are_closed(graph: LossGraph) -> None:
    lines = [line.strip() for line in draw.mermaid(graph).splitlines()]
    opened = [line for line in lines if line.startswith("subgraph")]
    assert opened == ['subgraph team_makers["makers"]']
    assert lines.count("end") == len(opened)


def test_values_flow_along_the_graph(graph: LossGraph) -> None:
    flows = {
        tuple(line.strip().split(" --> "))
        for line in draw.mermaid(graph).splitlines()
        if " --> " in line
    }
    ids = {node: f"v{i}" for i, node in enumerate(graph.nodes)}
    assert flows == {(ids[v], ids[node]) for node in graph.nodes for v in node.inputs}


def test_quotes_do_not_break_a_label() -> None:
    game = nvn.Game("quotes")
    x = game.batch("x")
    D = game.player("D", nn.Linear(3, 1))
    D.minimizes(en.Wasserstein().real(D(x)).named('say "real"'))
    drawn = draw.mermaid(nvn.plan(game, nvn.alternating(D)).graph)
    assert '{{"say #quot;real#quot;"}}' in drawn
