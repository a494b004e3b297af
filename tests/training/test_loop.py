import json
import math
import os
import random
import shutil
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

import nvn
from nvn.errors import ConfigError, DataError, GameError, IncompleteError, NvnWarning, RunError
from nvn.training import stopping
from nvn.training.fabric import make_fabric
from nvn.training.hooks import hook
from tests.tiny import DATA, Endless, Shift, square, tiny


@dataclass
class Diary:
    """A plugin that keeps what it was told."""

    told: list[str] = field(default_factory=list)

    @hook
    def run_started(self, seed: int) -> None:
        self.told.append(f"run {seed}")

    @hook
    def phase_started(self, phase: nvn.Phase) -> None:
        self.told.append(f"{phase.name} of {phase.steps}")

    @hook
    def step_done(self, phase: nvn.Phase, record: nvn.Record) -> None:
        self.told.append(f"{phase.name} {record.step}")

    @hook
    def evaluated(self, step: int, name: str) -> None:
        self.told.append(f"{name} at {step}")

    @hook
    def previewed(self, step: int, name: str, image: Image.Image) -> None:
        self.told.append(f"{name} at {step}")

    @hook
    def phase_finished(self, phase: nvn.Phase, step: int) -> None:
        self.told.append(f"{phase.name} ends at {step}")

    @hook
    def run_finished(self, run: nvn.Run) -> None:
        self.told.append(run.outcome)


class Signal:
    """A plugin that sends this process a signal after a step."""

    def __init__(self, number: int, step: int) -> None:
        self.number = number
        self.step = step

    @hook
    def step_done(self, phase: nvn.Phase, record: nvn.Record) -> None:
        if phase.name == "main" and record.step == self.step:
            os.kill(os.getpid(), self.number)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "run"


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def weights(folder: Path) -> dict[str, dict[str, Tensor]]:
    files = (folder / "checkpoints" / "final").glob("*.safetensors")
    return {path.stem: load_file(path) for path in files}


# --- what happens, in which order ---


def test_the_whole_course_of_a_run(out: Path) -> None:
    diary = Diary()
    run = nvn.train(tiny(), out=out, plugins=[diary], seed=3)
    warmup = ["warmup of 3", "warmup 1", "warmup 2", "warmup 3", "warmup ends at 3"]
    game = ["main of 6", "main 1", "main 2", "size at 2", "main 3", "main 4", "size at 4"]
    game += ["gray at 4", "main 5", "main 6", "main ends at 6", "size at 6", "gray at 6"]
    assert diary.told == ["run 3", *warmup, *game, "finished"]
    assert run.steps == {"warmup": 3, "main": 6}
    assert run.pictures == {"gray": out / "images" / "gray-000006.png"}


def test_the_folder_of_a_run(out: Path) -> None:
    run = nvn.train(tiny(), out=out, files={"config.yaml": "lr: 1\n"})
    assert sorted(path.name for path in out.iterdir()) == [
        ".lock",
        "checkpoints",
        "config.yaml",
        "game.svg",
        "images",
        "loop.py",
        "metrics.jsonl",
        "plan.txt",
        "report.html",
        "run.yaml",
    ]
    assert (out / "config.yaml").read_text() == "lr: 1\n"
    assert "phase warmup" in (out / "plan.txt").read_text()
    assert str(run.engine.plan) in (out / "plan.txt").read_text()
    assert [p.name for p in sorted((out / "images").iterdir())] == [
        "gray-000004.png",
        "gray-000006.png",
    ]
    about = yaml.safe_load((out / "run.yaml").read_text())
    assert (about["outcome"], about["steps"]) == ("finished", {"warmup": 3, "main": 6})
    assert about["metrics"] == {"size": dict(run.metrics["size"])}


def test_metrics_have_a_line_a_step_and_one_an_evaluation(out: Path) -> None:
    nvn.train(tiny(phases=[]), out=out)
    steps = [line for line in lines(out) if "evaluation" not in line]
    assert [line["step"] for line in steps] == [1, 2, 3, 4, 5, 6]
    assert set(steps[0]) == {"phase", "step", "energies", "objectives", "gradient_norms"}
    assert set(steps[0]["objectives"]) == set(steps[0]["gradient_norms"]) == {"G", "D"}
    order = [line.get("evaluation", line["step"]) for line in lines(out)]
    assert order == [1, 2, "size", 3, 4, "size", 5, 6, "size"]


def test_the_weights_written_are_the_modules(out: Path) -> None:
    run = nvn.train(tiny(), out=out)
    assert {name: set(state) for name, state in weights(out).items()} == {"G": {"by"}, "D": {"by"}}
    for name, module in run.engine.modules.items():
        assert torch.equal(weights(out)[name]["by"], module.by)  # type: ignore[arg-type]
        Shift().load_state_dict(weights(out)[name])


def test_the_very_modules_of_the_recipe_are_trained(out: Path) -> None:
    recipe = tiny()
    G = recipe.game.players["G"].module
    before = G.by.detach().clone()
    run = nvn.train(recipe, out=out)
    assert run.engine.modules["G"] is G
    assert not torch.equal(G.by, before)


def test_a_phase_before_the_game_moves_only_its_own(out: Path) -> None:
    class Watch:
        moved: tuple[bool, bool]

        @hook
        def run_started(self, engines: Mapping[str, nvn.Engine]) -> None:
            self.before = {n: m.by.detach().clone() for n, m in engines["main"].modules.items()}  # type: ignore

        @hook
        def phase_finished(self, phase: nvn.Phase, engine: nvn.Engine) -> None:
            if phase.name == "warmup":
                now = engine.modules
                self.moved = tuple(not torch.equal(now[n].by, self.before[n]) for n in "GD")  # type: ignore

    watch = Watch()
    nvn.train(tiny(), out=out, plugins=[watch])
    assert watch.moved == (True, False)


# --- seeds ---


def test_the_seed_decides_everything_if_the_recipe_is_built_after_it(tmp_path: Path) -> None:
    def final(seed: int, name: str) -> Tensor:
        run = nvn.train(tiny, seed=seed, out=tmp_path / name)
        return run.engine.modules["G"].by.detach().clone()  # type: ignore

    first = final(0, "a")
    assert torch.equal(first, final(0, "b"))
    assert not torch.equal(first, final(1, "c"))


def test_looking_changes_nothing(tmp_path: Path) -> None:
    def draw(engine: nvn.Engine) -> dict[str, float]:
        assert not engine.modules["G"].training
        torch.manual_seed(int(torch.rand(()).item() * 1000))
        engine.modules["D"].eval()
        return {"drawn": torch.rand(()).item()}

    def noisy(**changes: Any) -> nvn.Recipe:
        recipe = tiny(phases=[], previews=[], **changes)
        return recipe.replace(data=lambda: [{"x": torch.rand(2, 3)} for _ in range(50)], steps=8)

    drawn = nvn.Evaluation("draw", draw, every=1)
    seen = nvn.train(lambda: noisy(evaluations=[drawn]), out=tmp_path / "a")
    unseen = nvn.train(lambda: noisy(evaluations=[]), out=tmp_path / "b")
    assert torch.equal(seen.weights["G"]["by"], unseen.weights["G"]["by"])
    assert seen.engine.modules["D"].training
    drawn_numbers = {
        line["metrics"]["drawn"] for line in lines(tmp_path / "a") if "evaluation" in line
    }
    assert len(drawn_numbers) == 1  # every evaluation draws the same, so they compare


# --- ending early ---


def test_a_limit_of_steps_shortens_every_phase(out: Path) -> None:
    assert nvn.train(tiny(), out=out, max_steps=2).steps == {"warmup": 2, "main": 2}


def test_a_limit_of_time_still_evaluates(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(stopping, "time", SimpleNamespace(monotonic=lambda: now[0]))

    class Clock:
        @hook
        def step_done(self, phase: nvn.Phase, record: nvn.Record) -> None:
            if (phase.name, record.step) == ("main", 3):
                now[0] = 60.0

    long = tiny(steps=50, data=Endless(), evaluations=[])
    run = nvn.train(long, out=out, max_time=60, plugins=[Clock()])
    assert run.outcome == "out of time"
    assert run.steps["main"] == 3
    assert run.pictures


@pytest.mark.parametrize(
    ("number", "outcome"),
    [
        (signal.SIGINT, "interrupted"),
        *((n, "preempted") for n in (signal.SIGTERM, signal.SIGUSR1, signal.SIGXCPU)),
    ],
)
def test_a_signal_ends_the_run_after_the_step(out: Path, number: int, outcome: str) -> None:
    diary = Diary()
    run = nvn.train(tiny(), out=out, plugins=[Signal(number, 2), diary])
    assert run.outcome == outcome
    assert run.steps == {"warmup": 3, "main": 2}
    assert diary.told[-3:] == ["main 2", "main ends at 2", outcome]
    assert torch.equal(weights(out)["G"]["by"], run.engine.modules["G"].by)  # type: ignore
    assert [line["step"] for line in lines(out)] == [1, 2, 3, 1, 2]
    assert yaml.safe_load((out / "run.yaml").read_text())["outcome"] == outcome


def test_a_signal_ends_an_evaluation_at_once(out: Path) -> None:
    def slow(engine: nvn.Engine) -> dict[str, float]:
        os.kill(os.getpid(), signal.SIGINT)
        pytest.fail("went on")

    run = nvn.train(tiny(evaluations=[nvn.Evaluation("slow", slow, every=2)]), out=out)
    assert (run.outcome, run.steps["main"]) == ("interrupted", 2)
    assert weights(out)


def test_signals_while_saving_lose_nothing(out: Path) -> None:
    class Impatient:
        @hook
        def run_finished(self) -> None:
            for _ in range(3):
                os.kill(os.getpid(), signal.SIGINT)

    stop_after = Signal(signal.SIGINT, 2)
    run = nvn.train(tiny(), out=out, plugins=[stop_after, Impatient()])
    assert (run.outcome, run.steps["main"]) == ("interrupted", 2)
    assert yaml.safe_load((out / "run.yaml").read_text())["outcome"] == "interrupted"


def test_a_burst_of_signals_loses_nothing(out: Path) -> None:
    class Burst:
        @hook
        def step_done(self, phase: nvn.Phase, record: nvn.Record) -> None:
            if phase.name == "main":
                for _ in range(4):
                    os.kill(os.getpid(), signal.SIGINT)

    run = nvn.train(tiny(), out=out, plugins=[Burst()])
    assert (run.outcome, run.steps["main"]) == ("interrupted", 1)
    assert set(weights(out)) == {"G", "D"}


def test_a_signal_while_the_data_are_made(out: Path) -> None:
    def data() -> Any:
        os.kill(os.getpid(), signal.SIGINT)

    run = nvn.train(tiny(data=data), out=out)
    assert (run.outcome, run.steps) == ("interrupted", {})
    assert weights(out)


# --- what goes wrong ---


def test_an_error_in_the_recipes_code_is_raised_after_saving(out: Path) -> None:
    def data() -> Iterator[dict[str, Tensor]]:
        for _ in range(3 + 4):  # the warm-up's, and four of the game
            yield DATA[0]
        raise ZeroDivisionError("mine")

    diary = Diary()
    recipe = tiny(data=data)
    with pytest.raises(ZeroDivisionError, match="mine"):
        nvn.train(recipe, out=out, plugins=[diary])
    assert diary.told[-1] == "failed"
    assert torch.equal(weights(out)["G"]["by"], recipe.game.players["G"].module.by)
    assert lines(out)[-1]["step"] == 4
    about = yaml.safe_load((out / "run.yaml").read_text())
    assert (about["outcome"], about["error"]) == ("failed", "mine")


def test_an_objective_that_is_not_finite_ends_the_run_with_the_last_good_weights(out: Path) -> None:
    def data() -> Iterator[dict[str, Tensor]]:
        yield from DATA
        while True:
            yield {"x": torch.full((2, 3), math.nan)}

    recipe = tiny(data=data, phases=[], evaluations=[])
    with pytest.raises(RunError, match=r"objective of D is nan .* at step 5 of phase 'main'"):
        nvn.train(recipe, out=out)
    assert torch.isfinite(recipe.game.players["G"].module.by).all()  # they are given back
    assert all(torch.isfinite(state["by"]).all() for state in weights(out).values())
    assert lines(out)[4]["objectives"]["D"] is None  # JSON has no NaN


def test_a_full_disk_is_one_clear_error(out: Path) -> None:
    class Fill:
        @hook
        def run_started(self) -> None:
            (out / "metrics.jsonl").symlink_to("/dev/full")

    problem = r"cannot write .*metrics.jsonl: No space left on device"
    with pytest.raises(RunError, match=problem), pytest.warns(NvnWarning, match=problem):
        nvn.train(tiny(), out=out, plugins=[Fill()])
    assert weights(out)


def test_weights_that_cannot_be_saved_are_said(out: Path) -> None:
    (out / "checkpoints").parent.mkdir()

    class Block:
        @hook
        def run_started(self) -> None:
            (out / "checkpoints").touch()  # a file where the folder would be

    diary = Diary()
    with (
        pytest.raises(RunError, match="the weights could not be saved: cannot create") as caught,
        pytest.warns(NvnWarning, match="the checkpoint warmup-0000003 could not be saved"),
    ):
        nvn.train(tiny(), out=out, plugins=[Block(), diary])
    second = Path(str(caught.value).partition("They are in ")[2].partition(" instead")[0])
    assert {path.name for path in second.iterdir()} == {"G.safetensors", "D.safetensors"}
    shutil.rmtree(second)
    assert diary.told[-1] == "failed"
    about = yaml.safe_load((out / "run.yaml").read_text())
    assert about["outcome"] == "failed"
    assert "the weights could not be saved" in about["error"]
    assert [line.get("step") for line in lines(out)][-1] == 6


def test_a_second_error_does_not_hide_the_first(out: Path) -> None:
    def broken() -> Iterator[dict[str, Tensor]]:
        yield DATA[0]
        raise ZeroDivisionError

    class Unkind:
        @hook
        def run_finished(self) -> None:
            raise OSError("gone")

    with pytest.raises(ZeroDivisionError) as error:
        nvn.train(tiny(data=broken), out=out, plugins=[Unkind()])
    assert error.value.__notes__ == ["then: gone"]
    looks = [nvn.Evaluation("broken", fails)]
    with (
        pytest.warns(NvnWarning, match="evaluation 'broken' failed"),
        pytest.raises(IncompleteError) as incomplete,
    ):
        nvn.train(tiny(evaluations=looks), out=out / "other", plugins=[Unkind()])
    assert incomplete.value.__notes__ == ["then: gone"]


# --- what fails beside the training ---


def fails(engine: nvn.Engine) -> Any:
    raise ZeroDivisionError("mine")


def test_an_evaluation_that_fails_is_named_and_the_run_goes_on(out: Path) -> None:
    looks = [nvn.Evaluation("broken", fails, every=2), *tiny().evaluations]
    diary = Diary()
    with (
        pytest.warns(NvnWarning, match="evaluation 'broken' failed at step 2 of") as told,
        pytest.raises(IncompleteError, match="evaluation 'broken' failed: Zero.*mine") as error,
    ):
        nvn.train(tiny(evaluations=looks), out=out, plugins=[diary])
    assert len(told) == 1  # not at every look
    assert "in fails\n    raise ZeroDivisionError" in str(told[0].message)
    assert "evaluating.py" not in str(told[0].message)
    assert isinstance(error.value.__cause__, ZeroDivisionError)
    assert {"size at 4", "gray at 4", "main 6", "size at 6"} <= set(diary.told)
    about = yaml.safe_load((out / "run.yaml").read_text())
    assert (about["outcome"], about["steps"]["main"]) == ("failed", 6)
    assert "evaluation 'broken' failed" in about["error"]
    # Mended, it goes on: what is missing is done, and nothing else.
    again = Diary()
    looks = [nvn.Evaluation("broken", lambda _: {"a": 1}), *tiny().evaluations]
    run = nvn.train(tiny(evaluations=looks), resume=out, plugins=[again])
    assert (run.outcome, run.metrics["broken"]) == ("finished", {"a": 1.0})
    assert not [told for told in again.told if told.startswith("main 6")]


def test_a_preview_that_fails_once_leaves_a_finished_run_and_is_told(out: Path) -> None:
    def first(engine: nvn.Engine) -> Image.Image:
        if engine.state.iterations["main"] == 4:
            raise ValueError("not yet")
        return Image.new("L", (2, 2))

    with (
        pytest.warns(NvnWarning, match="preview 'early' failed at step 4"),
        pytest.raises(IncompleteError, match="preview 'early' failed: ValueError: not yet"),
    ):
        nvn.train(tiny(previews=[nvn.Preview("early", first, every=4)]), out=out)
    assert yaml.safe_load((out / "run.yaml").read_text())["outcome"] == "finished"
    assert [path.name for path in (out / "images").iterdir()] == ["early-000006.png"]


def test_what_returns_something_else_is_named_too(out: Path) -> None:
    looks = [nvn.Evaluation("odd", lambda _: [1])]  # type: ignore[arg-type, return-value]
    with (
        pytest.warns(NvnWarning, match="expected a dict of numbers"),
        pytest.raises(IncompleteError, match="evaluation 'odd' failed"),
    ):
        nvn.train(tiny(evaluations=looks), out=out)


def test_evaluations_and_previews_have_no_gradients_unless_they_ask(out: Path) -> None:
    seen = []

    def look(engine: nvn.Engine) -> dict[str, float]:
        seen.append(torch.is_grad_enabled())
        with torch.enable_grad():
            seen.append(torch.is_grad_enabled())
        gradients = engine.gradients(DATA[0], ["G"])["G"]
        return {"norm": float(gradients["by"].norm())}

    def draw(engine: nvn.Engine) -> Image.Image:
        seen.append(torch.is_grad_enabled())
        return Image.new("L", (2, 2))

    looks: dict[str, Any] = {
        "evaluations": [nvn.Evaluation("look", look)],
        "previews": [nvn.Preview("draw", draw)],
    }
    assert nvn.train(tiny(**looks), out=out).metrics["look"]["norm"] > 0
    assert seen == [False, True, False]
    assert torch.is_grad_enabled()


# --- pictures of earlier phases ---


def test_a_preview_is_made_in_earlier_phases_and_as_the_game_begins(out: Path) -> None:
    seen: list[tuple[str, int, str]] = []

    class Seen:
        @hook
        def previewed(self, phase: str, step: int, path: Path) -> None:
            seen.append((phase, step, path.name))
            assert path.is_file()

    early = nvn.Preview("gray", tiny().previews[0].fn, every=4, early={"warmup": 2})
    run = nvn.train(tiny(previews=[early]), out=out, plugins=[Seen()])
    assert seen == [
        ("warmup", 0, "gray-warmup-000000.png"),
        ("warmup", 2, "gray-warmup-000002.png"),
        ("main", 0, "gray-000000.png"),
        ("main", 4, "gray-000004.png"),
        ("main", 6, "gray-000006.png"),
    ]
    assert run.pictures == {"gray": out / "images" / "gray-000006.png"}
    assert (
        nvn.train(partial(tiny, previews=[early]), out=out / "more", seed=1)
        .weights["G"]["by"]
        .equal(nvn.train(tiny, out=out / "without", seed=1).weights["G"]["by"])
    )


def test_a_folder_in_use_is_never_written_to(out: Path) -> None:
    out.mkdir()
    (out / "thesis.tex").touch()
    with pytest.raises(RunError, match="is not empty"):
        nvn.train(tiny(), out=out)
    assert [path.name for path in out.iterdir()] == ["thesis.tex"]


def test_two_runs_have_two_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folders = {nvn.train(tiny(), max_steps=1).folder for _ in range(3)}
    assert len(folders) == 3
    assert all(folder.parent == Path("runs/tiny") for folder in folders)


def test_data_that_do_not_fit_are_found_before_anything_is_trained(out: Path) -> None:
    game = tiny()
    late = game.replace(phases=[nvn.Phase("warmup", game.schedule, 3, data=DATA)], data=[{"y": 1}])
    diary = Diary()
    with pytest.raises(GameError, match="the batch has no 'x'"):
        nvn.train(late, out=out, plugins=[diary])
    assert diary.told == ["run 0", "failed"]


def test_data_are_made_once_and_shared_by_phases(out: Path) -> None:
    made = []

    def data() -> Any:
        made.append(True)
        return DATA

    nvn.train(tiny(data=data), out=out)
    assert made == [True]


def test_data_that_end_for_good(out: Path) -> None:
    with pytest.raises(DataError, match="cannot be read again"):
        nvn.train(tiny(data=iter(DATA)), out=out)


@pytest.mark.parametrize("seed", [-1, 2**63, 10**23])
def test_a_seed_that_is_none(out: Path, seed: int) -> None:
    with pytest.raises(ConfigError, match=f"seed = {seed}: expected an integer"):
        nvn.train(tiny(), out=out, seed=seed)


def test_a_limit_below_one_step(out: Path) -> None:
    with pytest.raises(ConfigError, match="max_steps = 0"):
        nvn.train(tiny(), out=out, max_steps=0)


# --- learning rates that wait for a metric ---


@pytest.mark.parametrize("metric", ["norm", "G", "hold(G(x))"])
def test_a_plateau_hears_evaluations_objectives_and_energies(out: Path, metric: str) -> None:
    plateau = nvn.Plateau(metric, mode="max", factor=0.5, patience=0)  # all of them fall
    sgd = partial(torch.optim.SGD, lr=0.1)
    recipe = tiny(optimizers=nvn.Optimizer(sgd, schedule=plateau), phases=[], data=[DATA[0]])
    run = nvn.train(recipe, out=out)
    assert run.engine.state.optimizers["G"].optimizer.param_groups[0]["lr"] < 0.1


def test_a_plateau_on_a_metric_that_nothing_gives(out: Path) -> None:
    optimizer = nvn.Optimizer(partial(torch.optim.SGD, lr=0.1), schedule=nvn.Plateau("norn"))
    problem = "'norn', which nothing reports. Metrics of a step: D, G"
    with pytest.raises(ConfigError, match=problem):
        nvn.train(tiny(optimizers=optimizer, evaluations=[]), out=out)


# --- devices and precisions ---


@pytest.mark.parametrize(
    ("precision", "dtype"),
    [("32-true", torch.float32), ("64-true", torch.float64), ("bf16-mixed", torch.float32)],
)
def test_every_precision_trains(out: Path, precision: str, dtype: torch.dtype) -> None:
    run = nvn.train(tiny(), out=out, fabric=make_fabric("cpu", precision=precision))
    assert run.weights["G"]["by"].dtype == dtype
    assert run.outcome == "finished"


def test_training_is_descent(out: Path) -> None:
    """The loop does what it says: a player alone goes down its own objective."""
    game = nvn.Game("alone")
    G = game.player("G", Shift())
    G.minimizes(nvn.energy(square)(G(game.batch("x"))))
    sgd = partial(torch.optim.SGD, lr=0.5)
    alone = tiny(game=game, schedule=nvn.alternating(G), phases=[], evaluations=[], steps=60)
    run = nvn.train(alone.replace(optimizers=sgd, data=[DATA[1]]), out=out)
    assert torch.allclose(run.weights["G"]["by"], torch.full((3,), -1.0), atol=1e-5)


def test_the_callers_random_streams_go_on_as_before(out: Path) -> None:
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    expected = random.random(), np.random.rand(), torch.rand(()).item()
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    nvn.train(tiny, out=out)
    assert (random.random(), np.random.rand(), torch.rand(()).item()) == expected


def test_what_an_evaluation_draws_changes_no_training(tmp_path: Path) -> None:
    """From Python's and NumPy's streams too, which data may draw from."""

    def drawing(engine: nvn.Engine) -> dict[str, float]:
        return {"drawn": random.random() + np.random.rand()}

    def data() -> Iterator[dict[str, Tensor]]:
        while True:
            yield {"x": torch.full((2, 3), random.random() + np.random.rand())}

    for name, every in (("a", 1), ("b", None)):
        looks = [nvn.Evaluation("look", drawing, every=every)]
        nvn.train(partial(tiny, data=data, evaluations=looks), out=tmp_path / name)
    steps = [[x for x in lines(tmp_path / n) if "phase" in x] for n in "ab"]
    assert steps[0] == steps[1]
    drawn = {x["metrics"]["drawn"] for x in lines(tmp_path / "a") if "evaluation" in x}
    assert len(drawn) == 1


def test_a_function_that_builds_a_recipe_is_called_without_arguments(tmp_path: Path) -> None:
    def of_config(config: nvn.Config) -> nvn.Recipe:
        return tiny()

    with pytest.raises(ConfigError, match=r"cannot be called without arguments: .*'config'"):
        nvn.train(of_config, out=tmp_path / "a")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="returned int, not an nvn.Recipe"):
        nvn.train(lambda: 3, out=tmp_path / "a")  # type: ignore[arg-type, return-value]
    with pytest.raises(ConfigError, match="found str, expected nvn.Recipe"):
        nvn.train("game.py", out=tmp_path / "a")  # type: ignore[arg-type]
    assert not (tmp_path / "a").exists()
