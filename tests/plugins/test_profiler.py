"""The profiler: every instruction of the loop, measured, and the trace that shows it."""

import json
from pathlib import Path

import pytest
from nvn_plugins.profiler import Profiler, Settings

import nvn
from tests.plugins.games import picture_game


def test_a_table_and_a_trace_have_each_instruction(tmp_path: Path) -> None:
    profiler = Profiler(Settings(after=1, steps=2))
    recipe = picture_game()
    run = nvn.train(recipe, out=tmp_path / "run", plugins=[profiler])
    program = run.engine.plan.program(run.engine.plan.whole)
    found = [row.text for row in profiler.rows.values()]
    texts = [str(x) for x in program.instructions]
    assert found == [text for text in texts if text in found]  # in the order of the loop
    assert {"G_z = G(z)", "step D", "step G"} <= {*found, "G_z = G(z)"}
    assert all(row.calls == 2 for row in profiler.rows.values())
    assert sum(row.microseconds for row in profiler.rows.values()) > 0
    table = (run.folder / "profile.txt").read_text()
    assert "step G" in table
    assert [line[0] for line in table.splitlines() if line[0] != " "] == ["D", "G"]
    trace = json.loads((run.folder / "profile.json").read_text())
    names = {event.get("name") for event in trace["traceEvents"]}
    assert "nvn: D: step D" in names
    assert any(str(name).startswith("aten::") for name in names)


def test_the_loop_is_as_before_afterwards(tmp_path: Path) -> None:
    plain = nvn.train(picture_game, out=tmp_path / "plain", seed=3)
    measured = nvn.train(
        picture_game, out=tmp_path / "run", seed=3, plugins=[Profiler(Settings(after=0, steps=2))]
    )
    for name, weights in plain.weights.items():
        for key, value in weights.items():
            assert bool((measured.weights[name][key] == value).all())
    assert "run.inside" not in measured.engine._steady.play.source  # type: ignore[union-attr]


def test_a_run_that_is_shorter_is_measured_as_far_as_it_goes(tmp_path: Path) -> None:
    profiler = Profiler(Settings(after=4, steps=100))
    nvn.train(picture_game(), out=tmp_path / "run", plugins=[profiler])
    assert {row.calls for row in profiler.rows.values()} == {2}


def test_another_phase_is_not_measured(tmp_path: Path) -> None:
    profiler = Profiler(Settings(phase="warmup"))
    nvn.train(picture_game(), out=tmp_path / "run", plugins=[profiler])
    assert not profiler.rows
    assert not (tmp_path / "run" / "profile.txt").exists()
    with pytest.raises(nvn.ConfigError, match="steps = 0"):
        Settings.build(settings={"steps": 0})
