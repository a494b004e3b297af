from collections.abc import Iterator

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.utils.data import DataLoader

from nvn.data import Batches, Position, Seekable, TensorBatches, batches
from nvn.errors import DataError

ROWS = torch.arange(10)


def taken(data: object, count: int) -> list[list[int]]:
    stream = batches(data)  # type: ignore[arg-type]
    return [next(stream)["x"].tolist() for _ in range(count)]


def test_data_are_read_again_when_they_end() -> None:
    assert taken([{"x": ROWS[:1]}, {"x": ROWS[1:2]}], 5) == [[0], [1], [0], [1], [0]]


def test_a_data_loader_is_data() -> None:
    loader = DataLoader([{"x": row} for row in ROWS], batch_size=5)
    assert taken(loader, 3) == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9], [0, 1, 2, 3, 4]]


def test_a_function_is_called_for_the_data() -> None:
    assert taken(lambda: [{"x": ROWS[:1]}], 2) == [[0], [0]]


def test_named_loaders_are_merged_each_at_its_own_pace() -> None:
    stream = batches({"a": [{"x": 1}, {"x": 2}], "b": [{"y": 1}, {"y": 2}, {"y": 3}]})
    assert [(b["x"], b["y"]) for b in (next(stream) for _ in range(4))] == [
        (1, 1),
        (2, 2),
        (1, 3),
        (2, 1),
    ]
    assert stream.position == {"a": Position(1, 2), "b": Position(1, 1)}


def test_a_position_is_where_a_stream_goes_on() -> None:
    data = TensorBatches({"x": ROWS}, 3, seed=5)
    stream = batches(data)
    for _ in range(5):
        next(stream)
    again = batches(data, stream.position)
    for _ in range(7):
        assert next(stream)["x"].tolist() == next(again)["x"].tolist()


def test_looking_ahead_takes_nothing() -> None:
    stream = batches([{"x": 1}, {"x": 2}])
    assert stream.peek() == stream.peek() == {"x": 1}
    assert stream.position == {"": Position(0, 0)}
    assert [next(stream)["x"], next(stream)["x"]] == [1, 2]
    assert stream.position == {"": Position(0, 2)}


@given(
    samples=st.integers(1, 30),
    size=st.integers(1, 30),
    seed=st.integers(0, 2**62),
    epoch=st.integers(0, 9),
)
def test_an_epoch_gives_each_sample_at_most_once(
    samples: int, size: int, seed: int, epoch: int
) -> None:
    size = min(size, samples)
    data = TensorBatches({"x": torch.arange(samples)}, size, seed)
    seen = [i for batch in data.batches_from(epoch, 0) for i in batch["x"].tolist()]
    assert len(seen) == len(set(seen)) == len(data) * size
    assert len(data) == samples // size


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        data = TensorBatches({"x": torch.arange(100)}, 100, seed)
        return next(data.batches_from(epoch, 0))["x"].tolist()

    assert order(0, 0) == order(0, 0)
    assert len({tuple(order(seed, epoch)) for seed in range(4) for epoch in range(4)}) == 16


def test_without_shuffling_the_order_is_the_samples() -> None:
    assert taken(TensorBatches({"x": ROWS}, 5, shuffle=False), 2) == [
        [0, 1, 2, 3, 4],
        [5, 6, 7, 8, 9],
    ]


def test_a_transform_draws_the_same_at_the_same_position() -> None:
    def noisy(generator: torch.Generator, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"x": torch.rand(1, generator=generator)}

    data = TensorBatches({"x": ROWS}, 2, transform=noisy)
    whole = [b["x"].item() for b in data.batches_from(3, 0)]
    assert [b["x"].item() for b in data.batches_from(3, 2)] == whole[2:]
    assert len(set(whole)) == len(whole)


def test_tensor_batches_are_seekable_and_a_list_is_not() -> None:
    assert isinstance(TensorBatches({"x": ROWS}, 2), Seekable)
    assert not isinstance([], Seekable)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "the data gave no batch at all"),
        ({}, "name at least one loader"),
        (ROWS, "TensorBatches"),
        ({"x": ROWS}, "the loader 'x' is a tensor"),
        (3, "the data: found int"),
        ([ROWS], "yield a dict"),
        ({"a": [{"x": 1}], "b": [{"x": 1}]}, "two loaders give 'x'"),
    ],
)
def test_data_that_do_not_fit(data: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        next(batches(data))  # type: ignore[arg-type]


def test_a_generator_serves_only_once() -> None:
    stream = Batches({"x": i} for i in range(2))
    next(stream), next(stream)
    with pytest.raises(DataError, match="ended after 2 batches and cannot be read again"):
        next(stream)


def test_tensors_of_different_lengths() -> None:
    with pytest.raises(DataError, match="x: 10, y: 9"):
        TensorBatches({"x": ROWS, "y": ROWS[1:]}, 2)


@pytest.mark.parametrize("size", [0, 11])
def test_a_batch_that_cannot_be_taken(size: int) -> None:
    with pytest.raises(DataError, match="from 1 to 10"):
        TensorBatches({"x": ROWS}, size)


class Slow:
    """Data that take long to make, but not a batch of them."""

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        raise AssertionError("all of it was made")

    def sample(self) -> dict[str, Tensor]:
        return {"x": torch.ones(2)}


def test_of_slow_data_a_sample_can_be_read() -> None:
    one = Batches(Slow(), sampled=True)
    assert torch.equal(next(one)["x"], torch.ones(2))
    both = Batches({"slow": Slow(), "quick": [{"y": 1}]}, sampled=True)
    assert set(next(both)) == {"x", "y"}
    with pytest.raises(AssertionError, match="all of it"):
        next(Batches(Slow()))
