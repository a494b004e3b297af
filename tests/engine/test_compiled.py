"""Running programs: nothing is held longer than it is needed, nor stored for nobody."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import nvn
from nvn import energies as en
from tests.small import Gan, adam, gan, mlp, sgd, tensor

BATCH = {"x": tensor(8, 3, seed=1)}


class Mark:
    """Something that hangs on a graph, and does nothing there."""

    def __call__(self, gradient: Tensor) -> None:
        return None


class Watched(nn.Module):
    """A module that remembers weakly what it has returned, and marks the graph behind it."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.made: list[weakref.ref[Any]] = []
        self.marks: list[weakref.ref[Any]] = []

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.inner(x)
        self.made.append(weakref.ref(made))
        if made.requires_grad:
            mark = Mark()
            made.register_hook(mark)
            self.marks.append(weakref.ref(mark))
        return made

    @property
    def alive(self) -> int:
        return sum(made() is not None for made in self.made)

    @property
    def graphs_alive(self) -> int:
        return sum(mark() is not None for mark in self.marks)


@contextmanager
def no_collector() -> Iterator[None]:
    """What dies now, dies because nobody holds it, not because it is collected."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def watched() -> tuple[Gan, Watched, Watched]:
    generator, critic = Watched(mlp(seed=1)), Watched(mlp(3, 1, seed=2))
    return gan(generator, critic), generator, critic


class Looking(torch.optim.SGD):
    """Gradient descent that looks, when it steps, at how much is still alive."""

    def __init__(self, parameters: Any, seen: list[Any], *modules: Watched) -> None:
        super().__init__(parameters, 0.01)
        self.look = lambda: seen.append(
            tuple((module.alive, module.graphs_alive > 0) for module in modules)
        )

    def step(self, closure: Any = None) -> Any:
        self.look()
        return super().step(closure)


HELD, GONE = (1, True), (0, False)  # how many tensors, and whether a graph


def alive_at_steps(small: Gan, schedule: nvn.Schedule, *modules: Watched) -> list[Any]:
    seen: list[Any] = []
    optimizer: Any = lambda ps: Looking(ps, seen, *modules)  # noqa: E731
    engine = nvn.Engine(nvn.plan(small.game, schedule), optimizer)
    engine.check(BATCH)
    with no_collector():
        engine.step(BATCH)
    return seen


def test_what_is_not_asked_for_again_is_gone_before_the_step() -> None:
    """At D's step the fake and its graph are held, for G; of D's calls nothing is left."""
    small, generator, critic = watched()
    assert alive_at_steps(small, nvn.alternating(small.D, small.G), generator, critic) == [
        (HELD, GONE),
        (GONE, GONE),
    ]


def test_what_is_reused_is_held_until_then() -> None:
    """Three steps of D, one fake; then two of G, the second with a fake of its own."""
    small, generator, critic = watched()
    moves = nvn.move(small.D, times=3), nvn.move(small.G, times=2)
    assert alive_at_steps(small, nvn.alternating(*moves), generator, critic) == [
        (HELD, GONE),
        (HELD, GONE),
        (HELD, GONE),
        (GONE, GONE),
        (GONE, GONE),
    ]


@pytest.mark.parametrize("together", [False, True])
def test_after_a_step_nothing_is_left(together: bool) -> None:
    """Neither tensors nor graphs, penalties and retained passes included."""
    small, generator, critic = watched()
    judged = small.D(small.fake)
    small.D.minimizes(en.r1(small.D(small.x), small.x) + en.gradient_penalty(judged, small.fake))
    moves = [(small.D, small.G)] if together else [small.D, small.G]
    engine = nvn.Engine(nvn.plan(small.game, nvn.alternating(*moves)), adam)
    engine.check(BATCH)
    with no_collector():
        record = engine.step(BATCH)
        assert (generator.alive, critic.alive) == (0, 0)
        assert (generator.graphs_alive, critic.graphs_alive) == (0, 0)
    assert record.energies


def test_after_an_error_nothing_is_left_either() -> None:
    small, generator, critic = watched()
    engine = small.engine()
    engine.step(BATCH)

    def broken(module: nn.Module, args: Any) -> None:
        raise ValueError("broken")

    handle = critic.register_forward_pre_hook(broken)
    with no_collector():
        with pytest.raises(ValueError, match="broken"):
            engine.step(BATCH)
        assert generator.alive == 0
    handle.remove()
    assert all(p.requires_grad for module in engine.modules.values() for p in module.parameters())


# --- what autograd stores and computes --------------------------------------------------------


class Noted(torch.autograd.Function):
    """x·w, noting which gradients are asked for on the way forward, and which computed."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor, notes: list[str]) -> Tensor:
        ctx.save_for_backward(x, w)
        ctx.notes = notes
        notes.append(_asked("forward", ctx.needs_input_grad))
        return x @ w

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        x, w = ctx.saved_tensors
        (gradient,) = gradients
        ctx.notes.append(_asked("back", ctx.needs_input_grad))
        return gradient @ w.T, x.T @ gradient, None


def _asked(way: str, needs: Iterable[bool]) -> str:
    x, w, *_ = needs
    return f"{way}: {' and '.join(['input'] * x + ['weight'] * w) or 'nothing'}"


class Noting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(tensor(3, 3))
        self.notes: list[str] = []

    def forward(self, x: Tensor) -> Tensor:
        return Noted.apply(x, self.w, self.notes)


def noted(schedule: Any) -> tuple[list[str], list[str]]:
    """Return what was asked of G's and of D's calls."""
    generator, critic = Noting(), Noting()
    small = gan(generator, critic)
    engine = nvn.Engine(nvn.plan(small.game, schedule(small), partial=True), sgd)
    engine.check(BATCH)
    generator.notes.clear()
    critic.notes.clear()
    engine.step(BATCH)
    return generator.notes, critic.notes


def test_an_opponent_stores_and_computes_no_gradient_of_its_weights() -> None:
    """In G's move D only passes the gradient on."""
    generator, critic = noted(lambda small: nvn.alternating(small.G))
    assert generator == ["forward: weight", "back: weight"]
    assert critic == ["forward: input", "back: input"]


def test_what_no_pass_goes_through_has_no_graph() -> None:
    """In D's move G's call stores nothing, and D's no gradient of what it is given."""
    generator, critic = noted(lambda small: nvn.alternating(small.D))
    assert generator == ["forward: nothing"]
    assert critic == ["forward: weight"] * 2 + ["back: weight"] * 2


def test_in_a_move_together_each_gradient_is_computed_once() -> None:
    generator, critic = noted(lambda small: nvn.simultaneous(small.D, small.G))
    assert generator == ["forward: weight", "back: weight"]
    assert sorted(critic) == [
        "back: input and weight",
        "back: weight",
        "forward: input and weight",
        "forward: weight",
    ]


# --- leaving things as they were --------------------------------------------------------------


def test_everybody_learns_again_after_a_step() -> None:
    """Who was kept from learning during a move is let go, and shares no graph."""
    small = gan()
    engine = small.engine()
    engine.step(BATCH)
    engine.gradients(BATCH, "G")
    assert all(p.requires_grad for m in engine.modules.values() for p in m.parameters())
    assert all(p.grad is None for m in engine.modules.values() for p in m.parameters())


@pytest.mark.parametrize("optimizer", [sgd, partial(torch.optim.Adam, lr=0.1)])
def test_records_are_of_before_the_step(optimizer: Any) -> None:
    """An energy that is a parameter itself is noted down before it moves."""

    class Parameter(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.own = nn.Parameter(torch.tensor(3.0))

        def forward(self, x: Tensor) -> Tensor:
            return self.own

    game = nvn.Game("own")
    player = game.player("P", Parameter())
    player.minimizes(nvn.energy(lambda y: y)(player(game.batch("x"))))
    record = nvn.Engine(nvn.plan(game, nvn.alternating(player)), optimizer).step(BATCH)
    assert [*record.energies.values(), record.objectives["P"]] == [3.0, 3.0]


class Stretching(nn.Module):
    """tanh(w·x): what is saved for the way back is the parameter itself."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor([0.5, -1.0, 2.0]))

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.w * x)


@pytest.mark.parametrize("plain", [False, True])
def test_a_slope_is_taken_while_its_players_learn(plain: bool) -> None:
    """Between D(x) and its slope, D is called for a target, where it does not learn."""
    game = nvn.Game("target")
    x, y = game.batch("x", "y")
    D = game.player("D", Stretching())
    judged, target = D(x), D(y).stop_gradient()
    D.minimizes(en.r1(judged, x) + en.mse(judged, target))
    engine = nvn.Engine(nvn.plan(game, nvn.alternating(D)), sgd, plain=plain)
    batch = {"x": tensor(8, 3, seed=1), "y": tensor(8, 3, seed=2)}
    w = engine.modules["D"].w
    out = torch.tanh(w * batch["x"])
    slope = (1 - out.square()) * w
    loss = 0.5 * slope.square().sum(dim=1).mean()
    loss = loss + (out - torch.tanh(w * batch["y"]).detach()).square().mean()
    (expected,) = torch.autograd.grad(loss, w)
    torch.testing.assert_close(engine.gradients(batch, "D")["D"]["w"], expected)
