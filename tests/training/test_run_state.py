"""Everything of a run that evolves is saved: found by walking it, not by a list of names."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nvn.checkpoint.folder import encode_parts, read, write
from nvn.engine.counters import Counters
from nvn.engine.optimizers import PlayerOptimizer
from nvn.recipe.build import PhaseData, make_engines
from nvn.streams import set_streams, streams
from nvn.training.progress import Best, Progress
from nvn.training.run_state import RunState
from tests.training.test_resume import rich
from tests.walking import differences


def run(steps: dict[str, int]) -> RunState:
    """A run with everything in it, after some steps of each phase."""
    torch.manual_seed(0)
    recipe = rich()
    engines = make_engines(recipe, seed=3)
    state = RunState(recipe, engines["main"].state, PhaseData(recipe))
    for phase in recipe.all_phases:
        engine, _ = engines[phase.name], state.data.of(phase)
        for _ in range(steps.get(phase.name, 0)):
            record = engine.step(state.data.of(phase))
            if phase.name == "main":
                engine.metric("drawn", record.objectives["D"])
                state.progress.best.setdefault("judge/score:max", Best()).waited += 1
                state.progress.metrics["look"] = {"drawn": record.objectives["D"]}
                state.progress.looked["evaluation/look"] = record.step
                state.progress.pictures["gray"] = f"{record.step}.png"
                state.progress.seconds += 1
                state.progress.written += 1
                state.progress.ended = "for the test"
    return state


def gone_on(parts: dict[str, Any], folder: Path) -> RunState:
    write(folder / "c", encode_parts(parts), {})
    found = read(folder / "c").parts
    state = run({})
    state.load_training(found)
    state.load_data(found)
    set_streams(found["run"]["streams"])
    return state


def evolved(state: RunState) -> list[str]:
    return [*differences((state.train, state.data, state.progress), _parts_of(run({})))]


def _parts_of(state: RunState) -> tuple[object, ...]:
    return state.train, state.data, state.progress


STEPS = {"warmup": 4, "main": 5}


def test_whatever_has_evolved_is_loaded(tmp_path: Path) -> None:
    state = run(STEPS)
    loaded = gone_on(state.parts(), tmp_path)
    assert [*differences(_parts_of(loaded), _parts_of(state))] == []


def test_it_has_evolved() -> None:
    """The walk above sees every part: each of these differs from what it was at the start."""
    found = "\n".join(evolved(run(STEPS)))
    for part in (
        *("counters/batches", "counters/draws", "counters/steps", "iterations", "records"),
        *("pasts", "_warmed", "G_ema", "G_old"),
        *("optimizer/state", "_last_lr", "_readings", "last_epoch", "running_mean", "running_var"),
        *("position", "metrics", "looked", "best", "pictures", "seconds", "written", "ended"),
    ):
        assert part in found, part


@pytest.mark.parametrize("part", ["optimizer", "counters", "progress"])
def test_a_new_field_that_is_not_saved_is_found(
    part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same with a field more somewhere, as somebody might add who does not know of saving."""
    if part == "optimizer":
        step = PlayerOptimizer.step

        def counting(self: Any, *args: Any, **options: Any) -> Any:
            self.taken = getattr(self, "taken", 0) + 1
            return step(self, *args, **options)

        monkeypatch.setattr(PlayerOptimizer, "step", counting)
    elif part == "counters":
        stepped = Counters.stepped

        def stepped_and_noted(self: Any, player: str) -> None:
            stepped(self, player)
            self.latest = player

        monkeypatch.setattr(Counters, "stepped", stepped_and_noted)
    state = run(STEPS)
    parts = state.parts()
    if part == "progress":
        del parts["run"]["progress"]["seconds"]
        parts["run"]["progress"]["seconds"] = 0.0
    assert [*differences(_parts_of(gone_on(parts, tmp_path)), _parts_of(state))]


def test_all_fields_of_progress_are_saved() -> None:
    progress = Progress(
        {"a": {"b": 1.0}}, {"c": "d"}, {"e": 1}, {"f": Best(1.0, 2, 3)}, "g", 4.0, 5
    )
    assert Progress.of_state(json.loads(json.dumps(progress.state_dict()))) == progress


def test_the_global_streams_go_on() -> None:
    def drawn() -> tuple[float, ...]:
        return random.random(), np.random.rand(), random.gauss(0, 1), torch.rand(()).item()

    drawn()
    before = streams()
    expected = drawn(), np.random.randn(), drawn()
    drawn()
    set_streams(before)
    assert (drawn(), np.random.randn(), drawn()) == expected


def test_the_state_says_where_it_is() -> None:
    assert run({}).place == ("warmup", 0)
    state = run(STEPS)
    assert (state.place, state.steps, state.game_steps) == (("main", 5), STEPS, 5)
