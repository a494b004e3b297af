"""The game as a Mermaid flowchart."""

import re

from torch import nn

import nvn
from nvn import energies as en
from nvn.show.mermaid import mermaid
from tests.show.small_graph import small_graph


def test_mermaid_has_every_node_and_pull() -> None:
    graph = small_graph()
    lines = mermaid(graph).splitlines()
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


def test_mermaid_boxes_are_closed() -> None:
    graph = small_graph()
    lines = [line.strip() for line in mermaid(graph).splitlines()]
    opened = [line for line in lines if line.startswith("subgraph")]
    assert opened == ['subgraph team_makers["makers"]']
    assert lines.count("end") == len(opened)


def test_values_flow_along_the_graph() -> None:
    graph = small_graph()
    flows = {
        tuple(line.strip().split(" --> "))
        for line in mermaid(graph).splitlines()
        if " --> " in line
    }
    ids = {node: f"v{i}" for i, node in enumerate(graph.nodes)}
    assert flows == {(ids[v], ids[node]) for node in graph.nodes for v in node.inputs}


def test_quotes_do_not_break_a_label() -> None:
    game = nvn.Game("quotes")
    x = game.batch("x")
    D = game.player("D", nn.Linear(3, 1))
    D.minimizes(en.Wasserstein().real(D(x)).named('say "real"'))
    drawn = mermaid(nvn.plan(game, nvn.alternating(D)).graph)
    assert '{{"say #quot;real#quot;"}}' in drawn
