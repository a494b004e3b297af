"""Players who cannot play: each problem alone."""

import warnings

import torch
from torch import Tensor, nn

import nvn
from tests.small import gan, linear, mean, mlp, problem, problems

HERE = "test_players.py:"


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


# --- shared modules ---


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
