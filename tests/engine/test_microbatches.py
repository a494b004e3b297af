"""A batch that is played in parts is the batch."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

import nvn
from nvn import energies as en
from nvn.errors import ConfigError, DataError, GameWarning
from tests.engine.together import (
    TASTE,
    Odd,
    adam,
    assert_close,
    assert_same,
    labelled,
    numbers,
    sgd,
    whole,
)
from tests.games.specs import GameSpec
from tests.games.strategies import examples, games
from tests.games.styles import declare

ITERATIONS = 4


def engine_of(spec: GameSpec, optimizer: Any, parts: int) -> nvn.Engine:
    declared = declare(spec, spec.modules())
    plan = nvn.plan(declared.game, declared.schedule)
    return nvn.Engine(plan, optimizer, accumulate=parts)


@pytest.mark.filterwarnings("ignore::nvn.GameWarning")  # of random games, which are as they come
@examples(40)
@given(spec=games(TASTE), parts=st.sampled_from([2, 3]))
def test_random_games_are_the_same_in_parts(spec: GameSpec, parts: int) -> None:
    optimizer = sgd if len(spec.players) % 2 else adam
    one, several = (engine_of(spec, optimizer, n) for n in (1, parts))
    data, same = whole(3, parts), whole(3, parts)
    for _ in range(ITERATIONS):
        ours, theirs = one.step(data), several.step(same)
        assert_same(ours, theirs)
    assert_close(numbers(one), numbers(several))
    assert one.state.counters == several.state.counters


def test_odd_gradients_are_the_same_in_parts() -> None:
    """Sparse ones, and parameters that get none."""

    def engine(parts: int) -> nvn.Engine:
        game = nvn.Game("odd")
        k, y = game.batch("k", "y")
        f = game.player("f", Odd())
        f.minimizes(en.mse(f(k), y))
        plan = nvn.plan(game, nvn.alternating(f))
        return nvn.Engine(plan, partial(torch.optim.SGD, lr=0.1), accumulate=parts)

    one, several = engine(1), engine(2)
    data, same = labelled(None, 2), labelled(None, 2)
    for _ in range(5):
        one.step(data)
        several.step(same)
    assert_close(numbers(one), numbers(several))


class Counted(nn.Module):
    """Counts its calls, and the samples in each."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(3, 3)
        self.calls: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        self.calls.append(len(x))
        out: Tensor = self.inner(x)
        return out


def adversarial(parts: int) -> tuple[nvn.Engine, Counted, Counted]:
    torch.manual_seed(0)
    G, D = Counted(), Counted()
    game = nvn.Game("gan")
    x = game.batch("x")
    g, d = game.player("G", G), game.player("D", D)
    made = g(game.noise("z", 3, like=x))
    score = nvn.energy(lambda a: a.square().mean(), name="score")
    d.minimizes(score(d(x)) - score(d(made)))
    g.minimizes(score(d(made)))
    plan = nvn.plan(game, nvn.alternating(d, g))
    return nvn.Engine(plan, sgd, accumulate=parts), G, D


def batches(size: int) -> Iterator[dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    while True:
        yield {"x": torch.randn(size, 3, generator=generator)}


def test_nothing_is_computed_twice_more() -> None:
    """A value that two moves use is made once for each part."""
    for parts in (1, 4):
        engine, G, D = adversarial(parts)
        engine.step(batches(8))
        G.calls.clear()
        D.calls.clear()
        engine.step(batches(8))
        size = 8 // parts
        assert G.calls == [size] * parts  # made for D's move, and used in G's
        assert len(D.calls) == 3 * parts
        assert max(D.calls) == size


def test_the_graphs_of_one_part_are_there_at_a_time() -> None:
    """What autograd keeps for backward passes: a fourth, of four parts."""
    most = {}
    for parts in (1, 4):
        torch.manual_seed(0)
        game = nvn.Game("wide")
        x = game.batch("x")
        f = game.player("f", nn.Sequential(nn.Linear(3, 64), nn.Tanh(), nn.Linear(64, 3)))
        f.minimizes(en.mse(f(x), x))
        engine = nvn.Engine(nvn.plan(game, nvn.alternating(f)), sgd, accumulate=parts)
        engine.step({"x": torch.ones(64, 3)})
        kept: list[int] = []
        alive: set[int] = set()

        def pack(t: Tensor, kept: list[int] = kept, alive: set[int] = alive) -> Any:
            kept.append(t.numel() if t.shape[:1] in ((64,), (16,)) else 0)
            return t

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
            engine.step({"x": torch.ones(64, 3)})
        assert sum(kept)
        most[parts] = max(kept)
    assert most[4] * 4 == most[1]


def test_a_batch_that_cannot_be_divided_is_told() -> None:
    engine, *_ = adversarial(3)
    with pytest.raises(DataError, match=r"8 samples cannot be played in 3 parts \(accumulate=3\)"):
        engine.step(batches(8))
    engine.step(batches(9))


def test_what_differs_in_parts_is_told() -> None:
    game = nvn.Game("norms")
    x = game.batch("x")
    f = game.player("f", nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)))
    f.minimizes(en.mse(f(x), x).named("far"))
    engine = nvn.Engine(nvn.plan(game, nvn.alternating(f)), sgd, accumulate=2)
    with pytest.warns(GameWarning, match=r"in 2 parts \(accumulate=2\) .*`far` is "):
        engine.step({"x": torch.randn(8, 3)})


def test_an_error_in_a_part_leaves_all_as_it_was() -> None:
    engine, G, _ = adversarial(2)
    engine.step(batches(8))
    before = numbers(engine)
    hook = G.inner.register_forward_hook(_third_time())
    with pytest.raises(ZeroDivisionError) as error:
        engine.step(batches(8))
    assert any("while computing `G(z)`" in note for note in error.value.__notes__)
    hook.remove()
    assert_close(numbers(engine), before)
    assert all(p.requires_grad for m in engine.modules.values() for p in m.parameters())
    engine.step(batches(8))


def _third_time() -> Any:
    calls = iter([1, 0])
    return lambda *_: None if next(calls) else 1 / 0


@pytest.mark.parametrize(
    ("options", "told"),
    [({"accumulate": 0}, "accumulate = 0"), ({"accumulate": 2, "plain": True}, "as a whole")],
)
def test_what_makes_no_sense_is_refused(options: dict[str, Any], told: str) -> None:
    game = nvn.Game("line")
    x = game.batch("x")
    f = game.player("f", nn.Linear(1, 1))
    f.minimizes(en.mse(f(x), x))
    with pytest.raises(ConfigError, match=told):
        nvn.Engine(nvn.plan(game, nvn.alternating(f)), sgd, **options)
