"""The proof: in a process without nvn, an ejected loop gives the engine's weights, to the bit.

Every phase of every recipe, the parity games, and games in which moves happen now and then, on
batches or draws of their own. Float64, on the CPU, 20 steps, buffers included.
"""

from __future__ import annotations

import copy
import importlib
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import nvn
from nvn import energies as en
from nvn.recipe.build import make_plans
from tests.ejection.playing import assert_moved, takes_several
from tests.parity import test_algorithm1, test_dcgan, test_wgan_gp
from tests.parity.comparing import OPTIMIZERS

ROOT = Path(__file__).parents[2]
STEPS = 20


@dataclass
class Case:
    """A plan, and all that it is played with."""

    plan: nvn.Plan
    optimizers: Any
    batches: Iterator[Mapping[str, Any]]
    said: list[Mapping[str, bool]] = field(default_factory=lambda: [{}] * STEPS)
    source: str = ""
    modules: Mapping[str, nn.Module] = field(default_factory=dict)
    before: Mapping[str, Any] = field(default_factory=dict)

    def played(self) -> Case:
        """Eject, and then play by the engine; what the other process needs is copied before."""
        torch.manual_seed(0)
        self.modules = {p.name: p.module.double() for p in self.plan.graph.players}
        for player in self.plan.graph.players:
            player.module.train(not player.frozen)
        supply = [*islice(self.batches, STEPS * self.plan.batches_per_step)]
        self.source = nvn.eject(self.plan, self.optimizers, supply[0], steps=STEPS)
        self.given = {
            "modules": copy.deepcopy(self.modules),
            "batches": supply,
            "said": self.said,
        }
        self.before = {n: copy.deepcopy(m.state_dict()) for n, m in self.modules.items()}
        engine, data = nvn.Engine(self.plan, self.optimizers), iter(supply)
        for _ in range(STEPS):
            engine.step(data if takes_several(self.source) else next(data))
        return self


# --- recipes ------------------------------------------------------------------------------------


def pictures(size: int = 16, **training: int) -> Mapping[str, Any]:
    networks = {"width": 4, "features": 8}
    return {"data": {"size": size}, "networks": networks, "training": {"batch": 4, **training}}


RECIPES: Mapping[str, Mapping[str, Any]] = {
    "gaussians": {"batch": 16, "hidden": 8},
    "expression_cnn": pictures(),
    "expression_gan": pictures(),
    "expression_1v2": pictures(),
    "expression_2v2": pictures(),
    "expression_scn": pictures(steps=STEPS),
    "expression_svm": {
        "data": {"subjects": 10, "levels": 1, "size": 32},
        "features": {"kind": "eoh", "cells": 2},
        "training": {"batch": 24},
    },
    "sketch_repair": pictures(32),
}


def batches_of(name: str) -> Iterator[Mapping[str, Any]]:
    """Small random batches with all that a recipe's game asks for."""
    generator = torch.Generator().manual_seed(7)
    draw = partial(torch.rand, generator=generator, dtype=torch.float64)
    channels = 1 if name == "sketch_repair" else 3
    while True:
        label = torch.randint(3, (4,), generator=generator)
        if name == "gaussians":
            yield {"real": draw(16, 2)}
        elif name == "expression_svm":
            yield {"features": draw(4, 32), "label": label, "hold": draw(4)}
        else:
            names = ("damaged", "whole") if name == "sketch_repair" else ("weak", "peak")
            size = RECIPES[name]["data"]["size"]
            seen = {each: 2 * draw(4, channels, size, size) - 1 for each in names}
            yield {**seen, "label": label}


def recipe_cases() -> Iterator[tuple[str, Case]]:
    """The phases of the recipes, by the names of both."""
    for name, settings in RECIPES.items():
        module = importlib.import_module(f"nvn_recipes.{name}")
        torch.manual_seed(1)
        recipe = module.recipe(module.Config.build(settings=dict(settings)))
        for phase, plan in make_plans(recipe).items():
            alone = copy.deepcopy(plan)  # with modules of its own
            yield f"{name}_{phase}", Case(alone, recipe.optimizers, batches_of(name))


# --- parity games -------------------------------------------------------------------------------


def parity_cases() -> Iterator[tuple[str, Case]]:
    """The games that are compared with loops by hand, by the names of game and optimizer."""
    double = torch.float64
    for name, optimizer in OPTIMIZERS.items():
        nets = test_algorithm1.networks
        found = {
            "dcgan": (test_dcgan.declared(test_dcgan.networks()), test_dcgan.batches(double)),
            "wgan_gp": (
                test_wgan_gp.declared(test_wgan_gp.networks()),
                test_wgan_gp.batches(double),
            ),
        }
        for schedule in (test_algorithm1.algorithm_1, test_algorithm1.synthesis_together):
            plan = test_algorithm1.declared(nets(), schedule)
            found[schedule.__name__] = plan, test_algorithm1.batches(double)
        for game, (plan, supply) in found.items():
            yield f"{game}_{name.replace(' ', '_')}", Case(plan, optimizer, supply)


# --- moves now and then -------------------------------------------------------------------------


def half(step: int) -> float:
    """A weight that is zero in every third step."""
    return 0.5 * (step % 3 > 0)


def rarely(record: nvn.Record) -> bool:
    return record.energies["penalty"] < 0.0


def occasional() -> Case:
    """Critic steps on batches of their own, noise drawn anew, a lazy regularizer, dropout."""
    torch.manual_seed(2)
    game = nvn.Game("occasional")
    x = game.batch("x")
    z = game.noise("z", 3, like=x)
    w = game.sample("w", en.uniform_weights)
    G = game.player("G", nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Linear(8, 3)))
    D = game.player("D", nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.3), nn.Linear(8, 1)))
    adv = en.LeastSquares(a=-1.0, b=1.0, c=0.0)
    fake = G(z)
    between = en.interpolate(x, fake, w)
    penalty = en.gradient_penalty(D(between), between, target=0.5).named("penalty")
    D.minimizes(adv.real(D(x)) + half * adv.fake(D(fake)))
    G.minimizes(adv.fool(D(fake)))
    schedule = nvn.alternating(
        nvn.move(D, times=2, fresh=True),
        nvn.move(G, times=2, fresh="noise"),
        nvn.move(D, toward=en.r1(D(x), x), every=4),
        nvn.move(D, toward=penalty, when=rarely, optimizer="slow"),
    )
    fast = nvn.Optimizer(
        partial(torch.optim.Adam, lr=1e-3, betas=(0.5, 0.9)),
        clip_value=0.5,
        clip_norm=0.1,
        schedule=partial(torch.optim.lr_scheduler.StepLR, step_size=3),
    )
    optimizers = {"G": fast, "D": fast, "slow": partial(torch.optim.SGD, lr=1e-2)}
    # In the first iteration a move always happens; its energy is never below zero afterwards.
    said = [{"D_moves": step == 0} for step in range(STEPS)]
    return Case(nvn.plan(game, schedule), optimizers, reals(), said)


def followed() -> Case:
    """Averages in samples and steps, a pool of earlier selves, groups, warm-up."""
    torch.manual_seed(5)
    game = nvn.Game("followed")
    x = game.batch("x")
    z = game.noise("z", 3, like=x)
    G = game.player("G", nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Linear(8, 3)))
    D = game.player("D", nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.3), nn.Linear(8, 1)))
    smooth = game.average("G_ema", G, half_life=20, buffers="average")
    game.average("D_ema", D, half_life=2.5, unit="steps")
    old = game.past("G_old", G, every=3, keep=3)
    adv = en.NonSaturating()
    D.minimizes(adv.real(D(x)) + adv.fake(D(G(z))) + adv.fake(D(old(z))))
    G.minimizes(adv.fool(D(G(z))) + 0.1 * en.mse(G(z), smooth(z)))
    schedule = nvn.alternating(
        D, nvn.move(G, every=2, times=2), nvn.move(D, toward=en.r1(D(x), x), every=4)
    )
    optimizers = {
        "G": nvn.Optimizer(
            partial(torch.optim.Adam, lr=1e-2),
            warmup=5,
            schedule=partial(torch.optim.lr_scheduler.StepLR, step_size=3),
        ),
        "D": nvn.Optimizer(
            partial(torch.optim.AdamW, lr=1e-2),
            groups={"0.bias": {"weight_decay": 0.0}, "*.bias": {"lr": 1e-3, "betas": (0.5, 0.9)}},
            warmup=30,
            clip_norm=1.0,
        ),
    }
    return Case(nvn.plan(game, schedule), optimizers, reals())


def relativistic() -> Case:
    """Pairs, features in a tree, several scales, two players at once."""
    torch.manual_seed(3)
    game = nvn.Game("relativistic")
    x, y = game.batch("x", "y")
    G, D = game.player("G", nn.Linear(3, 3)), game.player("D", nn.Linear(3, 1))
    pair = en.RelativisticPaired()
    fake = G(y)
    D.minimizes(pair.critic([D(x), D(y)], [D(fake), D(fake)]) + en.Hinge().real(D(x)))
    G.minimizes(pair.fool(D(fake), D(x)) + 0.1 * en.l2(fake, x))
    G.minimizes(0.3 * en.perceptual([fake, D(fake)], [x, D(x)]) - en.feature_matching(fake, x))
    return Case(nvn.plan(game, nvn.simultaneous(G, D)), partial(torch.optim.SGD, lr=1e-2), reals())


def reals() -> Iterator[Mapping[str, Tensor]]:
    generator = torch.Generator().manual_seed(4)
    draw = partial(torch.randn, generator=generator, dtype=torch.float64)
    while True:
        yield {"x": draw(6, 3), "y": draw(6, 3)}


# --- the proof ----------------------------------------------------------------------------------


USUAL = frozenset(
    [
        *(f"{name}_main" for name in RECIPES),
        *("expression_2v2_pretraining", "sketch_repair_pretraining", "occasional", "relativistic"),
        "followed",
        *("dcgan_SGD", "dcgan_fused_Adam", "wgan_gp_Adam", "algorithm_1_Adam"),
        "synthesis_together_fused_Adam",
    ]
)


def every_case() -> Iterator[tuple[str, Case]]:
    yield from recipe_cases()
    yield from parity_cases()
    yield "occasional", occasional()
    yield "relativistic", relativistic()
    yield "followed", followed()


Played = dict[str, tuple[Case, Any]]


def play_all(cases: Mapping[str, Case], folder: Path) -> Played:
    """Play cases by the engine; and, in one other process, alone."""
    for name, case in cases.items():
        (folder / f"{name}.py").write_text(case.played().source)
        torch.save(case.given, folder / f"{name}.pt")
    command = [sys.executable, str(Path(__file__).with_name("alone.py")), str(folder)]
    where = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=where)
    assert done.returncode == 0, done.stderr[-3000:]
    return {name: (case, torch.load(folder / f"{name}.out")) for name, case in cases.items()}


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    cases = {name: case for name, case in every_case() if name in USUAL}
    assert {*cases} == USUAL
    return play_all(cases, tmp_path_factory.mktemp("ejected"))


def assert_same(played: Played) -> None:
    for name, (case, found) in played.items():
        for player, module in case.modules.items():
            for key, value in module.state_dict().items():
                assert torch.equal(found[player][key], value), f"{name}: {player}.{key}"


def test_all_have_the_same_weights(played: Played) -> None:
    assert_same(played)


@pytest.mark.slow
def test_so_have_all_phases_and_all_optimizers(tmp_path: Path) -> None:
    assert_same(play_all({n: case for n, case in every_case() if n not in USUAL}, tmp_path))


def test_everybody_has_moved(played: Played) -> None:
    """Equality of idle modules proves nothing."""
    for case, _ in played.values():
        movers = {player.name for player in case.plan.schedule.players}
        assert_moved(case.before, case.modules, movers)


def write_all(played: Played, folder: Path) -> None:
    for name, (case, _) in played.items():
        (folder / f"{name}.py").write_text(case.source)


def told_by(*command: str) -> str:
    return subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True).stdout


def test_ruff_has_nothing_to_say(played: Played, tmp_path: Path) -> None:
    """As it comes, without a configuration."""
    write_all(played, tmp_path)
    assert told_by("ruff", "check", "--isolated", str(tmp_path)) == "All checks passed!\n"


@pytest.mark.slow
def test_mypy_has_nothing_to_say(played: Played, tmp_path: Path) -> None:
    """As it comes, without a configuration."""
    write_all(played, tmp_path)
    for path in tmp_path.glob("*.py"):
        said = told_by("mypy", "--config-file=", "--cache-dir", str(tmp_path / "cache"), str(path))
        assert said.startswith("Success"), said


def test_no_loop_names_nvn_but_in_words(played: Played) -> None:
    for case, _ in played.values():
        code = case.source.partition('"""\n\n')[2]
        assert "nvn" not in code
