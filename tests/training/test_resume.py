"""A run that was killed anywhere goes on to what it would have become, to the bit."""

import itertools
import json
import os
import re
import shutil
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn

import nvn
from nvn import energies as en
from nvn.errors import ConfigError, IncompleteError, NvnError, NvnWarning, RunError
from nvn.training.hooks import hook
from nvn.training.saving import Saving
from tests.killing import die, die_at_file_event, file_events, in_child

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="children by fork")

EACH_STEP = Saving(steps=1)


class KillAt:
    """A plugin that kills the process when a hook of a name is called for the `at`-th time."""

    def __init__(self, name: str, at: int) -> None:
        self.left = {name: at}

    @hook
    def run_started(self) -> None:
        self._count("run_started")

    @hook
    def step_done(self) -> None:
        self._count("step_done")

    @hook
    def evaluated(self) -> None:
        self._count("evaluated")

    @hook
    def previewed(self) -> None:
        self._count("previewed")

    @hook
    def phase_finished(self) -> None:
        self._count("phase_finished")

    @hook
    def run_finished(self) -> None:
        self._count("run_finished")

    def _count(self, name: str) -> None:
        if name in self.left:
            self.left[name] -= 1
            if self.left[name] == 0:
                die()


def net(inputs: int, outputs: int) -> nn.Module:
    layers = [nn.Linear(inputs, 8), nn.BatchNorm1d(8), nn.LeakyReLU(0.2), nn.Dropout(0.3)]
    return nn.Sequential(*layers, nn.Linear(8, outputs))


hold = nvn.energy(lambda x: (x**2).mean(), name="hold")


def rich(**changes: Any) -> nvn.Recipe:
    """Noise, dropout, BatchNorm, lazy moves, a plateau, a schedule, a phase, looks that draw.

    And an average, earlier selves, groups of parameters, warm-up.
    """
    game = nvn.Game("rich")
    x = game.batch("x")
    z = game.noise("z", (3,), like=x)
    G, D = game.player("G", net(3, 2)), game.player("D", net(2, 1))
    fake = G(z)
    game.average("G_ema", G, half_life=10, buffers="average")
    old = game.past("G_old", G, every=2, keep=2)
    G.minimizes(en.mse(D(fake), D(x)))
    D.minimizes(hold(D(x)) - 0.5 * en.mse(D(fake), D(x)) + 0.1 * hold(D(old(z))))
    schedule = nvn.alternating(
        nvn.move(D, times=2),
        nvn.move(G, when=lambda record: record.objectives["D"] > 0.1),
        nvn.move(D, toward=1.0 * en.r1(D(x), x), every=2),
    )
    adam = partial(torch.optim.Adam, lr=0.01, betas=(0.5, 0.9))
    halved = partial(torch.optim.lr_scheduler.StepLR, step_size=4, gamma=0.5)
    complete = nvn.Recipe(
        name="rich",
        game=game,
        schedule=schedule,
        optimizers={
            "G": nvn.Optimizer(adam, schedule=halved, warmup=20),
            "D": nvn.Optimizer(
                adam,
                schedule=nvn.Plateau("drawn", patience=0, every=2),
                clip_norm=0.5,
                groups={"*.bias": {"lr": 0.02}},
            ),
        },
        data=lambda: nvn.data.TensorBatches({"x": torch.randn(20, 2)}, 4),
        steps=9,
        phases=[nvn.Phase("warmup", nvn.alternating(G), 4)],
        evaluations=[nvn.Evaluation("look", look, every=3), nvn.Evaluation("end", look)],
        previews=[nvn.Preview("gray", gray, every=4)],
    )
    return complete.replace(**changes)


def look(engine: nvn.Engine) -> dict[str, float]:
    weights = next(engine.modules["G"].parameters())
    return {"drawn": torch.rand(()).item() + weights.detach().abs().sum().item()}


def gray(engine: nvn.Engine) -> Image.Image:
    return Image.new("L", (2, 2), round(255 * torch.rand(()).item()))


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def weights(folder: Path) -> dict[str, dict[str, Tensor]]:
    files = (folder / "checkpoints" / "final").glob("*.safetensors")
    return {path.stem: load_file(path) for path in files}


def about(folder: Path) -> dict[str, Any]:
    return dict(yaml.safe_load((folder / "run.yaml").read_text()))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "checkpoints").iterdir())


def assert_same(first: Path, second: Path) -> None:
    """The same lines of metrics, the same pictures, the same weights, to the bit."""
    assert (first / "metrics.jsonl").read_text() == (second / "metrics.jsonl").read_text()
    for picture in (first / "images").iterdir():
        assert picture.read_bytes() == (second / "images" / picture.name).read_bytes()
    one, other = weights(first), weights(second)
    assert one.keys() == other.keys()
    for player, state in one.items():
        assert state.keys() == other[player].keys()
        for name, tensor in state.items():
            assert torch.equal(tensor, other[player][name]), (player, name)
    assert about(first)["metrics"] == about(second)["metrics"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that was never killed."""
    out = tmp_path_factory.mktemp("whole") / "run"
    nvn.train(rich, out=out, seed=3)
    return out


def killed(out: Path, *plugins: object, saving: Saving = EACH_STEP, **options: Any) -> None:
    """Train in a child that kills itself."""
    work = partial(train, out=out, plugins=plugins, saving=saving, **options)
    assert in_child(work) == -9


def train(recipe: Callable[[], nvn.Recipe] = rich, **options: Any) -> nvn.Run:
    return nvn.train(recipe, seed=3, **options)


# --- killed anywhere ---

MOMENTS = [
    *(("step_done", at) for at in range(1, 14)),
    *(("evaluated", at) for at in (1, 2, 3, 4)),
    *(("previewed", at) for at in (1, 2, 3)),
    *(("phase_finished", at) for at in (1, 2)),
    *(("run_started", 1), ("run_finished", 1)),
]


@pytest.mark.parametrize(("name", "at"), MOMENTS)
@pytest.mark.filterwarnings("ignore:no checkpoint had been written yet")
def test_a_run_killed_in_any_hook_goes_on_as_if_it_were_not(
    whole: Path, tmp_path: Path, name: str, at: int
) -> None:
    killed(tmp_path / "run", KillAt(name, at))
    run = train(resume=tmp_path / "run")
    assert run.outcome == "finished"
    assert_same(whole, tmp_path / "run")
    first = "finished" if name == "run_finished" else "killed"  # by then all is written
    assert [part["why"] for part in about(tmp_path / "run")["parts"]] == [first, "finished"]


def dying(out: Path, number: int) -> None:
    die_at_file_event(number, out)
    train(out=out, saving=Saving(steps=2))


def assert_survives(whole: Path, out: Path, number: int) -> None:
    """Killed at a file event, and again at the same one of the next part, a run ends the same."""
    if in_child(partial(dying, out, number)) == 0:
        return  # it was over before
    if not (out / "run.yaml").exists():
        return  # killed before there was a run
    again = partial(train, resume=out, saving=Saving(steps=2))

    def dying_again() -> None:
        die_at_file_event(number, out)
        again()

    in_child(dying_again)
    assert again().outcome == "finished"
    assert_same(whole, out)
    assert not [path for path in out.rglob(".*") if path.name.endswith(".tmp")]


@pytest.mark.filterwarnings("ignore:no checkpoint had been written yet")
def test_a_run_killed_while_it_writes_loses_nothing(whole: Path, tmp_path: Path) -> None:
    """At a sample of all the moments at which a file is opened, made, renamed or removed."""
    total = file_events(partial(train, out=tmp_path / "count", saving=Saving(steps=2)), tmp_path)
    assert total > 100
    for number in range(7, total, total // 12):
        assert_survives(whole, tmp_path / str(number), number)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:no checkpoint had been written yet")
def test_a_run_killed_at_every_file_event_loses_nothing(whole: Path, tmp_path: Path) -> None:
    total = file_events(partial(train, out=tmp_path / "count", saving=Saving(steps=2)), tmp_path)
    for number in range(1, total + 1):
        assert_survives(whole, tmp_path / str(number), number)


@pytest.mark.parametrize("saving", [Saving(), Saving(steps=4), Saving(seconds=1e-9)])
def test_however_often_it_saves(whole: Path, tmp_path: Path, saving: Saving) -> None:
    killed(tmp_path / "run", KillAt("step_done", 11), saving=saving)
    train(resume=tmp_path / "run", saving=saving)
    assert_same(whole, tmp_path / "run")


@pytest.mark.filterwarnings("ignore:no checkpoint had been written yet")
def test_a_run_may_be_killed_again_and_again(whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    killed(out, KillAt("step_done", 3))
    for at in (2, 1, 4, 1):
        work = partial(train, resume=out, saving=EACH_STEP, plugins=[KillAt("step_done", at)])
        assert in_child(work) == -9
    train(resume=out)
    assert_same(whole, out)
    parts = about(out)["parts"]
    assert [part["why"] for part in parts] == [*["killed"] * 5, "finished"]
    assert all("started" in part for part in parts)


def test_what_was_written_after_the_checkpoint_is_kept_aside(whole: Path, tmp_path: Path) -> None:
    killed(tmp_path / "run", KillAt("evaluated", 2), saving=Saving(steps=4))
    later = lines(tmp_path / "run")[-1]
    train(resume=tmp_path / "run")
    aside = (tmp_path / "run" / "metrics.jsonl.cut").read_text().splitlines()
    assert json.loads(aside[-1]) == later
    assert_same(whole, tmp_path / "run")


# --- ended by a signal, by the clock, by an error ---


class Send:
    """A plugin that sends this process a signal in a hook, for the `at`-th time."""

    def __init__(self, number: int, at: int, times: int = 1) -> None:
        self.number = number
        self.at = at
        self.times = times

    @hook
    def step_done(self) -> None:
        self.at -= 1
        if self.at == 0:
            for _ in range(self.times):
                os.kill(os.getpid(), self.number)


@pytest.mark.parametrize("at", [2, 4, 7, 12, 13])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGUSR1])
def test_a_run_ended_by_a_signal_loses_no_step(
    whole: Path, tmp_path: Path, number: int, at: int
) -> None:
    out = tmp_path / "run"
    run = train(out=out, plugins=[Send(number, at)])
    assert sum(run.steps.values()) == at
    phase, step = list(run.steps.items())[-1]
    assert f"{phase}-{step:07d}" in names(out)
    train(resume=out)
    assert_same(whole, out)


def test_a_signal_in_an_evaluation_loses_neither_step_nor_line(tmp_path: Path) -> None:
    def noisy(often: bool) -> nvn.Recipe:
        def interrupted(engine: nvn.Engine) -> dict[str, float]:
            if often:
                os.kill(os.getpid(), signal.SIGINT)
            return look(engine)

        evaluations = [
            nvn.Evaluation(name, fn, every=3) for name, fn in (("a", look), ("b", interrupted))
        ]
        return rich(optimizers=partial(torch.optim.SGD, lr=0.01), evaluations=evaluations)

    train(partial(noisy, False), out=tmp_path / "whole")
    run = train(partial(noisy, True), out=tmp_path / "run")
    assert (run.outcome, run.steps["main"]) == ("interrupted", 3)
    assert lines(tmp_path / "run")[-1]["evaluation"] == "a"
    train(partial(noisy, False), resume=tmp_path / "run")
    assert_same(tmp_path / "whole", tmp_path / "run")
    assert not (tmp_path / "run" / "metrics.jsonl.cut").exists()


class Impatient(nn.Linear):
    """A module that is interrupted twice in its `at`-th call, as by two times Ctrl-C."""

    calls = itertools.count(1)  # of the class: what changes in a module is its state
    at = -1

    def forward(self, x: Tensor) -> Tensor:
        if next(self.calls) == self.at:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
        return super().forward(x)


def test_a_step_that_is_interrupted_is_played_again(tmp_path: Path) -> None:
    """The second signal ends a step in the middle: the last whole state is gone on from."""

    def impatient(at: int) -> nvn.Recipe:
        game = nvn.Game("impatient")
        x = game.batch("x")
        f, g = game.player("f", Impatient(2, 2)), game.player("g", nn.Linear(2, 2))
        Impatient.calls, Impatient.at = itertools.count(1), at
        f.minimizes(hold(f(x)))
        g.minimizes(hold(g(f(x))))
        schedule, sgd = nvn.alternating(g, f), partial(torch.optim.SGD, lr=0.1)
        looks: dict[str, Any] = {"phases": [], "evaluations": [], "optimizers": sgd}
        return rich(game=game, schedule=schedule, **looks)

    train(partial(impatient, -1), out=tmp_path / "whole")
    run = train(partial(impatient, 8), out=tmp_path / "run", saving=EACH_STEP)
    assert run.outcome == "interrupted"
    train(partial(impatient, -1), resume=tmp_path / "run")
    assert_same(tmp_path / "whole", tmp_path / "run")


def test_an_error_in_an_evaluation_loses_no_step(whole: Path, tmp_path: Path) -> None:
    def broken(fails: bool) -> nvn.Recipe:
        def evaluation(engine: nvn.Engine) -> dict[str, float]:
            if fails and engine.state.iterations["main"] == 6:
                raise ZeroDivisionError
            return look(engine)

        recipe = rich()
        looks = [nvn.Evaluation("look", evaluation, every=3), recipe.evaluations[1]]
        return recipe.replace(evaluations=looks)

    with (
        pytest.warns(NvnWarning, match="evaluation 'look' failed at step 6"),
        pytest.raises(IncompleteError),
    ):
        train(partial(broken, True), out=tmp_path / "run")
    ours, theirs = weights(whole), weights(tmp_path / "run")
    assert all(torch.equal(ours[p][n], theirs[p][n]) for p in ours for n in ours[p])
    missing = [line for line in lines(whole) if line not in lines(tmp_path / "run")]
    assert [(line["evaluation"], line["step"]) for line in missing] == [("look", 6)]


def test_more_steps_go_on_as_if_there_had_been_as_many(tmp_path: Path) -> None:
    train(partial(rich, steps=15), out=tmp_path / "whole")
    train(out=tmp_path / "run")
    train(resume=tmp_path / "run", more_steps=6)
    assert lines(tmp_path / "whole") == lines(tmp_path / "run")
    assert about(tmp_path / "run")["phases"] == {"warmup": 4, "main": 15}
    one, other = weights(tmp_path / "whole"), weights(tmp_path / "run")
    assert all(torch.equal(one[p][n], other[p][n]) for p in one for n in one[p])


def test_a_limit_of_time_can_be_gone_on_from(whole: Path, tmp_path: Path) -> None:
    run = train(out=tmp_path / "run", max_time=1e-9)
    assert (run.outcome, run.steps) == ("out of time", {})
    train(resume=tmp_path / "run")
    assert_same(whole, tmp_path / "run")


# --- what is wrong with a folder ---


@pytest.fixture
def half(tmp_path: Path) -> Path:
    """A run that ended early, with two checkpoints at least."""
    out = tmp_path / "half"
    # At step 7 of the game: when the checkpoint of step 6 was begun, that of step 3 was whole.
    killed(out, KillAt("step_done", 11), saving=Saving(steps=3))
    shutil.rmtree(out / "checkpoints" / "final", ignore_errors=True)
    assert len(names(out)) >= 2
    return out


def snapshot(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


def newest(folder: Path) -> Path:
    return max((folder / "checkpoints").glob("main-*"))


@pytest.mark.parametrize("file", ["manifest.json", "state.json", "players/G.safetensors"])
@pytest.mark.parametrize("damage", ["flipped", "truncated", "missing"])
def test_a_damaged_checkpoint_is_named_and_an_earlier_one_used(
    whole: Path, half: Path, file: str, damage: str
) -> None:
    path = newest(half) / file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.unlink()
    if damage != "missing":
        path.write_bytes(content if damage == "flipped" else content[:-9])
    with pytest.warns(NvnWarning, match=f"{re.escape(str(path))} is .*: it is not used"):
        train(resume=half)
    assert_same(whole, half)


def test_a_checkpoint_of_another_run_is_not_used(whole: Path, half: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    nvn.train(rich, out=other, seed=4)
    shutil.copytree(other / "checkpoints" / "main-0000009", half / "checkpoints" / "main-0000008")
    with pytest.warns(NvnWarning, match="main-0000008 is a checkpoint of another run"):
        train(resume=half)
    assert_same(whole, half)


def test_where_no_checkpoint_is_whole_nothing_is_touched(half: Path) -> None:
    for path in (half / "checkpoints").iterdir():
        (path / "state.json").write_text("{}")
    before = snapshot(half)
    with pytest.raises(RunError, match="no checkpoint of .* is whole: nothing was changed"):
        train(resume=half)
    assert snapshot(half) == before


def test_lines_of_metrics_that_are_gone_are_missed(half: Path) -> None:
    (half / "metrics.jsonl").write_text("")
    before = snapshot(half)
    with pytest.raises(RunError, match="lines are missing"):
        train(resume=half)
    assert {k: v for k, v in snapshot(half).items() if "checkpoints" not in k} == {
        k: v for k, v in before.items() if "checkpoints" not in k
    }


def test_another_game_is_refused_before_anything_is_touched(half: Path) -> None:
    before = snapshot(half)

    def larger() -> nvn.Recipe:
        recipe = rich()
        game = nvn.Game("other")
        x = game.batch("x")
        H = game.player("H", net(2, 2))
        H.minimizes(hold(H(x)))
        return recipe.replace(
            game=game,
            schedule=nvn.alternating(H),
            phases=[],
            optimizers=partial(torch.optim.SGD, lr=0.1),
            evaluations=[],
        )

    with pytest.raises(RunError, match="this state does not fit the game"):
        nvn.train(larger, resume=half, seed=3)
    with pytest.raises(ConfigError, match="seed = 4: the run in .* has 3"):
        nvn.train(rich, resume=half, seed=4)
    with pytest.raises(ConfigError, match="recipe = 'other': the run in .* has 'rich'"):
        nvn.train(partial(rich, name="other"), resume=half, seed=3)
    assert snapshot(half) == before


@pytest.mark.parametrize("missing", ["folder", "run.yaml"])
def test_what_is_no_run_is_refused(tmp_path: Path, missing: str) -> None:
    out = tmp_path / "run"
    if missing == "run.yaml":
        out.mkdir()
    with pytest.raises(NvnError, match="run"):
        train(resume=out)
    assert not out.exists() or not [*out.iterdir()]


# --- two processes, a full disk ---


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    class Second:
        @hook
        def step_done(self) -> None:
            with pytest.raises(RunError, match="another process is training in"):
                train(resume=tmp_path / "run")

    train(out=tmp_path / "run", max_steps=1, plugins=[Second()])


class NoSpace:
    """A plugin after whose `at`-th step no checkpoint can be written."""

    def __init__(self, out: Path, at: int) -> None:
        self.folder = out / "checkpoints"
        self.at = at

    @hook
    def step_done(self) -> None:
        self.at -= 1
        if self.at == 0:
            self.folder.rename(self.folder.with_name("kept"))
            self.folder.touch()  # a file where the folder would be


def test_a_checkpoint_that_cannot_be_written_is_told_and_training_goes_on(tmp_path: Path) -> None:
    out = tmp_path / "run"
    with (
        pytest.warns(NvnWarning, match=r"could not be saved: .*; training goes on") as told,
        pytest.raises(RunError, match="the weights could not be saved"),
    ):
        train(out=out, saving=Saving(steps=2), plugins=[NoSpace(out, 5)])
    assert len(told) == 1  # once, not each time
    assert [line["step"] for line in lines(out) if line.get("phase") == "main"][-1] == 9
    assert (out / "kept" / "warmup-0000004").is_dir()


def test_or_the_run_stops_if_that_is_asked_for(tmp_path: Path) -> None:
    out = tmp_path / "run"
    saving = Saving(steps=2, on_failure="stop")
    with pytest.raises(RunError, match="main-000000. could not be saved"):
        train(out=out, saving=saving, plugins=[NoSpace(out, 5)])
    assert about(out)["outcome"] == "failed"
    assert [line["step"] for line in lines(out) if line.get("phase") == "main"][-1] < 9


def test_a_picture_that_cannot_be_written_costs_that_picture_alone(tmp_path: Path) -> None:
    out = tmp_path / "run"

    class Block:
        @hook
        def run_started(self) -> None:
            (out / "images").touch()

    with (
        pytest.warns(NvnWarning, match="cannot create .*images.*; training goes on"),
        pytest.raises(RunError, match="cannot create .*images"),
    ):
        train(out=out, plugins=[Block()])
    assert about(out)["outcome"] == "finished"
    assert "images" in about(out)["error"]
    assert set(weights(out)) == {"G", "D", "G_ema", "G_old"}


# --- what is kept ---


def test_the_last_two_are_kept(tmp_path: Path) -> None:
    train(out=tmp_path / "run", saving=EACH_STEP)
    assert len([name for name in names(tmp_path / "run") if name != "final"]) == 2
    assert "main-0000009" in names(tmp_path / "run")


def test_and_those_that_are_asked_for(tmp_path: Path) -> None:
    train(out=tmp_path / "run", saving=Saving(keep_every=2))
    assert {f"main-000000{step}" for step in (2, 4, 6, 8, 9)} <= set(names(tmp_path / "run"))


def falling(peak: int, **changes: Any) -> nvn.Recipe:
    def score(engine: nvn.Engine) -> dict[str, float]:
        return {"score": -abs(engine.state.iterations["main"] - peak)}

    return rich(
        evaluations=[nvn.Evaluation("judge", score, every=1)],
        optimizers=partial(torch.optim.SGD, lr=0.01),
        **changes,
    )


def test_the_best_is_kept(tmp_path: Path) -> None:
    run = train(partial(falling, 4), out=tmp_path / "run", saving=Saving(best="judge/score"))
    assert "main-0000004" in names(tmp_path / "run")
    assert run.best == {"judge/score:max": {"value": 0.0, "step": 4, "waited": 5}}
    assert about(tmp_path / "run")["best"]["judge/score:max"]["step"] == 4


def test_a_game_ends_early_when_its_metric_has_stopped_to_improve(tmp_path: Path) -> None:
    recipe = partial(falling, 3, early_stopping=nvn.EarlyStopping("judge/score", patience=2))
    run = train(recipe, out=tmp_path / "run")
    assert (run.outcome, run.steps["main"]) == ("finished", 5)
    killed(tmp_path / "other", KillAt("step_done", 8), recipe=recipe)
    again = train(recipe, resume=tmp_path / "other")
    assert again.steps["main"] == 5
    assert lines(tmp_path / "run") == lines(tmp_path / "other")
    with_more = train(recipe, resume=tmp_path / "run", more_steps=3)
    assert with_more.steps["main"] == 7  # patience begins anew


@pytest.mark.parametrize("best", ["score", "judge/", "/score", "jury/score"])
def test_a_metric_that_there_is_not(tmp_path: Path, best: str) -> None:
    with pytest.raises(ConfigError, match=best):
        train(partial(falling, 3), out=tmp_path / "run", saving=Saving(best=best))


def test_a_metric_that_its_evaluation_does_not_have(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no metric 'points'; it has: score"):
        train(partial(falling, 3), out=tmp_path / "run", saving=Saving(best="judge/points"))


# --- what cannot be saved ---


class Odd(nn.Linear):
    def get_extra_state(self) -> object:
        return print

    def set_extra_state(self, state: object) -> None:
        pass


def odd() -> nvn.Recipe:
    game = nvn.Game("odd")
    x = game.batch("x")
    f = game.player("f", Odd(2, 2))
    f.minimizes(hold(f(x)))
    return rich(
        game=game,
        schedule=nvn.alternating(f),
        phases=[],
        evaluations=[],
        optimizers=partial(torch.optim.SGD, lr=0.1),
    )


def test_what_cannot_be_saved_is_told_before_training(tmp_path: Path) -> None:
    diary: list[int] = []

    class Diary:
        @hook
        def step_done(self, record: nvn.Record) -> None:
            diary.append(record.step)

    with pytest.raises(
        RunError, match=r"could not be resumed: players/f/_extra_state: cannot save"
    ):
        train(odd, out=tmp_path / "a", saving=Saving(on_failure="stop"), plugins=[Diary()])
    assert not diary
    with pytest.warns(NvnWarning, match="players/f/_extra_state: cannot save a builtin"):
        train(odd, out=tmp_path / "b")
    assert names(tmp_path / "b") == ["final"]


def test_where_the_recipe_came_from_is_not_forgotten(tmp_path: Path) -> None:
    train(out=tmp_path / "run", origin="gaussians", max_steps=2)
    train(resume=tmp_path / "run", max_steps=3)
    assert about(tmp_path / "run")["origin"] == "gaussians"
