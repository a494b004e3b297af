"""Optimizers and schedules that cannot be made, and whose they are."""

from functools import partial
from typing import Any

import pytest
import torch
from torch.optim.lr_scheduler import StepLR

import nvn
from nvn.errors import ConfigError
from tests.small import gan, sgd

WRONG: dict[str, tuple[Any, str]] = {
    "a rate": (
        partial(torch.optim.Adam, lr=-1e-3),
        r"`D`: the optimizer cannot be made: ValueError: Invalid learning rate: -0\.001; expected",
    ),
    "an option": (
        partial(torch.optim.Adam, learning_rate=0.1),
        "TypeError: .*'learning_rate'; exp",
    ),
    "another thing": (lambda parameters: 3, r"a function that returns 3; .*partial\(torch\.optim"),
    "a group of nothing": (
        nvn.Optimizer(sgd, groups={"*.wieght": {"lr": 1.0}}),
        r"`D`: .*no parameter fits '\*\.wieght'",
    ),
    "a schedule that is no partial": (
        nvn.Optimizer(sgd, schedule=StepLR),  # type: ignore[arg-type]
        r"`D`: the learning-rate schedule cannot be made: TypeError: .*'step_size'; .*partial\(",
    ),
    "a schedule of its own optimizer": (
        nvn.Optimizer(
            sgd,
            schedule=StepLR(sgd([torch.zeros(1)]), 3),  # type: ignore[arg-type]
        ),
        "`D`: the learning-rate schedule cannot be made: TypeError: 'StepLR' object is not",
    ),
    "a schedule of nothing": (
        nvn.Optimizer(sgd, schedule=lambda optimizer: None),  # type: ignore[arg-type,return-value]
        r"`D`: the learning-rate schedule is made by a function that returns None",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_made_is_told_with_the_player(case: str) -> None:
    wrong, said = WRONG[case]
    with pytest.raises(ConfigError, match=said):
        gan().engine({"G": sgd, "D": wrong})


@pytest.mark.parametrize("of", ["factory", "schedule"])
def test_an_error_of_ones_own_code_stays_it(of: str) -> None:
    def broken(_: Any) -> Any:
        raise ZeroDivisionError

    spec = nvn.Optimizer(broken) if of == "factory" else nvn.Optimizer(sgd, schedule=broken)
    with pytest.raises(ZeroDivisionError) as caught:
        gan().engine({"G": sgd, "D": spec})
    assert caught.value.__notes__ == ["while making the optimizer of `D`"]
