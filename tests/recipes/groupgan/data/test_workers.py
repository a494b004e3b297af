"""Workers: threads whose operations have one thread each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from nvn_recipes.groupgan.data.photographs.reading import in_threads
from nvn_recipes.groupgan.data.workers import workers


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(threads)


def threads_of(item: int) -> int:
    return torch.get_num_threads()


def test_each_worker_computes_with_one_thread() -> None:
    with workers() as pool:
        assert set(pool.map(threads_of, range(6))) == {1}
    assert set(in_threads(threads_of, range(12))) == {1}


def test_afterwards_there_are_as_many_threads_as_before() -> None:
    def fails(item: int) -> int:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        list(in_threads(fails, range(3)))
    assert torch.get_num_threads() == 2
    begun = in_threads(threads_of, range(50))
    next(begun)
    begun.close()
    assert torch.get_num_threads() == 2
