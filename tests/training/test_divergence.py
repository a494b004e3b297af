"""Games that diverge: what is said of them, what is saved, and what each policy does."""

import json
import math
import re
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file
from torch import Tensor, nn

import nvn
from nvn.errors import ConfigError, IncompleteError, NvnWarning, RunError
from nvn.training.hooks import hook
from nvn.training.saving import Saving
from tests.tiny import DATA


class Root(nn.Module):
    """A square root behind a where: finite below 0, and its gradient is not."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.where(x > 0, x.sqrt(), torch.zeros(()))


class Until(nn.Module):
    """Goes wrong in a way of its own once a buffer that counts its training calls is at `at`."""

    def __init__(self, at: int, wrong: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.register_buffer("calls", torch.tensor(0))
        self.at = at
        self.wrong = wrong

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.calls += 1
        return self.wrong(x) if self.calls >= self.at else x


def mean(x: Tensor) -> Tensor:
    return (x**2).mean()


def picky(x: Tensor) -> Tensor:
    if not torch.isfinite(x).all():
        raise ValueError("all elements of input should be finite")
    return (x**2).mean()


def game(
    *layers: nn.Module,
    lr: float = 0.1,
    energy: Callable[[Tensor], Tensor] = mean,
    data: Any = DATA,
    steps: int = 12,
    **changes: Any,
) -> nvn.Recipe:
    """A player that is well, and one that has further layers; 12 steps."""
    made = nvn.Game("trouble")
    x = made.batch("x")
    well = made.player("well", nn.Linear(3, 3))
    f = made.player("f", nn.Sequential(nn.Linear(3, 3), *layers))
    well.minimizes(nvn.energy(mean, name="fine")(well(x)))
    f.minimizes(nvn.energy(energy, name="trouble")(f(x)))
    return nvn.Recipe(
        name="trouble",
        game=made,
        schedule=nvn.simultaneous(well, f),
        optimizers=partial(torch.optim.SGD, lr=lr),
        data=data,
        steps=steps,
        **changes,
    )


def infinite(x: Tensor) -> Tensor:
    return x / 0.0


def trap(x: Tensor) -> Tensor:
    return x + torch.where(x > 1e9, (x - 1e9).sqrt(), torch.zeros(()))


def huge(x: Tensor) -> Tensor:
    return 1e20 * x


RANDOM = [{"x": torch.randn(4, 3, generator=torch.Generator().manual_seed(i))} for i in range(3)]


class Fed:
    """Batches, one of which is not finite."""

    def __init__(self, at: int, bad: float = math.inf) -> None:
        self.at = at
        self.bad = bad

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        for index in range(1, 100):
            yield {"x": torch.full((2, 3), self.bad if index == self.at else float(index % 3))}


def weights(folder: Path) -> dict[str, dict[str, Tensor]]:
    files = (folder / "checkpoints" / "final").glob("*.safetensors")
    return {path.stem: load_file(path) for path in files}


def steps(folder: Path) -> list[int]:
    return [
        json.loads(line)["step"] for line in (folder / "metrics.jsonl").read_text().splitlines()
    ]


def fail(recipe: Callable[[], nvn.Recipe], out: Path, **options: Any) -> str:
    """Train; return what is said. The weights are saved, and finite."""
    with pytest.raises(RunError) as error:
        nvn.train(recipe, out=out, **options)
    about = yaml.safe_load((out / "run.yaml").read_text())
    assert about["outcome"] == "failed"
    assert about["error"] == str(error.value)
    saved = weights(out)
    assert set(saved) == {"well", "f"}
    for state in saved.values():
        assert all(torch.isfinite(tensor).all() for tensor in state.values())
    assert "The weights saved are the last finite ones" in str(error.value)
    return str(error.value)


CASES: dict[str, tuple[Callable[[], nvn.Recipe], str]] = {
    "a gradient is NaN, and the objective finite": (
        lambda: game(Until(7, trap)),
        r"step 7 of phase 'main', move 1 \(well, f\): going back from the objective of f, "
        r".*the output of f\.0 .* is the first that is not finite.*through .*f\.1 \(Until\)",
    ),
    "a value is infinite": (
        lambda: game(Until(5, infinite)),
        r"step 5 of phase 'main', move 1 .*f\.1 \(Until\) gives .* infinite.*of an input",
    ),
    "at the first step": (
        lambda: game(Until(1, trap)),
        r"step 1 of phase 'main', move 1 .*going back from the objective of f",
    ),
    "at the last step, where no objective is seen after it": (
        lambda: game(Until(12, trap)),
        r"step 12 of phase 'main', move 1 .*going back from the objective of f",
    ),
    "a step is too large": (
        partial(game, lr=3e38, steps=1, data=[{"x": torch.full((2, 3), 9.0)}]),
        r"step 1 of phase 'main', .*the step of \w+ made .* at a learning rate of 3e\+38",
    ),
    "the data are infinite": (
        partial(game, data=Fed(8)),
        r"step 8 of phase 'main', .*the batch has 'x' .*infinite.* Look at the data",
    ),
    "the next step raises an error that comes of it": (
        lambda: game(Until(7, trap), energy=picky),
        r"step 7 of phase 'main', move 1 .*going back from the objective of f",
    ),
    "statistics become infinite": (
        lambda: game(Until(6, huge), nn.BatchNorm1d(3), nn.Tanh(), data=RANDOM),
        r"step 6 of phase 'main', .*the buffer f\.2\.running_var is not finite",
    ),
    "the objective explodes": (
        partial(game, lr=1e10),
        r"step \d of phase 'main', .*not finite",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_went_wrong_first_is_named(case: str, tmp_path: Path) -> None:
    recipe, said = CASES[case]
    assert re_search(said, fail(recipe, tmp_path / "run"))


def re_search(pattern: str, text: str) -> bool:
    assert re.search(pattern, text, re.S), text
    return True


@pytest.mark.parametrize("saving", [Saving(), Saving(steps=1), Saving(steps=4)])
def test_from_whatever_checkpoint_it_is_found_again(tmp_path: Path, saving: Saving) -> None:
    recipe, said = CASES["a gradient is NaN, and the objective finite"]
    assert re_search(said, fail(recipe, tmp_path / "run", saving=saving))
    for place in (tmp_path / "run" / "checkpoints").glob("main-*"):
        state = load_file(place / "players" / "f.safetensors")
        assert all(torch.isfinite(tensor).all() for tensor in state.values())
    assert steps(tmp_path / "run")  # all lines are there


def test_weights_that_are_not_finite_from_the_start_are_no_last_finite_ones(tmp_path: Path) -> None:
    recipe = game()
    with torch.no_grad():
        recipe.game.players["f"].module[0].weight[0, 0] = math.nan  # type: ignore[index]
    with pytest.raises(RunError, match=r"f\.0\.weight is not finite before the first step"):
        nvn.train(recipe, out=tmp_path / "run")


def test_an_error_that_has_nothing_to_do_with_it_is_raised_as_it_is(tmp_path: Path) -> None:
    def broken(engine: nvn.Engine) -> dict[str, float]:
        raise ZeroDivisionError

    looks = [nvn.Evaluation("broken", broken, every=3)]
    with (
        pytest.warns(NvnWarning, match="'broken' failed at step 3 .*\n.*\n.*\nZeroDivisionError"),
        pytest.raises(IncompleteError) as error,
    ):
        nvn.train(partial(game, evaluations=looks), out=tmp_path / "run")
    assert isinstance(error.value.__cause__, ZeroDivisionError)


def test_an_evaluation_that_fails_on_nan_is_not_what_is_told(tmp_path: Path) -> None:
    def strict(engine: nvn.Engine) -> dict[str, float]:
        if not all(torch.isfinite(p).all() for p in engine.modules["f"].parameters()):
            raise ValueError("NaN in an evaluation")
        return {"fine": 1.0}

    looks = [nvn.Evaluation("strict", strict, every=4)]
    recipe = partial(game, Until(3, trap), evaluations=looks)
    assert "step 3 of phase 'main'" in fail(recipe, tmp_path / "run")


# --- skip ---


def test_a_step_that_is_not_finite_is_skipped_and_the_run_goes_on(tmp_path: Path) -> None:
    run = nvn.train(
        partial(game, data=Fed(4, math.nan)), out=tmp_path / "run", on_divergence="skip"
    )
    assert run.outcome == "finished"
    skipped = {name: o.skipped for name, o in run.engine.state.optimizers.items()}
    assert skipped == {"well": 1, "f": 1}
    assert all(
        torch.isfinite(t).all()
        for state in weights(tmp_path / "run").values()
        for t in state.values()
    )


def test_the_others_step_where_one_does_not(tmp_path: Path) -> None:
    recipe = partial(game, Until(4, trap), steps=20)
    run = nvn.train(recipe, out=tmp_path / "run", on_divergence="skip")
    skipped = {name: o.skipped for name, o in run.engine.state.optimizers.items()}
    assert skipped == {"well": 0, "f": 17}


def test_skipping_for_ever_is_an_end(tmp_path: Path) -> None:
    recipe = partial(game, Until(4, trap), steps=500)
    said = fail(recipe, tmp_path / "run", on_divergence="skip")
    assert "the gradient of f was not finite in 100 steps in a row, up to step 103" in said


def test_what_skipping_cannot_mend_stops(tmp_path: Path) -> None:
    recipe, _ = CASES["statistics become infinite"]
    assert "running_var" in fail(recipe, tmp_path / "run", on_divergence="skip")


# --- rollback ---


def test_a_run_goes_back_and_learns_more_slowly(tmp_path: Path) -> None:
    recipe = partial(game, data=Fed(8, math.nan), steps=20)
    with pytest.warns(NvnWarning, match=r"has gone back to step \d of phase 'main'.*1 of 3"):
        run = nvn.train(
            recipe, out=tmp_path / "run", on_divergence="rollback", saving=Saving(steps=2)
        )
    assert run.outcome == "finished"
    assert run.steps == {"main": 20}
    rates = [o.optimizer.param_groups[0]["lr"] for o in run.engine.state.optimizers.values()]
    assert rates == [0.05, 0.05]
    assert steps(tmp_path / "run") == [*range(1, 21)]
    assert all(torch.isfinite(p).all() for m in run.engine.modules.values() for p in m.parameters())


def test_each_time_more_slowly(tmp_path: Path) -> None:
    """What diverges at a rate of 1, ½ and ¼ is learned at ⅛; and what is told is of that rate."""

    class Steep(nn.Module):
        """Its objective grows if a step is longer than a quarter."""

        def forward(self, x: Tensor) -> Tensor:
            return 2.0 * x

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        run = nvn.train(
            partial(game, Steep(), lr=4.0, data=RANDOM, steps=400),
            out=tmp_path / "run",
            on_divergence="rollback",
        )
    back = [str(each.message) for each in told if "has gone back" in str(each.message)]
    rates = [o.optimizer.param_groups[0]["lr"] for o in run.engine.state.optimizers.values()]
    assert rates == [4.0 * 0.5 ** len(back)] * 2
    assert len(back) == len(set(back)) > 1
    assert run.outcome == "finished"


def test_but_not_for_ever(tmp_path: Path) -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        said = fail(partial(game, Until(6, trap)), tmp_path / "run", on_divergence="rollback")
    assert sum("has gone back" in str(each.message) for each in told) == 3
    assert "step 6 of phase 'main'" in said


def test_a_run_that_has_gone_back_can_be_gone_on_with(tmp_path: Path) -> None:
    class Kill:
        @hook
        def step_done(self, record: nvn.Record) -> None:
            if record.step == 15:
                raise ZeroDivisionError

    def run(folder: Path, **options: Any) -> nvn.Run:
        recipe = partial(game, data=Fed(8, math.nan), steps=20)
        return nvn.train(recipe, on_divergence="rollback", saving=Saving(steps=2), **options)

    with pytest.warns(NvnWarning, match="gone back"):
        whole = run(tmp_path, out=tmp_path / "whole")
    with pytest.warns(NvnWarning, match="gone back"), pytest.raises(ZeroDivisionError):
        run(tmp_path, out=tmp_path / "part", plugins=[Kill()])
    with pytest.warns(NvnWarning, match="was read again"):
        again = run(tmp_path, resume=tmp_path / "part")
    assert torch.equal(again.weights["f"]["0.weight"], whole.weights["f"]["0.weight"])


def test_a_policy_that_there_is_not(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected stop, skip or rollback"):
        nvn.train(game, out=tmp_path / "run", on_divergence="ignore")  # type: ignore[arg-type]
