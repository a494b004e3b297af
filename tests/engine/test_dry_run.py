"""What a first batch tells: shapes, scalars, hidden parameters, changes in place; and no traces."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

import nvn
from nvn import energies as en
from nvn.errors import GameError
from tests.small import (
    BATCH,
    Gan,
    adam,
    assert_same,
    gan,
    linear,
    mean,
    mlp,
    problem,
    problems,
    sgd,
    square,
    tensor,
)


@pytest.fixture
def game() -> nvn.Game:
    return nvn.Game("game")


@pytest.fixture
def x(game: nvn.Game) -> nvn.Value:
    return game.batch("x")


@pytest.fixture(name="G")
def maker(game: nvn.Game) -> nvn.Player:
    return game.player("G", linear())


def check(game: nvn.Game, *moves: Any, batch: Any = BATCH, steps: int = 2) -> None:
    """Nothing is wrong: neither before training nor in it."""
    engine = nvn.Engine(nvn.plan(game, nvn.alternating(*moves)), sgd)
    engine.check(batch)
    for _ in range(steps):
        engine.step(batch)


# --- shapes -------------------------------------------------------------------------------------


def test_shapes_that_do_not_fit_a_module() -> None:
    small = gan(generator=nn.Sequential(linear(3, 4), nn.Tanh()))
    found = problem(small.game, small.D, small.G, batch=BATCH)
    assert found.where.startswith("small.py:")
    assert found.found.startswith("`D(G(z))` fails: ")
    assert "(in its part '0', Linear(in_features=3, out_features=8, bias=True)" in found.found
    assert ", given [(8, 4)])" in found.found
    assert found.expected == "the module to accept G(z) of shape (8, 4)"
    assert found.edit == "make the shapes fit, or pass other values"


def test_a_failure_between_the_parts_is_not_blamed_on_one() -> None:
    class Between(nn.Linear):
        def __init__(self) -> None:
            super().__init__(3, 3)
            self.part = linear()

        def forward(self, x: Tensor) -> Tensor:
            return self.part(x) + torch.ones(5)

    small = gan(generator=Between())
    found = problem(small.game, small.D, small.G, batch=BATCH).found
    assert "size" in found
    assert "part'" not in found


def test_tensors_that_autograd_cannot_use_are_told() -> None:
    small = gan()
    with torch.inference_mode():
        batch = {"x": tensor(8, 3)}
    with pytest.raises(RuntimeError, match="Inference tensors cannot be saved for backward"):
        small.engine().step(batch)


def test_shapes_that_do_not_fit_a_function_are_both_named(
    game: nvn.Game, x: nvn.Value, G: nvn.Player
) -> None:
    G.minimizes(en.mse(G(x), game.batch("y")))
    found = problem(game, G, batch={"x": tensor(8, 3), "y": tensor(8, 1)})
    assert found.found == (
        "`mse(G(x), y)` fails: mse: found the shapes (8, 3) and (8, 1); "
        "expected the same shape twice; nothing is broadcast"
    )
    assert found.expected == "the function to accept G(x) of shape (8, 3) and y of shape (8, 1)"


def test_shapes_in_trees_are_named(game: nvn.Game, x: nvn.Value, G: nvn.Player) -> None:
    parts = nvn.value(lambda t: {"a": (t, t[:, :2])}, name="parts")(G(x))
    add = nvn.energy(lambda p: (p["a"][0] + p["a"][1]).mean(), name="add")
    G.minimizes(add(parts))
    found = problem(game, G, batch=BATCH)
    assert "parts(G(x)) of shape {'a': [(8, 3), (8, 2)]}" in found.expected


def test_what_depends_on_a_failure_is_not_told_as_well() -> None:
    small = gan(generator=linear(4, 3))
    found = problem(small.game, small.D, small.G, batch=BATCH)
    assert found.found.startswith("`G(z)` fails: ")


def test_a_part_that_does_not_exist(game: nvn.Game, x: nvn.Value, G: nvn.Player) -> None:
    pair = nvn.value(lambda t: (t, t), name="pair")(G(x))
    G.minimizes(mean(pair[2]) + mean(pair["k"]))
    first, second = problems(game, G, batch=BATCH)
    assert first.found == "`pair(G(x))[2]` fails: tuple index out of range"
    assert second.found.startswith("`pair(G(x))['k']` fails: tuple indices must be integers")


def test_an_empty_message_of_an_error_is_replaced_by_its_kind(
    game: nvn.Game, x: nvn.Value, G: nvn.Player
) -> None:
    def fail(t: Tensor) -> Tensor:
        raise NotImplementedError

    G.minimizes(nvn.energy(fail)(G(x)))
    assert problem(game, G, batch=BATCH).found == "`fail(G(x))` fails: NotImplementedError"


def test_data_that_do_not_go_together(game: nvn.Game, x: nvn.Value, G: nvn.Player) -> None:
    """Each of the tensors would be fine by itself, and the first samples of both would too."""
    G.minimizes(en.mse(G(x), game.batch("y")))
    found = problem(game, G, batch={"x": tensor(8, 3), "y": tensor(16, 3)})
    assert "found the shapes (8, 3) and (16, 3)" in found.found


def test_a_gradient_with_respect_to_whole_numbers(game: nvn.Game, G: nvn.Player) -> None:
    label = game.batch("label")
    G.minimizes(en.r1(G(nvn.value(Tensor.float)(label)), label))
    found = problem(game, G, batch={"label": torch.ones(8, 3, dtype=torch.int64)})
    assert "a gradient needs a tensor y and a floating-point tensor x" in found.found


class Ignoring(nn.Linear):
    """A critic that ignores its condition, or loses the way from it to its output."""

    def __init__(self, lost: bool) -> None:
        super().__init__(3, 1)
        self.lost = lost

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        return super().forward(x + condition.detach()) if self.lost else super().forward(x)


@pytest.mark.parametrize("lost", [False, True])
def test_a_gradient_with_respect_to_what_is_ignored(
    game: nvn.Game, x: nvn.Value, lost: bool
) -> None:
    condition = game.batch("condition")
    D = game.player("D", Ignoring(lost))
    D.minimizes(mean(D(x, condition)) + en.r1(D(x, condition), condition))
    found = problem(game, D, batch={**BATCH, "condition": tensor(8, 3)})
    assert found.where.startswith("test_dry_run.py:")
    assert found.found == (
        "`gradient(D(x, condition), condition)`: `D(x, condition)` was not computed from "
        "`condition`, although it is given it: a module or a function ignores that input, or "
        "detaches it"
    )


def test_a_gradient_is_computed(game: nvn.Game, x: nvn.Value, G: nvn.Player) -> None:
    """What takes it sees what it is, not only its shape."""

    def demanding(slope: Tensor) -> Tensor:
        assert slope.abs().sum() > 0
        return slope.square().mean()

    G.minimizes(nvn.energy(demanding)(nvn.gradient(G(x), x)))
    check(game, G)


# --- scalars ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fn", "shape"),
    [
        (lambda t: t.square(), "(8, 3) of torch.float32"),
        (lambda t: t.mean().reshape(1), "(1,) of torch.float32"),
        (lambda t: t.argmax(), "() of torch.int64"),
        (lambda t: (t.mean(), t.mean()), "[(), ()]"),
        (lambda t: 0.5, "float"),
    ],
)
def test_an_energy_has_to_be_a_number(
    game: nvn.Game, x: nvn.Value, G: nvn.Player, fn: Any, shape: str
) -> None:
    G.minimizes(nvn.energy(fn, name="loss")(G(x)))
    found = problem(game, G, batch=BATCH)
    assert found.found == f"the energy `loss(G(x))` has shape {shape}"
    assert found.expected == "one floating-point number: shape ()"
    assert found.edit == "take its mean or its sum"


def test_a_weight_has_to_be_a_number(game: nvn.Game, x: nvn.Value, G: nvn.Player) -> None:
    G.minimizes(G(x).named("w") * mean(G(x)))
    assert problem(game, G, batch=BATCH).found == "the weight `w` has shape (8, 3) of torch.float32"


# --- names --------------------------------------------------------------------------------------


def test_a_name_that_the_batch_lacks() -> None:
    small = gan()
    found = problem(small.game, small.D, small.G, batch={"images": BATCH["x"], "y": 1})
    assert found.where.startswith("small.py:")
    assert found.found == "the batch has no 'x'"
    assert found.expected == "a dict with 'x'"
    assert found.known == ("images", "y")


def test_missing_names_do_not_hide_other_problems(
    game: nvn.Game, x: nvn.Value, G: nvn.Player
) -> None:
    y, w = game.batch("y"), game.sample("w", lambda generator, batch: batch["y"])
    G.minimizes(nvn.energy(torch.square)(G(x)) + mean(G(y)) + mean(G(w)))
    first, second = problems(game, G, batch=BATCH)
    assert first.found == "the batch has no 'y'"
    assert second.found.startswith("the energy `square(G(x))` has shape")


def test_a_batch_may_hold_more_and_other_things_than_tensors() -> None:
    small = gan()
    check(small.game, small.D, small.G, batch={**BATCH, "paths": ["a.png"], "n": 3, "none": None})


# --- hidden parameters --------------------------------------------------------------------------


def test_a_function_that_closes_over_a_module(game: nvn.Game, x: nvn.Value, G: nvn.Player) -> None:
    hidden = linear(3, 1)
    G.minimizes(nvn.energy(lambda t: hidden(t).mean(), name="loss")(G(x)))
    found = problem(game, G, batch=BATCH)
    assert found.where.startswith("test_dry_run.py:")
    assert found.found == (
        "`loss(G(x))` uses parameters that belong to no player, of shape (1, 3), (1,)"
    )
    assert "make their module a player (frozen, if it should not learn)" in found.edit


def test_a_player_used_inside_a_function() -> None:
    small = gan(critic=mlp(3, 1))
    inner = small.D.module
    small.G.minimizes(nvn.energy(lambda t: inner(t).mean(), name="penalty")(small.fake))
    found = problem(small.game, small.D, small.G, batch=BATCH)
    assert found.found.startswith("`penalty(G(z))` uses the player `D` inside (its parameter '")
    assert found.found.endswith("weight')")
    assert found.edit == "pass `D(…)` as an argument; a penalty takes `nvn.gradient(y, x)`"


def test_a_player_called_inside_a_function() -> None:
    small = gan()
    small.G.minimizes(nvn.energy(lambda t: small.D(t), name="penalty")(small.fake))
    found = problem(small.game, small.D, small.G, batch=BATCH)
    assert found.where.startswith("test_dry_run.py:")
    assert found.found == "the player `D` is called with tensors"


def test_a_player_used_inside_another_players_module() -> None:
    small = gan()
    critic = small.D.module

    class Peeking(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) + critic(x)

    E = small.game.player("E", Peeking(3, 3))
    E.minimizes(mean(E(small.x)))
    found = problem(small.game, small.D, small.G, E, batch=BATCH)
    assert found.found.startswith("`E(x)` uses the player `D` inside (its parameter")


def test_a_player_used_inside_a_sample(game: nvn.Game, x: nvn.Value, G: nvn.Player) -> None:
    w = game.sample("w", lambda generator, batch: G.module(batch["x"]))
    G.minimizes(mean(G(x)) + mean(G(w)))
    assert problem(game, G, batch=BATCH).found.startswith("`w` uses the player `G` inside")


def test_a_parameter_that_is_no_parameter(game: nvn.Game, x: nvn.Value) -> None:
    class Forgetful(nn.Linear):
        def __init__(self) -> None:
            super().__init__(3, 3)
            self.scale = [torch.ones(2, 3, requires_grad=True)]

        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) * self.scale[0].mean()

    G = game.player("G", Forgetful())
    G.minimizes(mean(G(x)))
    found = problem(game, G, batch=BATCH)
    assert "belong to no player, of shape (2, 3)" in found.found
    assert "make parameters of a module nn.Parameter" in found.edit


def test_what_is_frozen_may_be_used_inside_a_function(
    game: nvn.Game, x: nvn.Value, G: nvn.Player
) -> None:
    features = linear().requires_grad_(False)
    G.minimizes(nvn.energy(lambda t: features(t).mean())(G(x)))
    check(game, G)


# --- outputs that hide tensors ------------------------------------------------------------------


@dataclass
class Wrapped:
    inside: Any


class Slotted:
    __slots__ = ("inside",)

    def __init__(self, inside: Any) -> None:
        self.inside = inside


CONCEALED: dict[str, Callable[[Tensor], Any]] = {
    "dataclass": Wrapped,
    "in a dict": lambda t: {"a": Wrapped(t)},
    "deep inside": lambda t: Wrapped([Wrapped((1, t))]),
    "slots": Slotted,
    "distribution": lambda t: torch.distributions.Normal(t, 1.0),
    "set": lambda t: {t},
    "function": lambda t: lambda: t,
    "partial": lambda t: partial(torch.add, t),
    "method": lambda t: Wrapped(t).__eq__,
}


@pytest.mark.parametrize("conceal", CONCEALED.values(), ids=CONCEALED)
def test_an_output_in_which_tensors_hide(
    game: nvn.Game, x: nvn.Value, G: nvn.Player, conceal: Callable[[Tensor], Any]
) -> None:
    hidden = nvn.value(conceal, name="conceal")(G(x))
    take = nvn.energy(lambda _, t: t.mean(), name="take")
    G.minimizes(take(hidden.stop_gradient(), G(x)))
    found = problem(game, G, batch=BATCH)
    assert found.found.startswith("`conceal(G(x))` returns a ")
    assert found.found.endswith(", an object with tensors inside")
    assert found.edit.startswith("return its tensors in a dict, and make the ")


def test_a_module_may_not_hide_tensors_either(game: nvn.Game, x: nvn.Value) -> None:
    class Gaussian(nn.Linear):
        def forward(self, x: Tensor) -> torch.distributions.Normal:
            return torch.distributions.Normal(super().forward(x), 1.0)

    G = game.player("G", Gaussian(3, 3))
    G.minimizes(nvn.energy(lambda p: p.loc.mean(), name="loc")(G(x)))
    assert problem(game, G, batch=BATCH).found.startswith("`G(x)` returns a Normal, an object")


def test_other_things_beside_tensors_are_fine(game: nvn.Game, x: nvn.Value, G: nvn.Player) -> None:
    def both(t: Tensor) -> dict[str, Any]:
        kind, none, place = t.dtype, None, t.device
        names = {"a", "b"}
        return {"t": t, "n": 3, "s": "s", "kind": kind, "none": none, "place": place, "set": names}

    G.minimizes(nvn.energy(lambda d: d["t"].mean())(nvn.value(both)(G(x))))
    constants = nvn.value(Wrapped)(x)  # nothing learns from it
    G.minimizes(nvn.energy(lambda t, c: (t - c.inside).square().mean())(G(x), constants))
    check(game, G)


# --- changes in place ---------------------------------------------------------------------------


def test_a_first_layer_that_works_in_place(game: nvn.Game, x: nvn.Value) -> None:
    G = game.player("G", nn.Sequential(nn.ReLU(inplace=True), linear()))
    G.minimizes(mean(G(x)))
    batch = {"x": tensor(8, 3)}
    before = batch["x"].clone()
    found = problem(game, G, batch=batch)
    assert found.found == "`G(x)` changes `x`, its input, in place"
    assert "inplace=False" in found.edit
    assert_same(batch["x"], before)


def test_a_function_that_works_in_place(game: nvn.Game, x: nvn.Value, G: nvn.Player) -> None:
    G.minimizes(nvn.energy(lambda t: t.mul_(2).mean(), name="twice")(G(x)))
    assert (
        problem(game, G, batch=BATCH).found == "`twice(G(x))` changes `G(x)`, its input, in place"
    )


def test_a_sample_that_works_in_place(game: nvn.Game, x: nvn.Value, G: nvn.Player) -> None:
    w = game.sample("w", lambda generator, batch: batch["x"].add_(1))
    G.minimizes(mean(G(x)) + mean(G(w)))
    assert (
        problem(game, G, batch={"x": tensor(8, 3)}).found == "`w` changes `x`, its input, in place"
    )


def test_working_in_place_on_ones_own_is_fine(game: nvn.Game, x: nvn.Value) -> None:
    G = game.player("G", nn.Sequential(linear(), nn.ReLU(inplace=True), linear()))
    G.minimizes(mean(G(x)))
    check(game, G)


# --- all at once --------------------------------------------------------------------------------


def test_every_problem_of_a_batch_is_told_at_once(game: nvn.Game, x: nvn.Value) -> None:
    y, z = game.batch("y", "z")
    hidden = linear()
    G = game.player("G", linear())
    E = game.player("E", nn.Sequential(nn.ReLU(inplace=True), linear()))
    G.minimizes(nvn.energy(torch.exp)(G(x)) + mean(G(y)) + mean(G(z)))
    G.minimizes(nvn.energy(lambda t: hidden(t).sum(), name="hide")(G(x)))
    E.minimizes(nvn.value(torch.relu)(E(x)) * mean(E(x)))
    found = problems(game, G, E, batch={"x": tensor(8, 3), "y": tensor(8, 5)})
    assert [p.found.split(" fails")[0] for p in found] == [
        "the batch has no 'z'",
        "the energy `exp(G(x))` has shape (8, 3) of torch.float32",
        "`G(y)`",
        "`hide(G(x))` uses parameters that belong to no player, of shape (3, 3), (3,)",
        "`E(x)` changes `x`, its input, in place",
        "the weight `relu(E(x))` has shape (8, 3) of torch.float32",
    ]


# --- no false alarms ----------------------------------------------------------------------------


class Recurrent(nn.Module):
    def __init__(self, kind: Any) -> None:
        super().__init__()
        self.rnn = kind(3, 3, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        out, _ = self.rnn(x[:, None].expand(-1, 4, -1))
        return out[:, -1]


class Branching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = linear(), linear()

    def forward(self, x: Tensor) -> Tensor:
        return self.up(x) if x.mean() > 0 else self.down(x)


class Selecting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = linear()

    def forward(self, x: Tensor) -> Tensor:
        positive = x[x[:, 0] > -100]  # its length depends on the data
        return self.inner(positive)[: int(positive.shape[0])]


class Caching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = linear()
        self.grid: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        if self.grid is None:
            self.grid = torch.arange(3.0, device=x.device)
        return self.inner(x) + self.grid


class Descending(nn.Module):
    """Its output is a gradient of its own, with respect to its input."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = mlp()

    def forward(self, x: Tensor) -> Tensor:
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            return torch.autograd.grad(self.inner(x).sum(), x, create_graph=True)[0]


class MinibatchDeviation(nn.Module):
    """Works on groups of four samples."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = linear()

    def forward(self, x: Tensor) -> Tensor:
        spread = x.reshape(len(x) // 4, 4, -1).std(1).mean()
        if spread.item() < 0:
            raise AssertionError
        return self.inner(x) + spread


def partly_frozen() -> nn.Module:
    module = mlp()
    module[0].requires_grad_(False)
    return module


def tied() -> nn.Module:
    module = nn.Sequential(linear(), nn.Tanh(), linear())
    module[2].weight = module[0].weight
    return module


MODULES: dict[str, Callable[[], nn.Module]] = {
    "batch norm": lambda: nn.Sequential(linear(), nn.BatchNorm1d(3)),
    "group norm": lambda: nn.Sequential(linear(), nn.GroupNorm(1, 3)),
    "spectral norm": lambda: parametrizations.spectral_norm(linear()),
    "old spectral norm": lambda: nn.utils.spectral_norm(linear()),
    "weight norm": lambda: parametrizations.weight_norm(linear()),
    "dropout": lambda: nn.Sequential(nn.Dropout(), linear()),
    "lstm": lambda: Recurrent(nn.LSTM),
    "gru": lambda: Recurrent(nn.GRU),
    "attention": lambda: nn.TransformerEncoderLayer(3, 1, 8, batch_first=True),
    "branching": Branching,
    "selecting": Selecting,
    "caching": Caching,
    "groups of four": MinibatchDeviation,
    "partly frozen": partly_frozen,
    "tied": tied,
    "scripted": lambda: torch.jit.script(nn.Sequential(linear(), nn.BatchNorm1d(3))),
    "traced": lambda: torch.jit.trace(mlp(), torch.ones(2, 3), check_trace=False),
}


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
@pytest.mark.parametrize("make", MODULES.values(), ids=MODULES)
def test_these_modules_are_fine(make: Callable[[], nn.Module]) -> None:
    for small in (gan(generator=make()), gan(critic=make())):
        check(small.game, small.D, small.G)


def test_a_module_that_takes_gradients_itself_is_fine(game: nvn.Game, x: nvn.Value) -> None:
    G = game.player("G", Descending())
    G.minimizes(square(G(x)))
    check(game, G)


def test_parts_that_take_no_hooks_are_fine(game: nvn.Game, x: nvn.Value) -> None:
    class Hookless(nn.Linear):
        def register_forward_hook(self, *_: Any, **__: Any) -> Any:
            raise RuntimeError("no hooks here")

    hookless = Hookless(3, 3)
    G = game.player("G", nn.Sequential(hookless, linear(4, 3)))
    G.minimizes(mean(G(x)))
    assert "(in its part '1', Linear" in problem(game, G, batch=BATCH).found
    assert not hookless._forward_pre_hooks


def test_a_module_may_let_its_input_require_a_gradient() -> None:
    class Sloped(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            y = super().forward(x.requires_grad_())
            return torch.autograd.grad(y.sum(), x, create_graph=True)[0]

    small = gan(critic=nn.Sequential(Sloped(3, 3), linear(3, 1)))
    small.engine().check(BATCH)
    assert not BATCH["x"].requires_grad


def test_whole_numbers_and_tables_are_fine(game: nvn.Game) -> None:
    label = game.batch("label")
    E = game.player("E", nn.Embedding(10, 3))
    C = game.player("C", linear(3, 10))
    E.minimizes(en.cross_entropy(C(E(label)), label))
    C.minimizes(en.cross_entropy(C(E(label)), label))
    check(game, C, E, batch={"label": torch.arange(8)})


def test_penalties_are_fine() -> None:
    small = gan()
    D, x, fake = small.D, small.x, small.fake
    weights = small.game.sample("weights", en.uniform_weights)
    between = en.interpolate(x, fake.stop_gradient(), weights)
    D.minimizes(en.r1(D(x), x) + en.r2(D(fake), fake) + en.gradient_penalty(D(between), between))
    small.G.minimizes(en.r2(D(fake), fake))
    check(small.game, D, small.G)


def test_gradients_of_gradients_are_fine() -> None:
    small = gan()
    x, fake = small.x, small.fake
    slope = nvn.gradient(small.D(fake), fake)
    size = nvn.value(lambda t: t.square().sum(1), name="size")
    small.G.minimizes(mean(nvn.gradient(size(slope), small.z)))  # x of the inner one lies between
    pair = nvn.value(lambda t: {"a": t, "b": t * t}, name="pair")(x)
    part = pair["a"]
    both = nvn.value(lambda p, q: (p * q).sum(1), name="both")
    inner = nvn.gradient(both(small.D(part), x), x)  # x of the inner one lies elsewhere
    small.D.minimizes(mean(nvn.gradient(size(inner), part)))
    check(small.game, small.D, small.G)


def test_frozen_players_are_fine() -> None:
    small = gan()
    C = small.game.frozen("C", nn.Sequential(linear(), nn.BatchNorm1d(3)))
    small.G.minimizes(en.mse(C(small.fake), C(small.x)))
    small.D.minimizes(mean(small.D(C(small.x))))
    check(small.game, small.D, small.G)


def test_a_tensor_that_holds_no_samples_is_not_cut(game: nvn.Game, x: nvn.Value) -> None:
    """The check takes the batch whole: neither is anything cut that holds no samples."""
    basis = game.batch("basis")
    G = game.player("G", linear())
    G.minimizes(nvn.energy(lambda t, b: (t @ b).mean())(G(x), basis))
    check(game, G, batch={**BATCH, "basis": tensor(3, 5)})


def test_a_phase_is_checked_against_what_it_computes_itself() -> None:
    small = gan()
    content = nvn.energy(lambda a, b: (a - b).square().mean())(
        small.G(small.z), small.game.batch("y")
    )
    warmup = nvn.alternating(nvn.move(small.G, toward=content))
    plan = nvn.plan(small.game, warmup, partial=True)
    nvn.Engine(plan, sgd).check({"x": tensor(4, 3), "y": tensor(4, 3)})
    with pytest.raises(GameError, match="the batch has no 'y'"):
        nvn.Engine(plan, sgd).check({"x": tensor(4, 3)})


# --- no traces ----------------------------------------------------------------------------------


class Failing(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        super().forward(x)
        raise ValueError("no")


def stateful(last: nn.Module) -> Gan:
    torch.manual_seed(0)  # power iterations start at random
    inner = nn.Sequential(linear(), nn.BatchNorm1d(3), nn.Dropout(), Caching(), last)
    critic = nn.Sequential(
        parametrizations.spectral_norm(linear()), nn.utils.spectral_norm(linear())
    )
    return gan(inner, critic)


def traces(engine: nvn.Engine) -> dict[str, Any]:
    modules = [part for module in engine.modules.values() for part in module.modules()]
    tensors = [
        t for m in modules for t in (*m.parameters(recurse=False), *m.buffers(recurse=False))
    ]
    return {
        "tensors": [t.clone() for t in tensors],
        "identities": [(id(t), t.requires_grad, t.grad is None) for t in tensors],
        "modes": [part.training for part in modules],
        "attributes": [sorted(vars(part)) for part in modules],
        "hooks": [len(part._forward_hooks) + len(part._forward_pre_hooks) for part in modules],
        "caches": [part.grid for part in modules if isinstance(part, Caching)],
        "counters": [engine.state.counters.copy()],
        "stream": torch.get_rng_state(),
    }


@pytest.mark.parametrize("last", [nn.Identity(), Failing(3, 3)], ids=["passes", "fails"])
def test_a_check_leaves_no_traces(last: nn.Module) -> None:
    small = stateful(last)
    engine = small.engine(adam)
    small.G.module.eval()  # whatever mode it is in
    before = traces(engine)
    if isinstance(last, Failing):
        with pytest.raises(GameError, match="no"):
            engine.check(BATCH)
    else:
        engine.check(BATCH)
    after = traces(engine)
    for name in ("tensors", "stream"):
        assert_same(after.pop(name), before.pop(name))
    assert after == before
    assert all(type(p) is nn.Parameter for p in small.D.module.parameters())


def test_python_and_numpy_draw_on_as_before(game: nvn.Game, x: nvn.Value, G: nvn.Player) -> None:
    def jittered(t: Tensor) -> Tensor:
        return t.mean() * (1 + random.random() + np.random.rand())

    G.minimizes(nvn.energy(jittered)(G(x)))
    engine = nvn.Engine(nvn.plan(game, nvn.alternating(G)), sgd)
    draws = []
    for _ in range(2):
        random.seed(0)
        np.random.seed(0)
        draws.append((random.random(), np.random.rand()))
        with pytest.raises(GameError, match="Python's global random stream"):
            engine.check(BATCH)
        draws.append((random.random(), np.random.rand()))
        random.seed(0)
        np.random.seed(0)
        assert draws[-2:] == [(random.random(), np.random.rand()) for _ in range(2)]


class Helper:
    def __init__(self) -> None:
        self.kept: dict[int, Tensor] = {}

    def ones(self, size: int) -> Tensor:
        return self.kept.setdefault(size, torch.ones(size))


class Keeping(nn.Linear):
    """Multiplies by a tensor of ones that is made once, and kept somewhere."""

    def __init__(self, ones: Callable[[int], Tensor]) -> None:
        torch.manual_seed(0)
        super().__init__(3, 3)
        self.ones = ones

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x * self.ones(3))


def kept_in_a_dict() -> Callable[[int], Tensor]:
    kept: dict[int, Tensor] = {}
    return lambda size: kept.setdefault(size, torch.ones(size))


KEEPING = {
    "functools": lambda: lru_cache(torch.ones),
    "dict": kept_in_a_dict,
    "helper": lambda: Helper().ones,
}


@pytest.mark.parametrize("inside", [True, False], ids=["module", "function"])
@pytest.mark.parametrize("ones", KEEPING.values(), ids=KEEPING)
def test_what_is_cached_while_checking_does_not_keep_training_from_learning(
    game: nvn.Game, x: nvn.Value, ones: Callable[[], Callable[[int], Tensor]], inside: bool
) -> None:
    make = ones()
    G = game.player("G", Keeping(make if inside else torch.ones))
    G.minimizes(nvn.energy(lambda t: (t * make(3)).square().mean(), name="loss")(G(x)))
    engine = nvn.Engine(nvn.plan(game, nvn.alternating(G)), sgd)
    hand = nn.Linear(3, 3)
    hand.load_state_dict(G.module.state_dict())
    hand(BATCH["x"]).square().mean().backward()
    before = G.module.weight.detach().clone()
    engine.step(BATCH)
    torch.testing.assert_close(G.module.weight.detach(), before - 0.1 * hand.weight.grad)
    assert type(engine.values(BATCH, [G(x)])[0]) is Tensor


def test_checking_does_not_change_what_is_learned() -> None:
    engines = [stateful(linear()).engine(adam) for _ in range(2)]
    engines[0].check(BATCH)
    records = [[engine.step(BATCH).energies for _ in range(3)] for engine in engines]
    assert records[0] == records[1]


def test_the_first_step_checks_and_later_ones_do_not() -> None:
    calls = []

    class Counting(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            calls.append(x)
            return super().forward(x)

    small = gan(generator=Counting(3, 3))
    engine = small.engine()
    engine.step(BATCH)
    checks = len(calls) - 1  # one call serves D's move and G's
    assert checks >= 1
    engine.step(BATCH)
    assert len(calls) == checks + 2
    with pytest.raises(GameError, match="shape"):
        gan(generator=linear(4, 3)).engine().step(BATCH)


def test_a_hidden_player_in_a_term_that_cannot_move_it() -> None:
    """The term does not depend on D, as far as the graph tells: it would be dropped silently."""
    game = nvn.Game("hidden")
    x = game.batch("x")
    module = linear(3, 1)
    D = game.player("D", module)

    def penalty(t: Tensor) -> Tensor:
        return module(t).square().mean()

    D.minimizes(mean(D(x)))
    D.minimizes(nvn.energy(penalty, name="penalty")(x))
    engine = nvn.Engine(nvn.plan(game, nvn.alternating(D)), sgd)
    with pytest.raises(nvn.GameError, match="uses the player `D` inside"):
        engine.check({"x": torch.randn(4, 3)})


# --- one cause is one problem -------------------------------------------------------------------


class Returning(nn.Linear):
    """Returns an object."""

    def forward(self, x: Tensor) -> Wrapped:
        return Wrapped(super().forward(x))


class Moving(nn.Linear):
    """Changes a parameter of its own."""

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            self.bias.mul_(0.9)
        return super().forward(x)


class InPlace(nn.Linear):
    """Changes what it is given."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.mul_(2))


class Refusing(nn.Linear):
    """Fails whatever it is given."""

    def forward(self, x: Tensor) -> Tensor:
        raise ValueError("no way")


@pytest.mark.parametrize("kind", [Returning, Moving, InPlace, Refusing])
def test_what_a_module_does_is_told_once_and_nothing_of_what_takes_it(
    kind: type[nn.Linear],
) -> None:
    small = gan(critic=kind(3, 1))
    assert len(problems(small.game, small.D, small.G, batch=BATCH)) == 1


def test_two_modules_are_two_causes() -> None:
    small = gan(generator=Returning(3, 3), critic=Moving(3, 1))
    first, second = problems(small.game, small.D, small.G, batch=BATCH)
    assert first.found.startswith("`G(z)` returns a Wrapped")
    assert second.found.startswith("`D(x)`: the module changes its parameter 'bias'")
