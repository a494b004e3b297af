import math
from types import SimpleNamespace

import pytest

from nvn.training import buffer
from nvn.training.buffer import RecordBuffer


def test_a_buffer_is_due_when_there_is_enough() -> None:
    records = RecordBuffer[int](enough=3, seconds=math.inf)
    assert [records.add(i) for i in range(3)] == [False, False, True]
    assert records.take() == [0, 1, 2]
    assert records.take() == []
    assert not records.add(3)


def test_a_buffer_is_due_when_the_first_has_waited(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [5.0]
    monkeypatch.setattr(buffer, "time", SimpleNamespace(monotonic=lambda: now[0]))
    records = RecordBuffer[int](enough=100, seconds=1.0)
    assert not records.add(0)
    now[0] = 5.9
    assert not records.add(1)
    now[0] = 6.0
    assert records.add(2)
