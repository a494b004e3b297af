"""Declaring a game: players, teams, values, and who minimises what."""

import copy
from dataclasses import dataclass
from functools import partial

import pytest
import torch
from torch import Tensor, nn

import nvn
from nvn import energies as en
from nvn.errors import GameError
from nvn.game.ops import Batch, Gradient, Noise
from nvn.game.values import Energy, Value
from tests.small import linear, mean, square


@pytest.fixture
def game() -> nvn.Game:
    return nvn.Game("game")


@pytest.fixture
def v(game: nvn.Game) -> Value:
    return game.batch("v")


@pytest.fixture(name="G")
def maker(game: nvn.Game) -> nvn.Player:
    return game.player("G", linear())


def add(x: Tensor, y: Tensor) -> Tensor:
    return x + y


@dataclass(frozen=True)
class Scaled:
    """A function that is compared by equality."""

    by: float

    def __call__(self, x: Tensor) -> Tensor:
        return (self.by * x).mean()


def only_problem(game: nvn.Game) -> str:
    (problem,) = game.problems
    return str(problem)


# --- batches, noise, samples --------------------------------------------------------------------


def test_one_name_gives_a_value_and_several_a_tuple(game: nvn.Game) -> None:
    weak = game.batch("weak")
    assert isinstance(weak, Value)
    assert weak.op == Batch("weak")
    both = game.batch("weak", "peak")
    assert both == (weak, game.batch("peak"))
    assert game.batch_values == both


def test_noise_has_a_shape(game: nvn.Game, v: Value) -> None:
    z = game.noise("z", (64, 2), like=v)
    assert z.op == Noise("z", (64, 2))
    assert z.inputs == (v,)
    assert game.noise("z", [64, 2], like=v) is z
    assert game.noise("w", 64, like=v).op == Noise("w", (64,))
    assert game.noise("u", torch.Size([3]), like=v).op == Noise("u", (3,))


def test_the_same_sample_is_the_same_value(game: nvn.Game) -> None:
    def draw(generator: torch.Generator, batch: object) -> Tensor:
        return torch.rand(3, generator=generator)

    assert game.sample("w", draw) is game.sample("w", draw)
    assert not game.problems


def test_two_samples_of_one_name_are_a_problem(game: nvn.Game, v: Value) -> None:
    game.noise("z", 64, like=v)
    game.noise("z", 32, like=v)
    assert "a second sample named 'z'" in only_problem(game)


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("kind", ["noise", "sample"])
def test_a_sample_and_the_batch_share_no_name(game: nvn.Game, kind: str, batch_first: bool) -> None:
    """An entry of a batch replaces the sample of its name: nothing would be random."""
    x = game.batch("x", "z")[0] if batch_first else game.batch("x")
    if kind == "noise":
        game.noise("z", 3, like=x)
    else:
        game.sample("z", lambda generator, batch: torch.rand(3, generator=generator))
    game.batch("z")
    assert "'z' names an entry of the batch, and a sample too (test_game.py:" in only_problem(game)


# --- the same call is the same value ------------------------------------------------------------


def test_the_same_call_is_the_same_value(G: nvn.Player, v: Value) -> None:
    lift = nvn.value(add)
    assert G(v) is G(v)
    assert G(v, 1, [v, {"k": 2}], flag=True) is G(v, 1, [v, {"k": 2}], flag=True)
    assert lift(G(v), v) is nvn.value(add)(G(v), v)
    assert G(v).stop_gradient() is G(v).stop_gradient()
    assert nvn.gradient(G(v), v) is nvn.gradient(G(v), v)
    assert G.method("encode")(v) is G.method("encode")(v)


def test_the_order_of_keywords_does_not_matter(G: nvn.Player, v: Value) -> None:
    assert G(v, a=1, b=2) is G(v, b=2, a=1)


def test_other_calls_are_other_values(game: nvn.Game, G: nvn.Player, v: Value) -> None:
    w = game.batch("w")
    calls = [
        G(v),
        G(w),
        G(v, w),
        G(w, v),
        G(v, x=w),
        G(v, 1),
        G(v, 1.0),
        G(v, True),
        G([v]),
        G((v,)),
    ]
    calls += [G.method("encode")(v), G.method("forward", training=False)(v), G({"v": v})]
    assert len(set(calls)) == len(calls)


def test_functions_are_compared_by_equality(v: Value) -> None:
    assert nvn.energy(Scaled(2.0))(v) is nvn.energy(Scaled(2.0))(v)
    assert nvn.energy(Scaled(2.0))(v) is not nvn.energy(Scaled(3.0))(v)
    assert nvn.value(lambda x: x)(v) is not nvn.value(lambda x: x)(v)


def test_zeros_of_both_signs_are_different_constants(game: nvn.Game, v: Value) -> None:
    sign = nvn.value(torch.copysign)
    assert sign(v, 0.0) is not sign(v, -0.0)
    assert sign(v, -0.0) is sign(v, -0.0)
    assert sign(v, 0j) is not sign(v, 0.0)
    assert sign(v, float("nan")) is sign(v, float("nan"))


def test_families_of_energies_are_compared_by_equality(G: nvn.Player, v: Value) -> None:
    assert en.NonSaturating().real(G(v)) is en.NonSaturating().real(G(v))
    assert en.LeastSquares(a=-1).fake(G(v)) is not en.LeastSquares().fake(G(v))
    assert en.mse(G(v), v) is en.mse(G(v), v)


@pytest.mark.parametrize("family", [en.Minimax(), en.Wasserstein()])
def test_a_zero_sum_makers_energy_is_the_critics(
    family: en.Family, G: nvn.Player, v: Value
) -> None:
    assert family.fool(G(v)) == -family.fake(G(v))
    (term,) = family.fool(G(v)).terms
    assert term.energy is family.fake(G(v))


def test_a_value_and_an_energy_of_one_function_are_two(v: Value) -> None:
    value, energy = nvn.value(torch.mean)(v), nvn.energy(torch.mean)(v)
    assert type(value) is Value
    assert type(energy) is Energy
    assert value is not energy


def test_changing_an_argument_later_does_not_change_the_graph(G: nvn.Player, v: Value) -> None:
    parts = [v, v]
    joined = G(parts)
    parts.append(v)
    assert joined.args == ([v, v],)
    assert G(parts) is not joined


# --- players and teams --------------------------------------------------------------------------


def test_a_player_is_of_no_team(game: nvn.Game) -> None:
    module = linear()
    G = game.player("G", module)
    assert (G.name, G.module, G.team, G.frozen) == ("G", module, None, False)
    assert game.players == {"G": G}
    assert G.where.file.endswith("test_game.py")


def test_a_frozen_player_always_runs_in_eval_mode(game: nvn.Game, v: Value) -> None:
    C = game.frozen("C", linear())
    assert C.frozen
    assert not C(v).op.training
    assert C(v) is C.method("forward", training=False)(v)


def test_players_teams_and_games_have_names_in_a_debugger(game: nvn.Game) -> None:
    team = game.team("critics", D=linear(), Dp=linear())
    assert repr(team.D) == "<Player D>"
    assert repr(team) == "<Team critics: D, Dp>"
    assert repr(game) == "<Game game: D, Dp>"


def test_a_team_gives_its_members(game: nvn.Game) -> None:
    team = game.team("critics", D=linear(), Dp=linear())
    D, Dp = team
    assert (team.D, team.Dp, len(team)) == (D, Dp, 2)
    assert (D.name, Dp.name, D.team) == ("D", "Dp", "critics")
    assert game.players == {"D": D, "Dp": Dp}


def test_a_team_of_one_is_iterable_too(game: nvn.Game) -> None:
    (D,) = game.team("critics", D=linear())
    assert D.name == "D"


def test_a_team_may_be_copied_and_says_what_it_lacks(game: nvn.Game) -> None:
    team = game.team("critics", D=linear())
    assert copy.copy(team).D is team.D
    with pytest.raises(AttributeError, match="'E'"):
        _ = team.E


def test_a_member_may_not_hide_what_a_team_does(game: nvn.Game) -> None:
    game.team("critics", members=linear())
    assert "a team member named 'members'" in only_problem(game)


def test_a_team_needs_members(game: nvn.Game) -> None:
    game.team("critics")
    assert "the team 'critics' has no members" in only_problem(game)


def test_calling_a_player_with_a_tensor_is_refused(G: nvn.Player, v: Value) -> None:
    with pytest.raises(GameError, match="the player `G` is called with tensors") as caught:
        G(torch.ones(2, 3))
    assert "a penalty takes `nvn.gradient(G(x), x)`" in caught.value.problems[0].edit
    assert G(v, torch.ones(3)).inputs == (v,)  # a constant beside a value is in order


def test_a_player_may_take_nothing(G: nvn.Player) -> None:
    assert G() is G()
    assert G().inputs == ()


# --- names used twice ---------------------------------------------------------------------------


def test_a_players_name_is_used_once(game: nvn.Game) -> None:
    first = game.player("G", linear())
    game.team("synthesis", G=linear())
    assert "a second player named 'G'" in only_problem(game)
    assert game.players["G"] is first


def test_a_teams_name_is_used_once(game: nvn.Game) -> None:
    game.team("critics", D=linear())
    game.team("critics", Dp=linear())
    assert "a second team named 'critics'" in only_problem(game)


def test_a_values_name_is_used_once(game: nvn.Game, v: Value) -> None:
    mean(v).named("loss")
    mean(v).named("loss")  # the same value
    assert not game.problems
    square(v).named("loss")
    assert "a second value named 'loss'" in only_problem(game)


def test_a_value_has_one_name(game: nvn.Game, v: Value) -> None:
    mean(v).named("loss")
    mean(v).named("cost")
    assert "'cost' for the value already named 'loss'" in only_problem(game)
    assert str(mean(v)) == "loss"


@pytest.mark.parametrize("name", ["", "a b", "a/b", "1st", "ä"])
def test_a_players_name_must_do_for_a_file(game: nvn.Game, name: str) -> None:
    game.player(name, linear())
    assert "letters, digits and . _ -" in only_problem(game)


# --- functions ----------------------------------------------------------------------------------


def test_a_function_has_a_name(v: Value) -> None:
    assert str(nvn.value(add)(v, v)) == "add(v, v)"
    assert str(nvn.value(Scaled(1.0))(v)) == "Scaled(v)"
    assert str(nvn.energy(partial(add, y=1))(v)) == "partial(v)"
    assert str(nvn.value(add, name="plus")(v, v)) == "plus(v, v)"


def test_a_function_needs_a_value_among_its_arguments(v: Value) -> None:
    with pytest.raises(GameError, match=r"add\(…\) of no value"):
        nvn.value(add)(1, 2)
    assert nvn.value(sum)([1, {"k": v}]).inputs == (v,)


def test_a_gradient_is_of_one_value_with_respect_to_another(G: nvn.Player, v: Value) -> None:
    assert nvn.gradient(G(v), v).op == Gradient()
    assert nvn.gradient(G(v), v).args == (G(v), v)
    with pytest.raises(GameError, match=r"with a list as y"):
        nvn.gradient([G(v)], v)
    with pytest.raises(GameError, match=r"with a WeightedSum as x"):
        nvn.gradient(G(v), 2 * mean(v))


# --- objectives ---------------------------------------------------------------------------------


def test_an_objective_can_be_read_and_added_to(G: nvn.Player, v: Value) -> None:
    assert not G.objective
    a, b = mean(G(v)), square(G(v))
    G.minimizes(a)
    G.minimizes(0.5 * b + a)
    assert G.objective == 2 * a + 0.5 * b
    assert str(G.objective) == "2 mean(G(v)) + 0.5 square(G(v))"


def test_maximizing_is_minimizing_the_negative(G: nvn.Player, v: Value) -> None:
    a = mean(G(v))
    G.maximizes(3 * a)
    assert G.objective == -3 * a


def test_what_is_no_energy_is_told_with_everything_else(
    game: nvn.Game, G: nvn.Player, v: Value
) -> None:
    G.minimizes(mean(G(v)))
    G.minimizes(v)
    G.maximizes(1.0)
    assert G.objective.energies == (mean(G(v)),)
    first, second = game.problems
    assert first.where.startswith("test_game.py:")
    assert first.found == "<Value v>, which is no energy"
    assert "`nvn.energy(fn)(v)` makes an energy" in first.edit
    assert second.found == "a float"


def test_an_error_that_ends_the_declaration_tells_what_was_noted_before(
    game: nvn.Game, G: nvn.Player, v: Value
) -> None:
    for wrong in (lambda: 2 * v, lambda: G(torch.ones(3))):
        game.problems.clear()
        G.minimizes(v)
        with pytest.raises(GameError, match="2 problems with the game 'game'") as caught:
            wrong()
        assert caught.value.problems[0].found == "<Value v>, which is no energy"


def test_a_teams_objective_is_added_to_every_members(game: nvn.Game, v: Value) -> None:
    team = game.team("synthesis", G=linear(), E=linear())
    a, b = mean(team.G(v)), mean(team.E(v))
    team.minimizes(a)
    team.E.minimizes(b)
    team.maximizes(2 * b)
    assert team.G.objective == a - 2 * b
    assert team.E.objective == a + b - 2 * b


def test_the_contracts_example_can_be_declared() -> None:
    game = nvn.Game("groupgan-2v2")
    weak, peak, label = game.batch("weak", "peak", "label")
    G, E = game.team("synthesis", G=linear(), E=linear())
    D, Dp = game.team("critics", D=linear(), Dp=linear())
    C = game.frozen("C", linear())
    f = E(weak)
    fake = G(weak, f)
    adv, ce = en.NonSaturating(), en.cross_entropy(C(fake), label)
    D.minimizes(0.5 * adv.real(D(peak, f)) + 0.5 * adv.real(D(weak, f)) + adv.fake(D(fake, f)))
    Dp.minimizes(adv.real(Dp(peak, f)) + adv.fake(Dp(fake, f)))
    G.minimizes(en.mse(fake, peak) + 0.1 * adv.fool(D(fake, f)) + adv.fool(Dp(fake, f)) + ce)
    E.minimizes(ce + 0.1 * adv.fool(D(fake, f)) + adv.fool(Dp(fake, f)))
    plan = nvn.plan(game, nvn.alternating(D, Dp, (G, E), fresh=True))
    assert str(plan.schedule) == "D → Dp → (G, E)"
    assert [e for e in plan.graph.energies if "fool" in str(e)] == [
        adv.fool(D(fake, f)),
        adv.fool(Dp(fake, f)),
    ]


def test_a_module_may_be_a_player_of_two_games() -> None:
    module: nn.Module = linear()
    for name in ("first", "second"):
        game = nvn.Game(name)
        G = game.player("G", module)
        G.minimizes(mean(G(game.batch("x"))))
        nvn.plan(game, nvn.alternating(G))
