"""Declaring a game: batches, noise, samples, players and teams, each of a name of its own."""

import pytest
import torch
from torch import Tensor, nn

import nvn
from nvn import energies as en
from nvn.game.ops import Batch, Noise
from nvn.game.values import (
    Value,
)
from tests.small import linear, mean, noted

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
    assert "a second sample named 'z'" in noted(game)


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
    assert "'z' names an entry of the batch, and a sample too (test_game.py:" in noted(game)


# --- players, teams and their names ---------------------------------------------------------------


def test_a_players_name_is_used_once(game: nvn.Game) -> None:
    first = game.player("G", linear())
    game.team("synthesis", G=linear())
    assert "a second player named 'G'" in noted(game)
    assert game.players["G"] is first


def test_a_teams_name_is_used_once(game: nvn.Game) -> None:
    game.team("critics", D=linear())
    game.team("critics", Dp=linear())
    assert "a second team named 'critics'" in noted(game)


@pytest.mark.parametrize("name", ["", "a b", "a/b", "1st", "ä"])
def test_a_players_name_must_do_for_a_file(game: nvn.Game, name: str) -> None:
    game.player(name, linear())
    assert "letters, digits and . _ -" in noted(game)


def test_a_team_needs_members(game: nvn.Game) -> None:
    game.team("critics")
    assert "the team 'critics' has no members" in noted(game)


def test_a_member_may_not_hide_what_a_team_does(game: nvn.Game) -> None:
    game.team("critics", members=linear())
    assert "a team member named 'members'" in noted(game)


def test_players_teams_and_games_have_names_in_a_debugger(game: nvn.Game) -> None:
    team = game.team("critics", D=linear(), Dp=linear())
    assert repr(team.D) == "<Player D>"
    assert repr(team) == "<Team critics: D, Dp>"
    assert repr(game) == "<Game game: D, Dp>"


def test_a_module_may_be_a_player_of_two_games() -> None:
    module: nn.Module = linear()
    for name in ("first", "second"):
        game = nvn.Game(name)
        G = game.player("G", module)
        G.minimizes(mean(G(game.batch("x"))))
        nvn.plan(game, nvn.alternating(G))


# --- all together ---------------------------------------------------------------------------------


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
