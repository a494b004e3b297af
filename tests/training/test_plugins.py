"""Plugins in a run: which hooks are called, when; what they add; what one that fails does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import nvn
from nvn.training.hooks import Hooks, hook
from tests.tiny import gray, size, square, tiny


def diary_of(*names: str) -> Any:
    """A plugin that writes down each call of some hooks, with its arguments."""

    class Diary:
        def __init__(self) -> None:
            self.lines: list[tuple[str, Any]] = []

    def noting(name: str) -> Any:
        arguments = [*Hooks.__dict__[name].__annotations__]
        arguments.remove("return")
        space: dict[str, Any] = {}
        exec(
            f"def {name}(self, {', '.join(arguments)}):\n"
            f"    self.lines.append(({name!r}, dict({', '.join(f'{a}={a}' for a in arguments)})))",
            space,
        )
        return hook(space[name])

    for name in names:
        setattr(Diary, name, noting(name))
    return Diary()


def names(diary: Any) -> list[str]:
    return [name for name, _ in diary.lines]


def test_hooks_are_called_in_order(tmp_path: Path) -> None:
    every = [name for name, function in vars(Hooks).items() if callable(function)]
    diary = diary_of(*every)
    nvn.train(tiny(steps=2, evaluations=[]), out=tmp_path / "run", plugins=[diary])
    step = ["move_started", "move_done"]
    assert names(diary) == [
        *("energies", "evaluations", "previews", "run_started", "phase_started"),
        *[*step, "step_done"] * 3,
        *("checkpointed", "phase_finished", "phase_started"),
        *[*step, *step, "step_done"] * 2,
        *("checkpointed", "phase_finished", "previewed", "run_finished"),
    ]


def test_moves_are_told_with_their_phase_and_step(tmp_path: Path) -> None:
    diary = diary_of("move_done")
    nvn.train(tiny(steps=2), out=tmp_path / "run", plugins=[diary])
    told = [(x["phase"].name, x["step"], x["move"].players[0].name) for _, x in diary.lines]
    assert told == [("warmup", n, "G") for n in (1, 2, 3)] + [
        *(("main", 1, "D"), ("main", 1, "G"), ("main", 2, "D"), ("main", 2, "G"))
    ]


def test_a_checkpoint_is_told_of_when_it_is_whole(tmp_path: Path) -> None:
    seen = []

    class Look:
        @hook
        def checkpointed(self, phase: str, step: int, path: Path) -> None:
            seen.append((phase, step, path.name, any(path.iterdir())))

    nvn.train(tiny(), out=tmp_path / "run", plugins=[Look()], saving=nvn.Saving(steps=3))
    assert seen[0][:2] == ("warmup", 3)
    assert [each[1] for each in seen if each[0] == "main"] == [3, 6]
    assert all(whole for *_, whole in seen)


@pytest.mark.filterwarnings("ignore::nvn.NvnWarning")
def test_divergence_and_failure_are_told_of(tmp_path: Path) -> None:
    wild = tiny(optimizers=lambda p: torch.optim.SGD(p, lr=1e30), evaluations=[], previews=[])
    diary = diary_of("diverged", "failed", "run_finished")
    with pytest.raises(nvn.RunError):
        nvn.train(wild, out=tmp_path / "run", plugins=[diary])
    assert names(diary) == ["diverged", "failed", "run_finished"]
    (_, diverged), (_, failed), _ = diary.lines
    assert diverged["policy"] == "stop"
    assert "is inf" in str(diverged["error"]) or "not finite" in str(diverged["error"])
    assert failed["error"] is diverged["error"]


# --- what fails ---


class Failing:
    @hook
    def step_done(self) -> None:
        raise ValueError("no more paper")

    @hook
    def failed(self) -> None:
        raise OSError("nor ink")


class Optional(Failing):
    essential = False

    def __init__(self) -> None:
        self.calls = 0

    @hook
    def step_done(self) -> None:
        self.calls += 1
        super().step_done()


def test_an_essential_plugin_that_fails_ends_the_run_and_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no more paper") as caught:
        nvn.train(tiny(), out=tmp_path / "run", plugins=[Failing()])
    notes = " ".join(caught.value.__notes__)
    assert "raised by plugin Failing, in its hook step_done" in notes
    assert "then: nor ink" in notes
    assert (tmp_path / "run" / "checkpoints" / "final" / "G.safetensors").is_file()


def test_another_is_switched_off_with_a_warning(tmp_path: Path) -> None:
    plugin, other = Optional(), diary_of("step_done")
    with pytest.warns(nvn.NvnWarning) as told:
        run = nvn.train(tiny(), out=tmp_path / "run", plugins=[plugin, other])
    assert run.outcome == "finished"
    assert plugin.calls == 1
    assert len(other.lines) == 9
    (said,) = {str(each.message) for each in told}
    assert "plugin Optional, in its hook step_done failed, and is switched off" in said
    assert "ValueError: no more paper" in said
    assert "test_plugins.py" in said


# --- what they add ---


class More:
    @hook
    def energies(self, game: nvn.Game) -> dict[str, nvn.WeightedSum]:
        G, x = game.players["G"], game.batch("x")
        return {"G": 3.0 * nvn.energy(square, name="more")(G(x))}

    @hook
    def evaluations(self) -> list[nvn.Evaluation]:
        return [nvn.Evaluation("more", size)]

    @hook
    def previews(self) -> list[nvn.Preview]:
        return [nvn.Preview("more", gray)]


def test_what_a_plugin_adds_is_part_of_the_run(tmp_path: Path) -> None:
    recipe = tiny(plugins=[More()])
    run = nvn.train(recipe, out=tmp_path / "run")
    assert set(run.metrics) == {"size", "more"}
    assert set(run.pictures) == {"gray", "more"}
    plain = nvn.train(tiny(), out=tmp_path / "plain")
    assert run.metrics["size"]["norm"] != plain.metrics["size"]["norm"]


def test_it_is_added_once_however_often_a_recipe_is_trained(tmp_path: Path) -> None:
    recipe = tiny()
    before = str(recipe.game.players["G"].objective)
    for name in "ab":
        nvn.train(recipe, out=tmp_path / name, plugins=[More()])
        assert str(recipe.game.players["G"].objective) == before
        (plan,) = [
            line
            for line in (tmp_path / name / "plan.txt").read_text().splitlines()
            if "G minimizes" in line and "pull" in line
        ][:1]
        assert "3 more" in plan
        assert "6 more" not in plan


class ToNobody:
    @hook
    def energies(self) -> dict[str, Any]:
        return {"g": None}


class NoMapping:
    @hook
    def energies(self) -> list[int]:
        return [1]


class NoEvaluation:
    @hook
    def evaluations(self) -> list[str]:
        return ["size"]


@pytest.mark.parametrize(
    ("plugin", "said"),
    [
        (ToNobody(), "adds an energy to 'g', and 'tiny' has no such player"),
        (NoMapping(), 'energies returned list; expected {"player": energy}'),
        (NoEvaluation(), "evaluations: found str, expected nvn.Evaluation"),
    ],
)
def test_what_cannot_be_added_is_said(tmp_path: Path, plugin: object, said: str) -> None:
    with pytest.raises(nvn.ConfigError) as error:
        nvn.train(tiny(), out=tmp_path / "run", plugins=[plugin])
    assert said in str(error.value)


def test_a_wrong_plugin_is_told_of_before_the_recipe_is_built() -> None:
    def never() -> nvn.Recipe:
        raise AssertionError("built")

    with pytest.raises(nvn.ConfigError, match="no function marked"):
        nvn.train(never, plugins=[object()])


class Told:
    def __init__(self, error: BaseException) -> None:
        self._error = error

    @hook
    def checkpointed(self) -> None:
        raise self._error


def test_a_run_whose_plugin_fails_when_told_of_its_state_has_failed(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no room") as error:
        nvn.train(tiny(), out=tmp_path / "run", plugins=[Told(OSError("no room"))])
    assert "raised by plugin Told, in its hook checkpointed" in error.value.__notes__
    assert "outcome: failed" in (tmp_path / "run/run.yaml").read_text()


class Leaving:
    @hook
    def step_done(self) -> None:
        raise SystemExit(0)


def test_a_plugin_that_exits_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(nvn.RunError, match=r"Leaving, in its hook step_done called sys\.exit"):
        nvn.train(tiny(), out=tmp_path / "run", plugins=[Leaving()])
    assert "outcome: failed" in (tmp_path / "run/run.yaml").read_text()
    setattr(left := Leaving(), "essential", False)  # noqa: B010  (it has no such attribute)
    with pytest.warns(nvn.NvnWarning, match="is switched off"):
        assert nvn.train(tiny(), out=tmp_path / "two", plugins=[left]).outcome == "finished"


def test_training_is_the_same_to_the_bit_with_a_plugin_on_every_hook(tmp_path: Path) -> None:
    looking = [name for name in vars(Hooks) if not name.startswith("_")]
    looking = [n for n in looking if n not in ("energies", "evaluations", "previews")]
    alone = nvn.train(tiny, out=tmp_path / "alone")
    watched = nvn.train(tiny, out=tmp_path / "watched", plugins=[diary_of(*looking)])
    for name, weights in alone.weights.items():
        for entry, tensor in weights.items():
            assert torch.equal(tensor, watched.weights[name][entry]), (name, entry)
