"""Records: numbers left on the device until they are read."""

import math

import pytest
import torch

from nvn.records import Record


@pytest.fixture
def record() -> Record:
    energies = {"mse": torch.tensor(0.1), "adv": torch.tensor(2.0, dtype=torch.float64)}
    return Record(
        3, energies, {"G": torch.tensor(0.5, dtype=torch.bfloat16)}, {"G": torch.ones(())}
    )


def test_a_record_gives_floats_by_name(record: Record) -> None:
    assert record.step == 3
    assert record.energies == {"mse": torch.tensor(0.1).item(), "adv": 2.0}
    assert record.objectives == {"G": 0.5}
    assert record.gradient_norms == {"G": 1.0}
    assert all(type(x) is float for x in record.energies.values())


def test_numbers_are_fetched_once_and_only_when_read(monkeypatch: pytest.MonkeyPatch) -> None:
    fetched = []
    stack = torch.stack
    monkeypatch.setattr(torch, "stack", lambda tensors: fetched.append(1) or stack(tensors))
    record = Record(1, {"a": torch.tensor(1.0)}, {"G": torch.tensor(2.0)}, {})
    assert repr(record) == "<Record of step 1>"
    assert not fetched
    assert (record.energies, record.objectives, record.gradient_norms) == (
        {"a": 1.0},
        {"G": 2.0},
        {},
    )
    assert record.energies is record.energies
    assert len(fetched) == 1


def test_a_record_needs_no_graph() -> None:
    weight = torch.ones((), requires_grad=True)
    assert Record(1, {"a": 2 * weight}, {}, {}).energies == {"a": 2.0}


def test_an_iteration_without_moves_leaves_no_numbers() -> None:
    empty = Record(1, {}, {}, {})
    assert (empty.energies, empty.objectives, empty.gradient_norms) == ({}, {}, {})


def test_a_record_can_be_kept_and_made_again(record: Record) -> None:
    again = Record.of_state(record.state_dict())
    assert again.state_dict() == record.state_dict()
    assert (again.step, again.energies) == (record.step, record.energies)
    broken = Record.of_state(Record(1, {"a": torch.tensor(math.nan)}, {}, {}).state_dict())
    assert math.isnan(broken.energies["a"])
