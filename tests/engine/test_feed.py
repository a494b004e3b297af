"""What engine.step is given instead of batches, and what to write then."""

from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from nvn.errors import DataError
from tests.small import BATCH, gan

X = torch.zeros(4, 3)
LOADER: Any = DataLoader(TensorDataset(X), batch_size=2)
ITERATE = r"Make it an iterator once, before the loop: `batches = iter\(loader\)`"
NAME = r'Name its tensors as game\.batch\(…\) does: `\{"x": '


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        (LOADER, f"got a DataLoader; .*{ITERATE}"),
        ([BATCH, BATCH], f"got a list; .*{ITERATE}"),
        (X, f"got a Tensor; .*{NAME}batch,"),
        ((X, X), rf"got a tuple; .*{NAME}batch\[0\],"),
        (iter(LOADER), rf"took a list as a batch; .*{NAME}batch\[0\],"),
        (iter([X]), f"took a Tensor as a batch; .*{NAME}batch,"),
        ("x", "got a str; expected a dict of tensors, or an iterator of such dicts$"),
        (None, "got a NoneType; expected a dict of tensors, or an iterator of such dicts$"),
    ],
)
def test_what_is_no_batch_comes_with_a_hint(given: Any, hint: str) -> None:
    with pytest.raises(DataError, match=hint):
        gan().engine().step(given)
