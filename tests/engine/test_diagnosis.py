"""The first thing that is not finite is named: value, player, submodule, move, and from what."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import nvn
from nvn.engine.diagnosis import ranges
from tests.small import assert_same, gan, linear, tensor, weights

X = {"x": tensor(4, 3, seed=0)}


class Root(nn.Module):
    """A square root behind a where: finite below 0, and its gradient is not."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.where(x > 0, x.sqrt(), torch.zeros(()))


class Log(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return (x - x.max()).log()


def mean(x: Tensor) -> Tensor:
    return x.mean()


def game(*layers: nn.Module, energy: Callable[..., Tensor] = mean, **options: Any) -> nvn.Engine:
    made = nvn.Game("trouble")
    x = made.batch("x")
    A = made.player("A", linear(seed=8))
    f = made.player("f", nn.Sequential(linear(seed=1), *layers))
    A.minimizes(100 * nvn.energy(mean, name="fine")(A(x)))
    f.minimizes(nvn.energy(energy, name="trouble")(f(x)))
    sgd = partial(torch.optim.SGD, lr=options.pop("lr", 0.1))
    return nvn.Engine(nvn.plan(made, nvn.alternating(A, f)), sgd, **options)


def found(engine: nvn.Engine, batch: Any = X) -> Any:
    finding = engine.diagnose(batch)
    assert finding is not None
    return finding


def test_a_game_that_is_well_has_none_and_plays_on_as_a_step_does() -> None:
    one, other = game(), game()
    assert one.diagnose(X) is None
    other.step(X)
    assert_same(weights(one), weights(other))
    assert one.state.iterations == other.state.iterations
    assert one.state.counters == other.state.counters


def test_buffers_that_there_were_not_before_stay() -> None:
    class Late(nn.Linear):
        """Has a buffer from its first call on."""

        def __init__(self) -> None:
            super().__init__(3, 3)
            self.register_buffer("first", None)

        def forward(self, x: Tensor) -> Tensor:
            y = super().forward(x)
            if self.training:
                self.first = y[0].detach()
            return y

    one = game(Late())
    assert one.diagnose(X) is None
    assert one.modules["f"][1].first is not None  # type: ignore[index]


def test_a_submodule_that_gives_what_is_not_finite() -> None:
    finding = found(game(Log(), nn.Linear(3, 3)))
    assert (finding.kind, finding.player, finding.module) == ("forward", "f", "f.1")
    assert finding.move == "move 2 (f)"
    assert "f.1 (Log) gives" in finding.what
    assert "infinite" in finding.what
    assert "of an input in [" in finding.what


def test_an_energy_that_is_not_finite() -> None:
    finding = found(game(energy=lambda x: (0 * x).mean() / (0 * x).sum()))
    assert finding.kind == "forward"
    assert "`trouble(f(x))` is not finite: 1 of 1 NaN, from `f(x)` in [" in finding.what


def test_a_gradient_that_is_not_finite_though_the_objective_is() -> None:
    finding = found(game(Root()), {"x": -torch.ones(4, 3) * 9})
    assert (finding.kind, finding.player) == ("backward", "f")
    assert finding.module == "f.1"
    assert "is the first that is not finite" in finding.what
    assert "derivative" in str(finding)


def test_a_step_that_is_too_large() -> None:
    finding = found(game(lr=3e38))
    assert (finding.kind, finding.player) == ("step", "A")
    assert "the step of A made A." in finding.what
    assert "learning rate of 3e+38" in finding.what
    assert finding.move == "move 1 (A)"


def test_data_that_are_not_finite() -> None:
    batch = {"x": torch.tensor([[1.0, torch.inf, 2.0]])}
    finding = found(game(), batch)
    assert finding.kind == "data"
    assert "the batch has 'x' in [1, 2], 1 of 3 infinite" in finding.what


def test_statistics_that_become_infinite() -> None:
    norm = nn.BatchNorm1d(3)
    engine = game(norm, nn.Tanh())
    with torch.no_grad():
        engine.modules["f"][0].weight.fill_(3e19)
    finding = found(engine)
    assert (finding.kind, finding.module) == ("buffer", "f.1.running_var")


def test_a_buffer_that_is_infinite_from_the_start_is_none_of_it() -> None:
    class Masked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("mask", torch.tensor([0.0, 0.0, -torch.inf]))

        def forward(self, x: Tensor) -> Tensor:
            return (x + self.mask).softmax(-1)

    assert game(Masked()).diagnose(X) is None


def test_an_error_that_comes_of_it_is_not_what_is_told() -> None:
    def picky(x: Tensor) -> Tensor:
        if not x.isfinite().all():
            raise ValueError("picky")
        return x.mean()

    engine = game(nn.Identity(), energy=picky)
    engine.check(X)
    engine.modules["f"][1] = Log()
    assert found(engine).module == "f.1"


def test_any_other_error_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ValueError("mine")

    engine = game()
    monkeypatch.setattr(engine.state.optimizers["A"], "step", broken)
    with pytest.raises(ValueError, match="mine"):
        engine.diagnose(X)


def test_no_hook_stays() -> None:
    engine = game(Root())
    engine.diagnose({"x": -torch.ones(4, 3) * 9})
    parts = [part for module in engine.modules.values() for part in module.modules()]
    assert not any(part._forward_hooks for part in parts)


@pytest.mark.parametrize("fused", [False, True])
def test_a_step_that_is_not_finite_is_skipped_and_the_others_are_taken(fused: bool) -> None:
    small = gan(nn.Sequential(linear(seed=1), Root(), linear(seed=2)))
    small.schedule = nvn.simultaneous(small.G, small.D)
    adam = nvn.Optimizer(partial(torch.optim.Adam, lr=0.1, fused=fused), clip_norm=1.0)
    engine = small.engine(adam, skip=True)
    with torch.no_grad():
        engine.modules["G"][0].bias.fill_(-99.0)
    before = weights(engine)
    record = engine.step(X)
    now = weights(engine)
    assert not torch.isfinite(torch.tensor(record.gradient_norms["G"]))
    assert engine.state.optimizers["G"].skipped == 1
    assert engine.state.optimizers["D"].skipped == 0
    assert_same(
        {k: v for k, v in before.items() if k == "G"}, {k: v for k, v in now.items() if k == "G"}
    )
    assert any(not torch.equal(before["D"][n], now["D"][n]) for n in now["D"])
    assert not engine.state.optimizers["G"].optimizer.state


def test_ranges_are_said_in_words() -> None:
    assert ranges(torch.tensor([1, 2])) == "without numbers"
    assert ranges([torch.tensor([1.0]), {"a": torch.tensor([-2.0])}]) == "in [-2, 1]"
    assert ranges(torch.tensor([torch.inf, torch.nan])) == "1 of 2 NaN, 1 of 2 infinite"
