"""Which frames of an unexpected error are printed."""

from collections.abc import Callable
from typing import Any

import pytest
from torch._utils import ExceptionWrapper

from nvn.console import crash


def frames(*modules: str, fails: str = "1 / 0") -> Callable[[], object]:
    """Return a function that calls one of each module, and fails in the last."""
    following: Any = None
    for module in reversed(modules):
        body = fails if following is None else "following()"
        space: dict[str, Any] = {"__name__": module, "following": following}
        filename = "<nvn loop 1>" if module == "loop" else f"{module}.py"
        exec(compile(f"def call(): {body}", filename, "exec"), space)
        following = space["call"]
    called: Callable[[], object] = following
    return called


def shown(capsys: pytest.CaptureFixture[str], call: Callable[[], object], *notes: str) -> list[str]:
    """Return the modules whose frames are printed."""
    with pytest.raises(ZeroDivisionError) as error:
        call()
    for note in notes:
        error.value.add_note(note)
    error.value.__traceback__ = error.tb.tb_next  # without this test
    crash(ZeroDivisionError, error.value, error.tb)
    said = capsys.readouterr().err.splitlines()
    assert said[-1 - len(notes) :] == ["ZeroDivisionError: division by zero", *notes]
    return [line.split('"')[1].removesuffix(".py") for line in said if line.startswith("  File")]


MINE, OTHER = "nvn_recipes_in_mine.game", "nvn_recipes_in_mine.helper"


@pytest.mark.parametrize(
    ("modules", "expected"),
    [
        (["__main__", "nvn.cli", "typer.main", "nvn.training.loop", MINE, OTHER], [MINE, OTHER]),
        (["nvn.cli", "nvn.engine", "loop", "torch.nn", MINE, "torch.nn", OTHER], [MINE, OTHER]),
        (["nvn.cli", "loop", MINE, "torch.nn.functional"], [MINE]),
        (["nvn.cli", MINE, "numpy.linalg"], [MINE]),
        (["nvn.cli", MINE, "their_package.inner"], [MINE, "their_package.inner"]),
        (["nvn.cli", MINE, "nvn.energies.reconstruction"], [MINE]),
        (["nvn.cli", "importlib._bootstrap", MINE], [MINE]),
    ],
)
def test_a_persons_own_frames_are_shown(
    capsys: pytest.CaptureFixture[str], modules: list[str], expected: list[str]
) -> None:
    assert shown(capsys, frames(*modules)) == expected
    assert shown(capsys, frames(*modules), "while computing `D(x)`") == expected


def test_what_fails_in_torch_on_ones_behalf_has_notes_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    call = frames("nvn.cli", "typer.main", "nvn.engine", "loop", "torch.nn.modules")
    assert shown(capsys, call, "while computing `D(x)` (game.py:3) from x: (8, 4)") == []
    # Without, nobody could tell where: nvn may be at fault.
    assert shown(capsys, call) == ["nvn.cli", "nvn.engine"]


def test_a_fault_of_nvns_keeps_its_frames(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys, frames("typer.main", "nvn.cli", "nvn.engine")) == ["nvn.cli", "nvn.engine"]
    assert shown(capsys, frames("nvn.cli", MINE, "torch.nn", "nvn.engine")) == [MINE, "nvn.engine"]


def test_both_errors_of_a_chain_are_shortened(capsys: pytest.CaptureFixture[str]) -> None:
    inner = frames("nvn.cli", MINE, "torch.nn")

    def outer() -> None:
        try:
            inner()
        except ZeroDivisionError as error:
            raise ZeroDivisionError("division by zero") from error

    found = shown(capsys, outer)
    assert MINE in found
    assert not {"nvn.cli", "torch.nn"} & {*found}


@pytest.mark.parametrize("kind", [OSError, KeyError, ValueError])
def test_of_a_worker_its_own_frames_are_shown(
    capsys: pytest.CaptureFixture[str], kind: type[Exception]
) -> None:
    import torch

    path = torch.__file__.replace("__init__.py", "utils/data/_utils/worker.py")
    space: dict[str, Any] = {"kind": kind}
    exec(compile("def read(): raise kind('row 7')", "/data/rows.py", "exec"), space)
    exec(compile("def work(): read()", path, "exec"), space)
    try:
        space["work"]()
    except kind:
        sent = ExceptionWrapper(where="in DataLoader worker process 0")
    with pytest.raises(kind) as error:
        sent.reraise()
    error.value.__traceback__ = error.tb.tb_next
    crash(kind, error.value, error.tb)
    said = capsys.readouterr().err
    assert '  File "/data/rows.py", line 1, in read\n' in said
    assert "Caught " in said
    assert f"{kind.__name__}: " in said.splitlines()[-1] or kind.__name__ in said
    assert "torch" not in said
