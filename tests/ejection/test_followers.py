"""Averages, earlier selves, groups and warm-up in ejected loops: to the bit, and how it reads."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

import nvn
from nvn import energies as en
from tests.ejection.playing import play_both
from tests.small import adam, linear, sgd, tensor


def batches(count: int = 50) -> Iterator[Mapping[str, Any]]:
    for seed in range(count):
        yield {"x": tensor(4 + seed % 3, 3, seed=seed)}


def plan(*, several: bool = False, past: bool = False, **options: Any) -> nvn.Plan:
    game = nvn.Game("followed")
    x = game.batch("x")
    f = game.player("f", nn.Sequential(linear(seed=1), nn.BatchNorm1d(3)))
    g = game.player("g", linear(seed=2))
    if past:
        other = game.past("other", f, every=2, keep=2)
    else:
        other = game.average("other", f, **{"half_life": 10, **options})
    f.minimizes(en.mse(f(x), x) + en.mse(f(x), other(x)))
    g.minimizes(en.mse(g(f(x)), x))
    moves = [nvn.move(g, fresh=True), nvn.move(f, times=2, fresh=True)] if several else [g, f]
    return nvn.plan(game, nvn.alternating(*moves))


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({}, """follow(modules["other"], modules["f"], 0.5 ** (len(batch["x"]) / 10.0))"""),
        ({"unit": "steps"}, """follow(modules["other"], modules["f"], 0.5 ** (1 / 10.0))"""),
        ({"buffers": "average", "half_life": 7.5}, "/ 7.5), buffers=True)"),
        ({"past": True}, """keep_self(pasts["other"], modules["f"]"""),
    ],
)
def test_followers(several: bool, options: Mapping[str, Any], line: str) -> None:
    source = play_both(plan(several=several, **options), adam, batches, steps=12)
    flat = " ".join(source.split()).replace("( ", "(").replace(", )", ")")
    assert line in flat


def test_the_samples_of_a_tree_are_counted() -> None:
    game = nvn.Game("tree")
    pair = game.batch("pair")
    f = game.player("f", linear(seed=1))
    game.average("f_ema", f, half_life=10)
    f.minimizes(en.mse(f(pair["a"]), pair["b"]))
    data = [{"pair": {"a": tensor(n, 3), "b": tensor(n, 3, seed=1)}} for n in (4, 5, 6, 7)]
    source = play_both(
        nvn.plan(game, nvn.alternating(f)), sgd, lambda: iter(data), steps=3, moved=False
    )
    assert '0.5 ** (len(tensors(batch["pair"])[0]) / 10.0)' in source


def test_ejecting_leaves_them_as_they_are() -> None:
    made = plan()
    engine = nvn.Engine(made, adam)
    for batch in batches(5):
        engine.step(batch)
    before = copy.deepcopy(engine.modules["other"].state_dict())
    nvn.eject(made, adam, next(batches()))
    after = engine.modules["other"].state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_the_words_say_how_they_begin() -> None:
    said = " ".join(nvn.eject(plan(past=True), adam, next(batches())).split())
    assert "f and g in train mode, other in eval mode. other is a copy of f at first." in said
    assert "pasts = make_pasts(modules)" in said


@pytest.mark.parametrize("schedule", [None, partial(torch.optim.lr_scheduler.StepLR, step_size=2)])
@pytest.mark.parametrize("warmup", [1, 4, 100])
def test_warm_up(warmup: int, schedule: Any) -> None:
    spec = nvn.Optimizer(partial(torch.optim.Adam, lr=0.1), warmup=warmup, schedule=schedule)
    source = play_both(plan(), spec, batches, steps=8)
    assert f'step_warming_up(optimizers["f"], {warmup})' in source


def test_groups_and_optimizers_without() -> None:
    optimizers = {
        "f": nvn.Optimizer(adam, groups={"0.*": {"lr": 0.5}, "*.bias": {"weight_decay": 0.1}}),
        "g": adam,
    }
    source = play_both(plan(), optimizers, batches, steps=5)
    assert 'grouped(named("f"), {"0.*": {"lr": 0.5}, "*.bias": {"weight_decay": 0.1}})' in source
    assert 'torch.optim.Adam(learning("g"), lr=0.01)' in source


def test_groups_are_corrected_for_lazy_regularizers() -> None:
    game = nvn.Game("lazy")
    x = game.batch("x")
    f = game.player("f", linear(seed=1))
    f.minimizes(en.mse(f(x), x))
    lazy = nvn.move(f, toward=en.l2(f(x), x), every=4)
    spec = nvn.Optimizer(adam, groups={"bias": {"lr": 0.5, "betas": (0.5, 0.9)}})
    source = play_both(nvn.plan(game, nvn.alternating(f, lazy)), spec, batches, steps=8)
    assert f'"lr": {0.5 * 0.8!r}, "betas": ({0.5**0.8!r}, {0.9**0.8!r})' in " ".join(source.split())
    assert "learning" not in source
