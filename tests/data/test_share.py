"""Several processes read what one reads with batches as large as all of theirs together."""

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, DistributedSampler, Subset

import nvn
from nvn.data import Batches, Share
from nvn.errors import DataError, NvnWarning

SAMPLES = 23


class Noisy(Dataset[dict[str, Tensor]]):
    """Samples that are augmented at random."""

    def __len__(self) -> int:
        return SAMPLES

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"x": index + torch.rand(()), "n": torch.tensor(index)}


def jittered(generator: torch.Generator, batch: dict[str, Tensor]) -> dict[str, Any]:
    return {"x": batch["x"] + torch.rand(len(batch["x"]), generator=generator), "all": "kept"}


def tensors(size: int) -> Any:
    return nvn.data.TensorBatches({"x": torch.arange(float(SAMPLES))}, size, seed=3)


def transformed(size: int) -> Any:
    x = torch.arange(float(SAMPLES))
    return nvn.data.TensorBatches({"x": x}, size, seed=3, transform=jittered)


def shuffled(size: int) -> Any:
    return DataLoader(Noisy(), batch_size=size, shuffle=True, drop_last=True)


def subset(size: int) -> Any:
    part: Subset[Any] = Subset(Noisy(), range(1, SAMPLES))
    return DataLoader(part, batch_size=size, shuffle=True, drop_last=True)


def listed(size: int) -> Any:
    return [{"x": torch.arange(i, i + size)} for i in range(0, SAMPLES - size + 1, size)]


class Streamed:
    def __init__(self, size: int) -> None:
        self.size = size

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        yield from listed(self.size)


class Positioned(Streamed):
    def batches_from(self, epoch: int, start: int) -> Iterator[dict[str, Tensor]]:
        yield from listed(self.size)[start:]


KINDS: list[Callable[[int], Any]] = [
    tensors, transformed, shuffled, subset, listed, Streamed, Positioned,
]  # fmt: skip


def together(data: Callable[[], Any], count: int, rounds: int) -> list[list[Any]]:
    """What all processes read, side by side."""
    streams = [Batches(data(), seed=5, share=Share(rank, count)) for rank in range(count)]
    return [[next(stream) for stream in streams] for _ in range(rounds)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [1, 2, 3])
def test_together_they_read_the_large_batches(kind: Callable[[int], Any], count: int) -> None:
    size, rounds = 3, 9  # of several epochs
    large = Batches(kind(size * count), seed=5)
    for parts in together(lambda: kind(size), count, rounds):
        whole = next(large)
        for name in whole:
            if isinstance(whole[name], Tensor):
                torch.testing.assert_close(torch.cat([p[name] for p in parts]), whole[name])
            else:
                assert all(part[name] == whole[name] for part in parts)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_each_goes_on_from_the_state_of_the_first(
    kind: Callable[[int], Any], data: st.DataObject
) -> None:
    """However many there are: the state says what was read by all."""
    count, cut = data.draw(st.integers(1, 3)), data.draw(st.integers(0, 8))
    streams = [Batches(kind(3), seed=5, share=Share(rank, count)) for rank in range(count)]
    for stream in streams:
        for _ in range(cut):
            next(stream)
    states = [stream.state_dict() for stream in streams]
    assert all(state == states[0] for state in states)
    expected = next(streams[-1])["x"].tolist()
    again = Batches(kind(3), seed=5, share=Share(count - 1, count))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NvnWarning)  # of data that are read again
        again.load_state_dict(states[0])
    assert next(again)["x"].tolist() == expected


def test_another_number_of_processes_goes_on_behind_what_was_read() -> None:
    """Nothing of an epoch is read twice."""
    two = [Batches(tensors(3), share=Share(rank, 2)) for rank in range(2)]
    seen = [x for stream in two for x in next(stream)["x"].tolist()]
    three = [Batches(tensors(3), share=Share(rank, 3)) for rank in range(3)]
    for stream in three:
        stream.load_state_dict(two[0].state_dict())
        seen += next(stream)["x"].tolist()
    assert len(set(seen)) == len(seen) == 15


def test_a_last_smaller_batch_is_left_out() -> None:
    sizes = [4, 4, 4, 2]
    for count in (2, 3):
        rounds = together(lambda: [{"x": torch.zeros(n)} for n in sizes], count, 3)
        assert all(len(part["x"]) == 4 for parts in rounds for part in parts)


def test_batches_of_several_sizes_are_told() -> None:
    sizes = [4, 2, 4, 4]
    with pytest.warns(NvnWarning, match="2 processes play batches of 4, 2 samples together"):
        rounds = together(lambda: [{"x": torch.zeros(n)} for n in sizes], 2, 3)
    assert [[len(part["x"]) for part in parts] for parts in rounds] == [[4, 2], [4, 4], [4, 2]]


def test_too_few_batches_are_told() -> None:
    stream = Batches([{"x": torch.zeros(2)}], share=Share(1, 2))
    with pytest.raises(DataError, match="no batch at all, or too few of one size for 2 processes"):
        next(stream)


def test_what_is_divided_already_is_refused() -> None:
    sampler: DistributedSampler[Any] = DistributedSampler(Noisy(), num_replicas=2, rank=0)
    loader = DataLoader(Noisy(), batch_size=2, sampler=sampler)
    next(Batches(loader))  # one process may have it, whatever for
    with pytest.raises(DataError, match="has a DistributedSampler.*leave the sampler out"):
        Batches(loader, share=Share(0, 2))
