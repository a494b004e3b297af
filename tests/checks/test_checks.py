"""What is wrong with a game's structure: each problem alone, and all of them at once."""

import math
import warnings

import pytest
import torch
from torch import Tensor, nn

import nvn
from nvn import energies as en
from nvn.checks import loss_graph, sound
from nvn.errors import GameError, GameWarning
from nvn.game.graph import freeze
from tests.small import Own, gan, linear, mean, mlp, problem, problems, sgd


@pytest.fixture
def game() -> nvn.Game:
    return nvn.Game("game")


@pytest.fixture
def x(game: nvn.Game) -> nvn.Value:
    return game.batch("x")


@pytest.fixture(name="G")
def maker(game: nvn.Game, x: nvn.Value) -> nvn.Player:
    """A player with whom all is well."""
    G = game.player("G", linear())
    G.minimizes(mean(G(x)).named("all is well"))
    return G


HERE = "test_checks.py:"

# --- players ------------------------------------------------------------------------------------


def test_a_player_without_an_objective(game: nvn.Game, x: nvn.Value, G: nvn.Player) -> None:
    D = game.player("D", linear())
    G.minimizes(mean(D(G(x))))
    found = problem(game, D, G)
    assert found.where.startswith(HERE)
    assert found.found == "`D` has no objective"
    assert found.expected == "every player to minimise something"
    assert found.edit == "add `D.minimizes(…)`, or declare it with `game.frozen('D', …)`"
    assert problem(game, G) == found  # also if it is not scheduled


def test_a_goal_of_a_move_does_for_an_objective(
    game: nvn.Game, x: nvn.Value, G: nvn.Player
) -> None:
    E = game.player("E", linear())
    goal = mean(G(E(x)))
    nvn.plan(game, nvn.alternating(G, nvn.move(E, toward=goal)))
    assert problem(game, G, nvn.move(E, toward=goal), E).found == "`E` has no objective"


def test_a_player_who_never_moves(game: nvn.Game, x: nvn.Value, G: nvn.Player) -> None:
    D = game.player("D", linear())
    D.minimizes(mean(D(x)))
    found = problem(game, G)
    assert found.found == "`D` has an objective but never moves"
    assert found.edit == "add `D` to the schedule, or declare it frozen"
    assert found.known == ("G",)


def test_a_player_who_is_never_called(game: nvn.Game, G: nvn.Player) -> None:
    D = game.player("D", linear())
    D.minimizes(mean(G(game.batch("x"))))
    found = problem(game, D, G)
    assert found.found == "`D` is never called by anything that anybody minimises"
    assert found.edit == "use `D(…)` in an energy, or remove the player"


def test_a_frozen_player_cannot_move(game: nvn.Game, x: nvn.Value, G: nvn.Player) -> None:
    C = game.frozen("C", linear())
    G.minimizes(mean(C(G(x))))
    found = problem(game, G, C)
    assert found.found == "the schedule moves `C`, which is frozen"
    assert found.edit == "declare it with `game.player('C', …)`, or leave it out"


def test_a_frozen_player_cannot_minimise(game: nvn.Game, x: nvn.Value, G: nvn.Player) -> None:
    C = game.frozen("C", linear())
    C.minimizes(mean(C(G(x))))
    assert "`C` is frozen but has an objective" in str(problems(game, G)[0])


def test_players_of_another_game_cannot_move(game: nvn.Game, G: nvn.Player) -> None:
    other = gan()
    found = problem(game, G, other.D)
    assert found.found == "the schedule moves `D`, a player of the game 'gan'"
    assert found.expected == "players of 'game'"
    assert found.known == ("G",)


def test_a_player_with_nothing_to_learn(game: nvn.Game, x: nvn.Value, G: nvn.Player) -> None:
    E = game.player("E", linear().requires_grad_(False))
    E.minimizes(mean(E(x)))
    found = problem(game, G, E)
    assert found.found == "`E` moves, but none of its parameters requires a gradient"
    assert "`game.frozen`" in found.edit
    bare = game.player("bare", nn.Tanh())
    bare.minimizes(mean(bare(x)))
    assert problems(game, G, E, bare)[1].found == "`bare` moves, but has no parameters"


def test_a_lazy_module_has_to_have_run(game: nvn.Game, x: nvn.Value, G: nvn.Player) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls lazy modules new
        E = game.player("E", nn.LazyLinear(3))
    E.minimizes(mean(E(x)))
    found = problem(game, G, E)
    assert found.found == "the parameters weight, bias of `E` have no shape yet"


# --- shared modules -----------------------------------------------------------------------------


class Headed(nn.Module):
    def __init__(self, trunk: nn.Module) -> None:
        super().__init__()
        self.trunk = trunk
        self.head = linear(3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.trunk(x))


def two_critics(first: nn.Module, second: nn.Module) -> tuple[nvn.Game, nvn.Player, nvn.Player]:
    game = nvn.Game("game")
    x = game.batch("x")
    D, Dp = game.player("D", first), game.player("Dp", second)
    D.minimizes(mean(D(x)))
    Dp.minimizes(mean(Dp(x)))
    return game, D, Dp


def test_a_shared_trunk_should_be_a_player() -> None:
    trunk = mlp()
    found = problem(*two_critics(Headed(trunk), Headed(trunk)))
    assert found.found == (
        "`D` and `Dp` share the parameters trunk.0.weight, trunk.0.bias, trunk.2.weight and 1 more"
    )
    assert found.where.count(HERE) == 2
    assert found.edit == (
        'make the shared part a player of its own, `T = game.player("T", shared)`, '
        "and write `D(T(x))`, `Dp(T(x))`; or give each a copy"
    )


def test_a_shared_module() -> None:
    module = mlp()
    assert problem(*two_critics(module, module)).found == "`D` and `Dp` share one module"


def test_a_shared_parameter() -> None:
    one, two = linear(), linear()
    two.bias = one.bias
    assert problem(*two_critics(one, two)).found == "`D` and `Dp` share the parameters bias"


def test_shared_statistics() -> None:
    norm = nn.BatchNorm1d(3, affine=False)
    game, D, Dp = two_critics(Headed(norm), Headed(norm))
    assert problem(game, D, Dp).found == "`D` and `Dp` share the parts trunk, which have buffers"


class Counting(nn.Linear):
    def __init__(self, count: Tensor) -> None:
        super().__init__(3, 3)
        self.register_buffer("count", count)


def test_a_shared_buffer() -> None:
    count = torch.zeros(3)
    found = problem(*two_critics(Counting(count), Counting(count)))
    assert found.found == "`D` and `Dp` share the memory of count"
    assert found.edit.endswith("or give each a copy")


def test_shared_memory() -> None:
    one, two = linear(), linear()
    two.weight.data = one.weight.data
    assert problem(*two_critics(one, two)).found == "`D` and `Dp` share the memory of weight"


def test_what_is_empty_or_side_by_side_is_not_shared() -> None:
    counts = torch.zeros(2, 3)
    game, *players = two_critics(Counting(counts[0]), Counting(counts[1]))
    nvn.plan(game, nvn.alternating(*players))
    game, *players = two_critics(Counting(torch.zeros(0)), Counting(torch.zeros(0)))
    nvn.plan(game, nvn.alternating(*players))


def test_a_frozen_player_may_not_share_either() -> None:
    game = nvn.Game("game")
    x, module = game.batch("x"), linear()
    G, C = game.player("G", module), game.frozen("C", module)
    G.minimizes(mean(C(G(x))))
    assert problem(game, G).found == "`G` and `C` share one module"


def test_what_has_no_state_may_be_shared() -> None:
    activation = nn.ReLU()
    D, Dp = nn.Sequential(linear(), activation), nn.Sequential(linear(), activation)
    game, *players = two_critics(D, Dp)
    nvn.plan(game, nvn.alternating(*players))


# --- values -------------------------------------------------------------------------------------


def test_a_value_of_another_game(game: nvn.Game, x: nvn.Value, G: nvn.Player) -> None:
    other = gan()
    G.minimizes(mean(G(other.fake)))
    found = problem(game, G)
    assert found.where.startswith(HERE)
    assert found.found == "`G(G(z))` takes `G(z)`, a value of the game 'gan'"
    assert found.expected == "values of 'game' alone"
    assert found.edit == "declare `G(z)` in this game: a value belongs to one game"


def test_an_energy_of_another_game(game: nvn.Game, G: nvn.Player) -> None:
    other = gan()
    G.minimizes(other.fool)
    found = problem(game, G)
    assert found.where == "`G.minimizes(…)`"
    assert found.found == "`G` descends `fool`, a value of the game 'gan'"


def test_a_weight_of_another_game(game: nvn.Game, x: nvn.Value, G: nvn.Player) -> None:
    other = nvn.Game("other")
    G.minimizes(other.batch("w") * mean(G(x)))
    assert problem(game, G).found == "`G` descends `w`, a value of the game 'other'"


def test_a_player_instead_of_its_call(game: nvn.Game, x: nvn.Value, G: nvn.Player) -> None:
    def penalty(critic: object, samples: Tensor) -> Tensor:
        raise AssertionError("never computed")

    G.minimizes(nvn.energy(penalty)(G, x))
    found, *_ = problems(game, G)
    assert found.where.startswith(HERE)
    assert found.found == "`penalty(Player, x)` is given the player `G` itself"
    assert found.edit == "pass a call, `G(…)`; a penalty takes `nvn.gradient(y, x)`"


@pytest.mark.parametrize("hidden", [linear(), nn.Parameter(torch.ones(3))])
def test_a_module_or_a_parameter_as_an_argument(
    game: nvn.Game, x: nvn.Value, G: nvn.Player, hidden: object
) -> None:
    G.minimizes(nvn.energy(torch.mean, name="loss")(G(x), hidden))
    found = problem(game, G)
    kind = type(hidden).__name__
    assert found.found == f"`loss(G(x), {kind})` is given a {kind} with parameters as a constant"
    assert found.edit == "make it a player (its own or frozen), and pass that player's call"


def test_modules_without_parameters_and_tensors_are_constants(
    game: nvn.Game, x: nvn.Value, G: nvn.Player
) -> None:
    loss = nvn.energy(lambda y, fn, target: fn(y, target))
    G.minimizes(loss(G(x), nn.L1Loss(), torch.zeros(3)))
    nvn.plan(game, nvn.alternating(G))


def test_a_method_that_the_module_lacks(game: nvn.Game, x: nvn.Value, G: nvn.Player) -> None:
    class Coder(nn.Linear):
        def encode(self, x: Tensor) -> Tensor:
            return self(x)

    E = game.player("E", Coder(3, 3))
    E.minimizes(mean(E.method("encoed")(x)))
    found = problem(game, G, E)
    assert found.found == "`E.encoed(x)` calls the method 'encoed', which Coder lacks"
    assert found.edit == "correct the name. Did you mean 'encode'?"
    assert found.known == ("encode",)


def test_a_gradient_of_what_does_not_depend(game: nvn.Game, x: nvn.Value, G: nvn.Player) -> None:
    y = game.batch("y")
    G.minimizes(mean(nvn.gradient(G(x), y)))
    found = problem(game, G)
    assert found.found == "`gradient(G(x), y)`: `G(x)` does not depend on `y`"
    assert found.edit == "compute `G(x)` from `y` itself, with no stop_gradient between"


def test_a_gradient_through_stop_gradient(game: nvn.Game, x: nvn.Value, G: nvn.Player) -> None:
    G.minimizes(en.r1(G(x.stop_gradient()), x))
    assert "does not depend on `x`" in problem(game, G).found


# --- objectives ---------------------------------------------------------------------------------


def test_an_objective_that_does_not_depend_on_its_player(game: nvn.Game, x: nvn.Value) -> None:
    G, D = game.player("G", linear()), game.player("D", linear())
    G.minimizes(2 * mean(D(x)))
    D.minimizes(mean(D(G(x).stop_gradient())) + mean(D(x)))
    found = problem(game, D, G)
    assert found.where == "`G.minimizes(…)`"
    assert found.found == "`G` minimises `2 mean(D(x))`, which does not depend on it"
    assert found.expected == "an energy computed from a call of `G`, no stop_gradient between"


def test_a_goal_that_does_not_depend_on_who_moves() -> None:
    small = gan()
    found = problem(small.game, small.D, small.G, nvn.move(small.G, toward=small.judge))
    assert found.where.startswith(HERE)
    assert found.where.endswith("a move of `G`")
    assert "`G` minimises `judge`, which does not depend on it" in found.found


@pytest.mark.parametrize("weight", [math.nan, math.inf, -math.inf, torch.inf])
def test_a_weight_that_is_not_finite(game: nvn.Game, x: nvn.Value, weight: float) -> None:
    G = game.player("G", linear())
    G.minimizes(weight * mean(G(x)))
    found = problem(game, G)
    assert found.where == "`G.minimizes(…)`"
    assert found.found == f"the weight {weight} on `mean(G(x))`"
    assert found.expected == "a finite weight"


@pytest.mark.parametrize("weight", [math.nan, math.inf])
def test_a_step_function_that_is_not_finite_is_found_when_it_is_so(weight: float) -> None:
    def explode(step: int) -> float:
        return 1.0 if step < 2 else weight

    small = gan()
    small.G.minimizes(explode * mean(small.fake))
    engine = small.engine()
    batch = {"x": torch.ones(2, 3)}
    engine.step(batch)
    engine.step(batch)
    with pytest.raises(
        nvn.NvnError, match=rf"explode\(step\) of `G` on .* is {weight} in iteration 2"
    ):
        engine.step(batch)


# --- moves --------------------------------------------------------------------------------------


def test_a_schedule_without_moves(game: nvn.Game, G: nvn.Player) -> None:
    found = problems(game)
    assert [str(p.found) for p in found] == [
        "`G` has an objective but never moves",
        "a schedule without moves",
    ]


@pytest.mark.parametrize(
    ("options", "found", "expected"),
    [
        ({"times": 0}, "times=0", "a whole number of at least 1"),
        ({"times": 1.5}, "times=1.5", "a whole number of at least 1"),
        ({"every": True}, "every=True", "a whole number of at least 1"),
        ({"every": -1}, "every=-1", "a whole number of at least 1"),
        ({"fresh": "batch"}, "fresh='batch'", 'True, False or "noise"'),
    ],
)
def test_a_move_with_a_wrong_option(
    game: nvn.Game, G: nvn.Player, options: dict[str, object], found: str, expected: str
) -> None:
    told = problem(game, nvn.move(G, **options))
    assert (told.found, told.expected) == (found, expected)
    assert told.where.startswith(HERE)
    assert told.where.endswith("the move of G")


def test_a_move_of_nobody_and_a_player_twice(game: nvn.Game, G: nvn.Player) -> None:
    assert problem(game, G, ()).found == "a move of nobody"
    found = problem(game, (G, G))
    assert (found.found, found.edit) == ("a player twice in one move", "use `times=`")


# --- warnings -----------------------------------------------------------------------------------


def test_an_unused_name_of_the_batch(game: nvn.Game, G: nvn.Player) -> None:
    game.batch("label")
    with pytest.warns(GameWarning, match="'label' of the batch is never used") as warned:
        nvn.plan(game, nvn.alternating(G))
    assert len(warned) == 1
    assert warned[0].filename == __file__
    assert "remove it from game.batch(…)" in str(warned[0].message)


def test_a_sample_may_use_any_name_of_the_batch(game: nvn.Game, G: nvn.Player) -> None:
    game.batch("label")
    w = game.sample("w", lambda generator, batch: batch["label"])
    G.minimizes(mean(G(w)))
    nvn.plan(game, nvn.alternating(G))


def test_a_frozen_player_who_is_never_called(game: nvn.Game, G: nvn.Player) -> None:
    game.frozen("C", linear())
    with pytest.warns(GameWarning, match="the frozen `C` is called by nothing"):
        nvn.plan(game, nvn.alternating(G))


@pytest.mark.parametrize("family", [en.Minimax(), en.NonSaturating(), en.Hinge()])
def test_maximizing_an_energy_that_saturates(family: en.Family) -> None:
    small = gan()
    small.G.maximizes(family.fake(small.D(small.fake)))
    with pytest.warns(GameWarning, match=r"`G` maximises `fake\(D\(G\(z\)\)\)`, whose gradient"):
        nvn.plan(small.game, small.schedule)


def test_an_energy_may_be_declared_saturating() -> None:
    def flat(x: Tensor) -> Tensor:
        return x.sigmoid().mean()

    small = gan()
    small.G.maximizes(0.5 * nvn.energy(flat, saturating=True)(small.fake))
    with pytest.warns(GameWarning, match=r"`G` maximises `flat\(G\(z\)\)`"):
        nvn.plan(small.game, small.schedule)


def test_maximizing_is_fine_otherwise() -> None:
    small = gan()
    small.G.maximizes(en.Wasserstein().fake(small.D(small.fake)))
    small.D.maximizes(-en.Minimax().fake(small.D(small.fake)))  # that is to minimise it
    small.D.maximizes(en.Minimax().fool(small.D(small.fake)))  # so is this
    nvn.plan(small.game, small.schedule)


def test_warnings_are_about_games_without_problems(game: nvn.Game, G: nvn.Player) -> None:
    game.batch("label")
    game.player("D", linear())
    assert problems(game, G)  # a warning would be an error here


def test_an_objective_that_cancels(game: nvn.Game, x: nvn.Value, G: nvn.Player) -> None:
    E = game.player("E", linear())
    E.minimizes(mean(E(x)))
    E.maximizes(mean(E(x)))
    with pytest.warns(GameWarning, match=r"`E` minimises `0 mean\(E\(x\)\)`, every weight of"):
        nvn.plan(game, nvn.alternating(G, E))


def test_a_goal_of_no_weight(game: nvn.Game, x: nvn.Value, G: nvn.Player) -> None:
    with pytest.warns(GameWarning, match="every weight of which is always zero") as warned:
        nvn.plan(game, nvn.alternating(G, nvn.move(G, toward=0 * mean(G(x)))))
    assert "a move of `G`" in str(warned[0].message)


def test_a_weight_of_zero_beside_others_is_fine(
    game: nvn.Game, x: nvn.Value, G: nvn.Player
) -> None:
    G.minimizes(0.0 * nvn.energy(torch.sum)(G(x)))
    nvn.plan(game, nvn.alternating(G))


# --- everything at once -------------------------------------------------------------------------


def test_every_problem_is_told_at_once() -> None:
    game, other = nvn.Game("broken"), gan()
    x, trunk = game.batch("x"), linear()
    G = game.player("G", trunk)
    D = game.player("D", nn.Sequential(trunk, linear(3, 1)))
    E = game.player("E", linear())
    lost = game.player("lost", linear())
    game.player("lost", linear())
    fixed = game.player("fixed", linear().requires_grad_(False))
    C = game.frozen("C", linear())
    fake = G(x)
    G.minimizes(mean(C(D(x))))
    D.minimizes(math.nan * mean(D(fake)) + mean(D(other.fake)))
    E.minimizes(mean(E.method("encode")(x)) + nvn.energy(torch.mean, name="loss")(E(x), lost))
    fixed.minimizes(mean(nvn.gradient(fixed(x), fake)))
    with pytest.raises(GameError) as caught:
        nvn.plan(game, nvn.alternating(nvn.move(G, times=0), D, C, fixed, other.G))

    assert caught.value.game == "broken"
    expected = [
        "a second player named 'lost'",
        "`D(G(z))` takes `G(z)`, a value of the game 'gan'",
        "`E.encode(x)` calls the method 'encode', which Linear lacks",
        "`gradient(fixed(x), G(x))`: `fixed(x)` does not depend on `G(x)`",
        "`loss(E(x), Player)` is given the player `lost` itself",
        "`G` and `D` share the parameters weight, bias",
        "`fixed` moves, but none of its parameters requires a gradient",
        "the schedule moves `C`, which is frozen",
        "the schedule moves `G`, a player of the game 'gan'",
        "`lost` is never called by anything that anybody minimises",
        "`lost` has no objective",
        "`E` has an objective but never moves",
        "`G` minimises `mean(C(D(x)))`, which does not depend on it",
        "the weight nan on `mean(D(G(x)))`",
        "times=0",
    ]
    assert [p.found for p in caught.value.problems] == expected
    message = str(caught.value)
    assert message.startswith("15 problems with the game 'broken':\n\n1. test_checks.py:")
    assert all(f"{n}. " in message for n in range(1, 16))
    assert all(p.edit for p in caught.value.problems)


def test_what_was_no_energy_is_told_once_and_with_the_rest(
    game: nvn.Game, x: nvn.Value, G: nvn.Player
) -> None:
    """Not as well as "has no objective": it was given one."""
    E, D = game.player("E", linear()), game.player("D", linear())
    E.minimizes(E(x))
    G.minimizes(math.nan * mean(E(G(x))) + D(G(x)))
    G.minimizes(mean(D(G(x))))
    assert [p.found.split(", which")[0] for p in problems(game, G, E, D)] == [
        "<Value E(x)>",
        "a sum of energies and `D(G(x))`",
        "`D` has no objective",
        "the weight nan on `mean(E(G(x)))`",
    ]


def test_what_is_sound_by_itself() -> None:
    game, other = nvn.Game("game"), gan()
    x = game.batch("x")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls lazy modules new
        lazy = game.player("lazy", nn.LazyLinear(3))
    G, first = game.player("G", linear()), game.player("E", linear())
    second = game.player("E", linear())  # the name is taken: not of the game
    able = [x, G(x), first(x), mean(G(x)), nvn.gradient(G(x), x)]
    wrong = [
        lazy(x),
        second(x),
        other.D(x),
        other.x,
        G(other.x),
        G.method("encode")(x),
        nvn.gradient(G(x), first(x)),
        nvn.value(torch.add)(x, G),
        nvn.value(torch.add)(x, linear()),
    ]
    graph = freeze(game, [])
    assert sound(game, graph, able) == tuple(able)
    assert sound(game, graph, wrong) == ()


def test_the_graph_of_several_schedules_is_checked_as_a_whole() -> None:
    small = gan()
    warmup = nvn.alternating(nvn.move(small.G, toward=mean(small.fake)))
    graph = loss_graph(small.game, [warmup, small.schedule])
    assert mean(small.fake) in graph.nodes
    with pytest.raises(GameError, match="`D` has an objective but never moves"):
        loss_graph(small.game, [warmup])


def test_a_player_without_inputs_is_a_player() -> None:
    game = nvn.Game("bilinear")
    a, b = game.player("a", Own(1.0)), game.player("b", Own(2.0))
    product = nvn.energy(lambda u, v: (u * v).sum())(a(), b())
    a.minimizes(product)
    b.maximizes(product)
    engine = nvn.Engine(nvn.plan(game, nvn.simultaneous(a, b)), sgd)
    engine.step({})
    assert engine.modules["a"].own.item() == pytest.approx(1.0 - 0.1 * 2.0)
    assert engine.modules["b"].own.item() == pytest.approx(2.0 + 0.1 * 1.0)
