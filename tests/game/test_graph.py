"""The frozen game: what it holds, what nodes are called, what random streams are keyed by."""

import pytest
import torch
from torch import nn

import nvn
from nvn import energies as en
from nvn.game.graph import fingerprints, freeze, unique_names
from nvn.game.traversal import (
    ancestors,
)
from nvn.game.values import (
    Value,
)
from tests.small import gan, linear, mean


def test_a_frozen_game_says_everything() -> None:
    small = gan()
    graph = freeze(small.game, [small.schedule])
    assert graph.name == "gan"
    assert graph.players == (small.G, small.D)
    assert graph.objectives == {"G": small.G.objective, "D": small.D.objective}
    assert graph.energies == (small.fool, small.judge)
    assert set(graph.nodes) == {
        *graph.energies,
        small.D(small.fake),
        small.D(small.x),
        small.fake,
    } | {
        small.z,
        small.x,
    }
    assert graph.names[small.fool] == "fool"
    assert graph.weights == frozenset()


def test_nodes_come_after_their_inputs() -> None:
    small = gan()
    nodes = freeze(small.game, [small.schedule]).nodes
    seen: set[Value] = set()
    for node in nodes:
        assert seen.issuperset(node.inputs)
        seen.add(node)


def test_what_a_moves_goal_needs_is_in_the_graph() -> None:
    small = gan()
    content = mean(small.fake).named("content")
    assert content not in freeze(small.game, [small.schedule]).nodes
    schedule = nvn.alternating(small.D, nvn.move(small.G, toward=content))
    assert content in freeze(small.game, [schedule]).nodes


def test_values_in_weights_are_in_the_graph() -> None:
    small = gan()
    balance = nvn.value(torch.mean)(small.D(small.x)).named("balance")
    small.G.minimizes(balance * mean(small.fake))
    graph = freeze(small.game, [small.schedule])
    assert graph.weights == {balance}
    assert balance in graph.nodes


def test_the_players_with_buffers_are_known() -> None:
    small = gan(critic=nn.Sequential(linear(), nn.BatchNorm1d(3)))
    graph = freeze(small.game, [small.schedule])
    assert graph.stateful == {"D"}


def test_players_are_found_by_name() -> None:
    small = gan()
    graph = freeze(small.game, [small.schedule])
    assert graph.player("G") is small.G
    with pytest.raises(KeyError, match="'C'"):
        graph.player("C")


def test_only_terms_that_depend_on_a_player_can_move_it() -> None:
    small = gan()
    graph = freeze(small.game, [small.schedule])
    assert [str(t.energy) for t in graph.moving_terms(small.G, small.D.objective)] == ["fool"]
    assert [str(t.energy) for t in graph.moving_terms(small.D, small.D.objective)] == [
        "judge",
        "fool",
    ]


def test_names_are_unique() -> None:
    game = nvn.Game("game")
    x = game.batch("x")
    one, two = (nvn.energy(lambda t: t.mean(), name="mean")(x) for _ in range(2))
    game.batch("y").named("x")
    names = unique_names(ancestors([one, two, *game.batch_values]))
    assert sorted(names.values()) == ["mean(x)", "mean(x) (2)", "x", "x (2)"]
    assert names[one] == "mean(x)"


def test_fingerprints_depend_on_structure_alone() -> None:
    def calls(named: bool) -> list[int]:
        game = nvn.Game("game")
        if named:
            game.batch("unused")
        x = game.batch("x")
        G = game.player("G", linear())
        first = G(x, k=1, j=2) if named else G(x, j=2, k=1)
        if named:
            first.named("first")
        values = [
            first,
            G(x),
            G(first),
            G.method("encode")(x),
            G(x)[0],
            G(x)[1],
            G(x, 2),
            G(x, "2"),
        ]
        found = fingerprints(ancestors(values))
        return [found[value] for value in values]

    assert calls(named=True) == calls(named=False)
    assert len(set(calls(named=True))) == 8


def test_fingerprints_never_change() -> None:
    """Random streams are keyed by them: other numbers would be other curves."""
    game = nvn.Game("pinned")
    x, y = game.batch("x", "y")
    z = game.noise("z", (3, 2), like=x)
    w = game.sample("w", lambda generator, batch: torch.rand(3, generator=generator))
    G, D, C = game.player("G", linear()), game.player("D", linear()), game.frozen("C", linear())
    fake = G(z)
    mixed = nvn.value(torch.lerp, name="lerp")(x, fake, w)
    pinned = {
        x: 5209621433261710241,
        z: 394528507565605950,
        w: 10195699878585513455,
        fake: 6551481502700989177,
        G.method("forward", training=False)(z): 11045421071829843665,
        C(fake): 5296567355392760704,
        G.method("encode")(x, 2, [y, {"k": None}], flag=True, scale=0.5, by="s"): (
            12967173262674459718
        ),
        mixed: 9070307254631947603,
        fake["features"]: 9110384123888034819,
        fake[:, 0, ..., None]: 7785207919770812120,
        fake.stop_gradient(): 16941433043331293109,
        nvn.gradient(D(mixed), mixed): 5124368777469701879,
        en.NonSaturating().fool(D(fake)): 9874036549787168310,
        en.r1(D(x), x): 4364210099486239434,
        nvn.value(torch.add)(x, torch.ones(2)): 12322254598536884742,
    }
    found = fingerprints(ancestors(pinned))
    assert {value: found[value] for value in pinned} == pinned
