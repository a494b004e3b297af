"""The loss graph: who a gradient reaches, what a value depends on, what nodes are called."""

import torch

import nvn
from nvn import energies as en
from nvn.game.graph import fingerprints, freeze, unique_names
from nvn.game.traversal import (
    ancestors,
    batch_names,
    called_players,
    differentiable_path,
    gradients_of,
    owner,
    reach,
    reads,
    roots,
)
from nvn.game.values import Value
from tests.small import Gan, gan, linear, mean


def of(small: Gan, value: Value, find: object) -> frozenset[str]:
    return find(ancestors([value]))[value]


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


def test_a_gradient_reaches_everybody_upstream() -> None:
    small = gan()
    assert of(small, small.fool, reach) == {"G", "D"}
    assert of(small, small.judge, reach) == {"D"}
    assert of(small, small.x, reach) == frozenset()


def test_a_gradient_stops_where_it_is_told_to() -> None:
    small = gan()
    constant = small.D(small.fake.stop_gradient())
    assert of(small, constant, reach) == {"D"}
    assert of(small, constant, reads) == {"D", "G"}


def test_a_gradient_stops_at_frozen_players_but_passes_through_them() -> None:
    small = gan()
    C = small.game.frozen("C", linear())
    assert of(small, C(small.x), reach) == frozenset()
    assert of(small, C(small.fake), reach) == {"G"}
    assert of(small, C(small.x), reads) == {"C"}


def test_no_gradient_flows_into_the_shape_of_noise() -> None:
    small = gan()
    noise = small.game.noise("w", 3, like=small.fake)
    assert of(small, small.D(noise), reach) == {"D"}
    assert not differentiable_path(small.fake, noise)


def test_a_gradient_of_a_gradient_reaches_both() -> None:
    small = gan()
    slope = nvn.gradient(small.D(small.fake), small.fake)
    assert of(small, slope, reach) == {"D", "G"}
    assert gradients_of(ancestors([slope])) == (slope,)


def test_the_differentiable_path_holds_what_lies_between() -> None:
    small = gan()
    D, fake, fool = small.D, small.fake, small.fool
    assert differentiable_path(fake, fool) == {fake, D(fake), fool}
    assert differentiable_path(fool, fake) == frozenset()
    assert differentiable_path(fake, small.judge) == frozenset()
    assert differentiable_path(fake, mean(D(fake.stop_gradient()))) == frozenset()
    stopped = fake.stop_gradient()
    assert stopped in differentiable_path(stopped, D(stopped))


def test_the_differentiable_path_leaves_out_what_leads_nowhere() -> None:
    small = gan()
    C = small.game.frozen("C", linear())
    target = C(small.fake)
    near = nvn.energy(torch.dist)(small.fake, target.stop_gradient())
    assert differentiable_path(small.fake, near) == {small.fake, near}


def test_roots_are_energies_and_what_weighs_them() -> None:
    small = gan()
    weight = nvn.value(torch.mean)(small.x)
    assert roots([2 * small.fool, weight * small.judge + small.fool]) == (
        small.fool,
        small.judge,
        weight,
    )


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


def test_calls_have_owners() -> None:
    small = gan()
    assert owner(small.fake) == "G"
    assert owner(small.fool) is None
    assert [*called_players(ancestors([small.fool]))] == ["G", "D"]


def test_batch_names_are_those_of_the_nodes() -> None:
    small = gan()
    small.game.batch("unused")
    assert batch_names(ancestors([small.fool])) == ("x",)


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
