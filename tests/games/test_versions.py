"""What belongs to a version: dropout masks and samples, drawn once; statistics, owners' alone.

A value's version is (batch, draws, steps taken by each player upstream): design.md, section 3.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

import nvn
from nvn import energies as en
from tests.games import reference
from tests.games.specs import Net, PlayerSpec, mean_square
from tests.games.strategies import examples

pytestmark = pytest.mark.filterwarnings("error")

SGD = partial(torch.optim.SGD, lr=0.1)
SIZE = 50  # so many elements that two masks are never equal by chance

Batch = dict[str, Tensor]


class Dropping(nn.Module):
    """Scales its input and drops half of it. Tells every mask to `tell`."""

    def __init__(self, tell: Callable[[Tensor], None] | None = None) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones((), dtype=torch.float64))
        self.tell = tell or (lambda mask: None)

    def forward(self, x: Tensor) -> Tensor:
        mask = F.dropout(torch.ones_like(x), 0.5, self.training)
        self.tell(mask)
        return self.scale * x * mask


def batch(seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    names = ("x", "y")
    return {n: torch.randn(2, SIZE, generator=generator, dtype=torch.float64) for n in names}


def squared(v: nvn.Value) -> nvn.Energy:
    return nvn.energy(mean_square)(v)


# --- dropout --------------------------------------------------------------------------------------


def masks_of(
    order: list[str], iterations: int = 1, seed: int = 0, *, plain: bool = True
) -> list[list[Tensor]]:
    """Play E, which drops, and its judges A and B in `order`; return E's masks, by iteration.

    The plain way computes E's value anew in each move, and so shows which mask each move sees.
    """
    seen: list[Tensor] = []
    game = nvn.Game("dropout")
    x = game.batch("x")
    players = {"E": game.player("E", Dropping(seen.append))}
    players |= {name: game.player(name, Dropping()) for name in "AB"}
    f = players["E"](x)
    energies = {name: squared(players[name](f)) for name in "AB"}
    for name, energy in energies.items():
        players[name].minimizes(energy)
        players["E"].minimizes(-1.0 * energy)
    schedule = nvn.alternating(*(players[name] for name in order))
    engine = nvn.Engine(nvn.plan(game, schedule), SGD, seed=seed, plain=plain)
    engine.check(batch())
    found = []
    for _ in range(iterations):
        seen.clear()
        engine.step(batch())
        found.append([*seen])
    return found


@examples(25)
@given(st.lists(st.sampled_from("ABE"), max_size=5), st.permutations("ABE"))
def test_a_mask_is_drawn_once_for_each_version(more: list[str], everyone: list[str]) -> None:
    """The same in every move until E steps; another after that, and in every iteration."""
    order = [*more, *everyone]
    iterations = masks_of(order, iterations=2)
    versions = []
    for masks in iterations:
        assert len(masks) == len(order)
        versions.append([masks[0]])
        for before, mask, mover in zip(masks, masks[1:], order, strict=False):
            assert torch.equal(mask, before) is (mover != "E")
            if mover == "E":
                versions[-1].append(mask)
    for masks, planned in zip(versions, masks_of(order, iterations=2, plain=False), strict=True):
        assert len(planned) == len(masks)  # planned, each version is computed once
        assert all(map(torch.equal, planned, masks))
    drawn = [mask for group in versions for mask in group]
    for i, mask in enumerate(drawn):
        assert not any(torch.equal(mask, other) for other in drawn[:i])


def test_a_mask_depends_on_the_seed_alone() -> None:
    """The same seed, the same masks, whatever the global stream; another seed, others."""
    (first,) = masks_of(["A", "B", "E"], seed=1)
    torch.manual_seed(12345)
    (again,) = masks_of(["A", "B", "E"], seed=1)
    (other,) = masks_of(["A", "B", "E"], seed=2)
    assert all(map(torch.equal, first, again))
    assert not any(map(torch.equal, first, other))


def test_two_calls_have_masks_of_their_own() -> None:
    """E(x) and E(y) are two values, and so are E(x) and E(clone(x)), though equal."""
    seen: list[Tensor] = []
    game = nvn.Game("two calls")
    x, y = game.batch("x", "y")
    E = game.player("E", Dropping(seen.append))
    E.minimizes(squared(E(x)) + squared(E(y)) + squared(E(nvn.value(torch.clone)(x))))
    engine = nvn.Engine(nvn.plan(game, nvn.alternating(E)), SGD)
    engine.check(batch())
    seen.clear()
    engine.step(batch())
    assert len(seen) == 3
    assert not any(torch.equal(a, b) for a, b in ((seen[0], seen[1]), (seen[0], seen[2])))


def play_dropout_game(*, reordered: bool = False, named: bool = False) -> list[Tensor]:
    """Play a game full of dropout and noise, declared in one order or in another."""
    modules = {name: Dropping() for name in "GD"}
    adv = en.NonSaturating()
    game = nvn.Game("declared")
    names = ["D", "G"] if reordered else ["G", "D"]
    players = {name: game.player(name, modules[name]) for name in names}
    G, D = players["G"], players["D"]
    if reordered:
        on_real = adv.real(D(game.batch("y")))
        fake = G(game.noise("z", SIZE, like=game.batch("x")))
        D.minimizes(adv.fake(D(fake)))
        D.minimizes(on_real)
        G.minimizes(adv.fool(D(fake)))
    else:
        x, y = game.batch("x", "y")
        fake = G(game.noise("z", SIZE, like=x))
        G.minimizes(adv.fool(D(fake)))
        D.minimizes(adv.real(D(y)) + adv.fake(D(fake)))
    if named:
        fake.named("the fake")
    engine = nvn.Engine(nvn.plan(game, nvn.alternating(D, G)), SGD)
    for seed in range(3):
        engine.step(batch(seed))
    return [p.detach().clone() for module in modules.values() for p in module.parameters()]


@pytest.mark.parametrize("other", [{"reordered": True}, {"named": True}], ids=str)
def test_neither_names_of_values_nor_their_order_seed_anything(other: Mapping[str, bool]) -> None:
    """Reordering declarations and naming values changes no mask and no noise."""
    for mine, theirs in zip(play_dropout_game(), play_dropout_game(**other), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-12)


# --- samples --------------------------------------------------------------------------------------


def draw_weights(generator: torch.Generator, minibatch: Mapping[str, Any]) -> Tensor:
    return torch.rand(len(minibatch["x"]), generator=generator, dtype=torch.float64)


def samples_of(*schedule: tuple[str, dict[str, Any]], key: str) -> list[Tensor]:
    """Play moves of A and B with noise and a sample; return what each move saw of `key`."""
    seen: list[Mapping[str, Tensor]] = []

    def spy(z: Tensor, weights: Tensor, x: Tensor) -> Tensor:
        seen.append({"z": z, "weights": weights, "x": x})
        return z * weights[:, None] + x

    game = nvn.Game("samples")
    x = game.batch("x")
    z = game.noise("z", SIZE, like=x)
    seen_by_all = nvn.value(spy)(z, game.sample("weights", draw_weights), x)
    players = {name: game.player(name, Dropping()) for name in "AB"}
    for player in players.values():
        player.minimizes(squared(player(seen_by_all)))
    moves = [nvn.move(players[name], **options) for name, options in schedule]
    engine = nvn.Engine(nvn.plan(game, nvn.alternating(*moves)), SGD, plain=True)
    engine.check(batch())
    seen.clear()
    engine.step(batch(seed) for seed in range(99))
    return [{"z": s["z"], "weights": s["weights"], "x": s["x"]}[key] for s in seen]


def changes(tensors: list[Tensor]) -> list[bool]:
    """Tell for each tensor but the first whether it differs from the one before."""
    return [not torch.equal(after, before) for before, after in pairwise(tensors)]


@pytest.mark.parametrize("key", ["z", "weights"])
def test_samples_are_drawn_once_for_a_batch(key: str) -> None:
    """Moves that share the batch share the noise, whoever has stepped since."""
    tensors = samples_of(("A", {"times": 3}), ("B", {}), key=key)
    assert changes(tensors) == [False, False, False]


@pytest.mark.parametrize("key", ["z", "weights"])
def test_fresh_batches_bring_fresh_samples(key: str) -> None:
    """fresh=True: new for each repetition; a later move uses the latest."""
    moves = ("A", {"times": 3, "fresh": True}), ("B", {})
    assert changes(samples_of(*moves, key=key)) == [True, True, False]
    assert changes(samples_of(*moves, key="x")) == [True, True, False]


@pytest.mark.parametrize("key", ["z", "weights"])
def test_fresh_noise_keeps_the_batch(key: str) -> None:
    """fresh="noise": only samples are drawn anew."""
    moves = ("A", {}), ("B", {"times": 2, "fresh": "noise"}), ("A", {})
    assert changes(samples_of(*moves, key=key)) == [True, True, False]
    assert changes(samples_of(*moves, key="x")) == [False, False, False]


def test_gradients_are_those_of_the_next_step() -> None:
    """Masks and samples are drawn as the next `step` will: θ − lr·gradients is where it goes."""
    modules = {name: Dropping() for name in "GD"}
    game = nvn.Game("next")
    x = game.batch("x")
    z = game.noise("z", SIZE, like=x)
    G, D = (game.player(name, module) for name, module in modules.items())
    on_fake = squared(D(G(z)))
    D.minimizes(on_fake + squared(D(x)))
    G.maximizes(on_fake)
    engine = nvn.Engine(nvn.plan(game, nvn.simultaneous(D, G)), SGD)
    for seed in range(3):
        before = {name: module.scale.item() for name, module in modules.items()}
        found = engine.gradients(batch(seed), [D, G])
        engine.step(batch(seed))
        for name, module in modules.items():
            expected = before[name] - 0.1 * found[name]["scale"].item()
            assert module.scale.item() == pytest.approx(expected, rel=1e-14)


# --- statistics -----------------------------------------------------------------------------------


def norm_net(seed: int = 0) -> Net:
    """A module with batch normalization whose statistics are not those of the start."""
    net = PlayerSpec("P", kind="norm", seed=seed).module()
    net.norm.running_mean.copy_(torch.tensor([0.5, -1.0, 2.0]))
    net.norm.running_var.copy_(torch.tensor([0.5, 2.0, 4.0]))
    return net


def eval_and_train_by_hand(net: Net, x: Tensor) -> dict[str, Tensor]:
    """∂(mean P(x)² + mean P.eval(x)²)/∂θ, each call on statistics of the start of the move."""
    found: dict[str, Tensor] = {}
    for training in (False, True):
        one = copy.deepcopy(net).train(training)
        gradients = torch.autograd.grad(mean_square(one(x)), [*one.parameters()], allow_unused=True)
        for (name, parameter), gradient in zip(one.named_parameters(), gradients, strict=True):
            part = torch.zeros_like(parameter) if gradient is None else gradient
            found[name] = found.get(name, torch.zeros_like(parameter)) + part
    return found


@pytest.mark.parametrize("eval_first", [True, False])
def test_calls_in_eval_mode_see_the_statistics_of_the_start(eval_first: bool) -> None:
    """P(x) in training mode moves P's statistics; P.eval(x) in the same move must not feel it.

    The gradient is taken "at the point where the move starts" (design.md): of the eval call, with
    the statistics found there, whichever is declared first. The trap is cost.md's (section 5): in a
    graph of an eval call, a later training call changes the gradient silently.
    """
    net = norm_net()
    expected_net = copy.deepcopy(net)
    game = nvn.Game("modes")
    x = game.batch("x")
    P = game.player("P", net)
    calls = [P.method("forward", training=False), P]
    first, second = (call(x) for call in (calls if eval_first else calls[::-1]))
    P.minimizes(squared(first) + squared(second))
    engine = nvn.Engine(nvn.plan(game, nvn.alternating(P)), SGD)
    data = torch.randn(5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = engine.gradients({"x": data}, P)["P"]
    expected = eval_and_train_by_hand(expected_net, data)
    reference.assert_close(found, expected, "P")


def test_power_iterations_advance_in_the_owners_moves_alone() -> None:
    """Spectral norm keeps its vectors in buffers: G's move must leave D's as they are."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        modules = {
            "G": nn.Linear(SIZE, SIZE, dtype=torch.float64),
            "D": spectral_norm(nn.Linear(SIZE, 9, dtype=torch.float64)),
        }
    game = nvn.Game("spectral")
    x, y = game.batch("x", "y")
    G, D = (game.player(name, module) for name, module in modules.items())
    adv = en.Hinge()
    D.minimizes(adv.real(D(y)) + adv.fake(D(G(x))))
    G.minimizes(adv.fool(D(G(x))))
    plan = partial(nvn.plan, game, partial=True)
    state = nvn.Engine(nvn.plan(game, nvn.alternating(D, G)), SGD).state
    engines = {p.name: nvn.Engine(plan(nvn.alternating(p)), SGD, state=state) for p in (D, G)}
    for mover, moves in (("G", False), ("D", True)):
        before = {key: b.clone() for key, b in modules["D"].named_buffers()}
        assert before
        engines[mover].step(batch())
        after = dict(modules["D"].named_buffers())
        assert all(torch.equal(after[key], old) is not moves for key, old in before.items())
