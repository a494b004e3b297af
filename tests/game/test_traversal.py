"""Walking values: whom a gradient reaches, what a value depends on."""

import torch

import nvn
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
from nvn.game.values import (
    Value,
)
from tests.small import Gan, gan, linear, mean


def of(small: Gan, value: Value, find: object) -> frozenset[str]:
    return find(ancestors([value]))[value]


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


def test_calls_have_owners() -> None:
    small = gan()
    assert owner(small.fake) == "G"
    assert owner(small.fool) is None
    assert [*called_players(ancestors([small.fool]))] == ["G", "D"]


def test_batch_names_are_those_of_the_nodes() -> None:
    small = gan()
    small.game.batch("unused")
    assert batch_names(ancestors([small.fool])) == ("x",)
