"""Looks at who pulls in a run: what is written, when, and that nothing else changes."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import nvn
from nvn.engine.engine import Engine
from nvn.training.looks import Kept, read_every
from tests.small import assert_same, square, tensor
from tests.tiny import tiny


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def pulls(folder: Path) -> list[dict[str, Any]]:
    return [line for line in lines(folder) if "pulls" in line]


def test_a_look_is_a_line_after_its_step_s(tmp_path: Path) -> None:
    nvn.train(tiny(), out=tmp_path / "run", pulls_every=2)
    found = pulls(tmp_path / "run")
    assert [(line["phase"], line["step"]) for line in found] == [
        ("warmup", 2),
        ("main", 2),
        ("main", 4),
        ("main", 6),
    ]
    assert found[1]["pulls"].keys() == {"D", "G"}
    assert found[1]["pulls"]["G"].keys() == {"hold(G(x))", "pull(G(x), D(x))"}
    every = lines(tmp_path / "run")
    for line in found:
        before = every[every.index(line) - 1]
        assert (before["phase"], before["step"]) == (line["phase"], line["step"])


def test_off_is_off_and_by_default_short_runs_are_not_looked_at(tmp_path: Path) -> None:
    nvn.train(tiny(), out=tmp_path / "off", pulls_every="off")
    nvn.train(tiny(), out=tmp_path / "auto")
    assert not pulls(tmp_path / "off")
    assert not pulls(tmp_path / "auto")


class Noisy(nn.Module):
    """Buffers, spectral norm, dropout, and Python's own state."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(3, 8),
            nn.BatchNorm1d(8),
            nn.Dropout(0.5),
            nn.utils.parametrizations.spectral_norm(nn.Linear(8, outputs)),
        )
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return self.layers(x)


def noisy() -> nvn.Recipe:
    game = nvn.Game("noisy")
    x = game.batch("x")
    G, D = game.player("G", Noisy(3)), game.player("D", Noisy(1))
    fake = G(game.noise("z", 3, like=x))
    fool = square(D(fake))
    G.minimizes(fool + square(fake))
    D.minimizes(square(D(x)) - 0.1 * fool)
    return nvn.Recipe(
        name="noisy",
        game=game,
        schedule=nvn.alternating(nvn.move(D, times=2, fresh=True), G),
        optimizers=partial(torch.optim.Adam, lr=0.01),
        data=nvn.data.TensorBatches({"x": tensor(64, 3)}, batch_size=8),
        steps=12,
    )


def test_training_is_the_same_to_the_bit(tmp_path: Path) -> None:
    states = []
    for every in (1, 3, "off"):
        run = nvn.train(noisy, out=tmp_path / str(every), pulls_every=every, seed=5)
        states.append((run.engine.state_dict(), torch.get_rng_state()))
    assert_same(states[0], states[2])
    assert_same(states[1], states[2])
    steps = [[x for x in lines(tmp_path / str(e)) if "pulls" not in x] for e in (1, "off")]
    assert steps[0] == steps[1]


def test_a_player_with_one_energy_is_not_looked_at_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    original = Engine.pulls

    def spied(self: Engine, batch: Any, players: Any = None, **options: Any) -> nvn.Pulls:
        asked.append(players)
        return original(self, batch, players, **options)

    monkeypatch.setattr(Engine, "pulls", spied)
    nvn.train(tiny(), out=tmp_path / "run", pulls_every=3)
    assert asked == [["G"], ["D", "G"], ["D", "G"]]

    def alone() -> nvn.Recipe:
        game = nvn.Game("alone")
        x = game.batch("x")
        f = game.player("f", nn.Linear(3, 1))
        f.minimizes(2.0 * square(f(x)).named("e"))
        return tiny(game=game, schedule=nvn.alternating(f), phases=[], evaluations=[], previews=[])

    nvn.train(alone, out=tmp_path / "alone", pulls_every=3)
    assert len(asked) == 3
    steps = {x["step"]: x for x in lines(tmp_path / "alone") if "pulls" not in x}
    found = pulls(tmp_path / "alone")
    assert len(found) == 2
    for line in found:
        assert line["pulls"]["f"]["e"]["norm"] == steps[line["step"]]["gradient_norms"]["f"]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (torch.OutOfMemoryError("no 3 GiB left\nlong advice"), "no 3 GiB left"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "DefaultCPU.* memory"),
        (MemoryError(), "memory has run out"),
    ],
)
def test_a_look_that_finds_no_memory_is_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    def full(*_: Any, **__: Any) -> nvn.Pulls:
        raise error

    monkeypatch.setattr(Engine, "pulls", full)
    with pytest.warns(nvn.NvnWarning, match=f"no longer: {said}. Training goes on") as caught:
        run = nvn.train(tiny(), out=tmp_path / "run", pulls_every=1)
    assert len(caught) == 1
    assert run.outcome == "finished"
    assert not pulls(tmp_path / "run")


def test_another_failure_of_a_look_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> nvn.Pulls:
        raise RuntimeError("sizes do not match")

    monkeypatch.setattr(Engine, "pulls", broken)
    with pytest.raises(RuntimeError, match="sizes do not match"):
        nvn.train(tiny(), out=tmp_path / "run", pulls_every=1)


def test_a_run_goes_on_with_looking_as_it_did(tmp_path: Path) -> None:
    whole = nvn.train(noisy, out=tmp_path / "whole", pulls_every=3)
    saving = nvn.Saving(steps=1)
    nvn.train(noisy, out=tmp_path / "half", pulls_every=3, max_steps=7, saving=saving)
    nvn.train(noisy, resume=tmp_path / "half", pulls_every=3, max_steps=12)
    assert (tmp_path / "half/metrics.jsonl").read_text() == (
        whole.folder / "metrics.jsonl"
    ).read_text()


def shifted(x: torch.Tensor) -> torch.Tensor:
    return x + 1


def test_no_weight_is_asked_for_of_steps_that_never_come(tmp_path: Path) -> None:
    weights = [1.0, 2.0, 0.0, 4.0]

    def ramp() -> nvn.Recipe:
        game = nvn.Game("ramp")
        x = game.batch("x")
        f = game.player("f", nn.Linear(3, 1))
        f.minimizes(
            square(f(x)).named("a")
            + weights.__getitem__ * square(f(nvn.value(shifted)(x))).named("b")
        )
        return tiny(
            game=game,
            schedule=nvn.alternating(f),
            steps=4,
            phases=[],
            evaluations=[],
            previews=[],
        )

    nvn.train(ramp, out=tmp_path / "run", pulls_every=1)
    found = [[*line["pulls"]["f"]] for line in pulls(tmp_path / "run")]
    assert found == [["a", "b"], ["a", "b"], ["a"], ["a", "b"]]


def test_plugins_are_told(tmp_path: Path) -> None:
    seen = []

    class Plugin:
        @nvn.plugins.hook
        def pulled(self, phase: nvn.Phase, pulls: nvn.Pulls) -> None:
            seen.append((phase.name, pulls.step, [*pulls.players]))

    nvn.train(tiny(), out=tmp_path / "run", plugins=[Plugin()], pulls_every=4)
    assert seen == [("main", 4, ["D", "G"])]


@pytest.mark.parametrize("every", [0, -1, True, "never", 2.5, None])
def test_what_cannot_be_is_told(every: Any, tmp_path: Path) -> None:
    with pytest.raises(nvn.ConfigError, match=r'pulls_every = .*: expected .* "auto" or "off"'):
        nvn.train(tiny(), out=tmp_path / "run", pulls_every=every)
    with pytest.raises(nvn.ConfigError):
        read_every(str(every))


def test_the_first_batch_is_kept() -> None:
    kept = Kept(iter([{"x": 1}, {"x": 2}]))
    assert kept.first is None
    assert [*kept] == [{"x": 1}, {"x": 2}]
    assert kept.first == {"x": 1}
