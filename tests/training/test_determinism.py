"""A run may hold torch to deterministic algorithms; afterwards it is as before."""

import contextlib
import os
from functools import partial
from pathlib import Path

import pytest
import torch
import yaml
from torch import Tensor, nn

import nvn
from nvn.errors import RunError
from nvn.training.determinism import deterministic
from tests.tiny import DATA, tiny


def test_a_run_is_held_to_them(tmp_path: Path) -> None:
    seen = []

    def look(engine: nvn.Engine) -> dict[str, float]:
        seen.append(torch.are_deterministic_algorithms_enabled())
        return {}

    looks = [nvn.Evaluation("look", look)]
    for name, wanted in (("a", True), ("b", False)):
        nvn.train(tiny(evaluations=looks), out=tmp_path / name, deterministic=wanted)
        assert not torch.are_deterministic_algorithms_enabled()
        assert yaml.safe_load((tmp_path / name / "run.yaml").read_text())["deterministic"] == wanted
    assert seen == [True, False]


def test_what_has_no_deterministic_form_is_named(tmp_path: Path) -> None:
    def loose(engine: nvn.Engine) -> dict[str, float]:
        raise RuntimeError(
            "median_cuda does not have a deterministic implementation, but you set "
            "'torch.use_deterministic_algorithms(True)'"
        )

    looks = [nvn.Evaluation("loose", loose)]
    with pytest.raises(RunError, match="--deterministic: median_cuda has no deterministic form"):
        nvn.train(tiny(evaluations=looks), out=tmp_path / "run", deterministic=True)
    assert not torch.are_deterministic_algorithms_enabled()


def put(x: Tensor) -> Tensor:
    """Uses an operation that has no deterministic form, on a CPU too."""
    return x.flatten().put(torch.tensor([0]), torch.zeros(1)).mean()


def test_an_operation_of_a_game_is_named_with_the_place_that_uses_it(tmp_path: Path) -> None:
    game = nvn.Game("put")
    x = game.batch("x")
    f = game.player("f", nn.Linear(3, 3))
    f.minimizes(nvn.energy(put)(f(x)))
    recipe = nvn.Recipe(
        name="put",
        game=game,
        schedule=nvn.alternating(f),
        optimizers=partial(torch.optim.SGD, lr=0.1),
        data=DATA,
        steps=2,
    )
    nvn.train(recipe, out=tmp_path / "free")
    with pytest.raises(RunError, match="--deterministic: put_ has no deterministic form") as caught:
        nvn.train(recipe, out=tmp_path / "held", deterministic=True)
    (note,) = caught.value.__notes__
    assert "test_determinism.py" in note
    assert note.endswith("`put(f(x))` fails")


def test_every_switch_is_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        with contextlib.suppress(ZeroDivisionError), deterministic():
            assert not torch.is_deterministic_algorithms_warn_only_enabled()
            assert not torch.backends.cudnn.benchmark
            assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
            raise ZeroDivisionError
        assert torch.is_deterministic_algorithms_warn_only_enabled()
        assert torch.backends.cudnn.benchmark
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("told", [":4096:8", ":16:8"])
def test_what_cublas_is_told_already_is_left(told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", told)
    with deterministic():
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == told


def test_cublas_that_is_told_otherwise_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":0:0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(RunError, match="is ':0:0' in the environment; expected :4096:8"):
        deterministic().__enter__()
    assert not torch.are_deterministic_algorithms_enabled()


def pretend_cuda_made(tensors: int, patch: pytest.MonkeyPatch) -> None:
    patch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    patch.setattr(torch.cuda, "is_initialized", lambda: True)
    patch.setattr(torch.cuda, "device_count", lambda: 2)
    stats = [{"allocation.all.allocated": tensors}, {}]
    patch.setattr(torch.cuda, "memory_stats", lambda device: stats[1 - device])


def test_cuda_that_was_used_before_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_cuda_made(3, monkeypatch)
    with pytest.warns(nvn.NvnWarning, match="CUDA was used before"), deterministic():
        pass


def test_a_device_that_was_only_chosen_is_not_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_cuda_made(0, monkeypatch)
    with deterministic():
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"


def test_products_that_cannot_be_held_any_more_are_explained() -> None:
    said = "this operation is not deterministic because it uses CuBLAS and you have CUDA >= 10.2"
    with pytest.raises(RunError, match="in the environment before"), deterministic():
        raise RuntimeError(said)


def test_other_errors_are_themselves() -> None:
    with pytest.raises(RuntimeError, match="^something else$"), deterministic():
        raise RuntimeError("something else")


def test_an_operation_that_is_used_in_training_alone_is_named_with_its_call() -> None:
    error = RuntimeError("fold_backward does not have a deterministic implementation, but you set")
    error.add_note("while computing `D(x)`")
    with pytest.raises(RunError, match="fold_backward has no") as caught, deterministic():
        raise error
    assert caught.value.__notes__ == ["while computing `D(x)`"]
