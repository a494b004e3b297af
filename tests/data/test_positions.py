"""Whatever the data are, a stream that is loaded gives the batches that were still to come."""

import random
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    SubsetRandomSampler,
    WeightedRandomSampler,
)

import nvn
from nvn.checkpoint.encoding import decode, encode
from nvn.data import Batches, Position
from nvn.errors import DataError, NvnWarning


class Rows(Dataset[dict[str, Tensor]]):
    """Samples that draw from every global stream there is."""

    def __len__(self) -> int:
        return 11

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        drawn = [random.random(), np.random.rand(), torch.rand(()).item()]
        return {"x": torch.tensor([index, *drawn], dtype=torch.float64)}


class ManyRows(Rows):
    """As some datasets have it, all samples of a batch at once."""

    def __getitems__(self, indices: list[int]) -> list[dict[str, Tensor]]:
        return [self[index] for index in reversed(indices)]


class Stream(IterableDataset[dict[str, Tensor]]):
    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        for index in range(7):
            drawn = [random.random(), np.random.rand(), torch.rand(()).item()]
            yield {"x": torch.tensor([index, *drawn], dtype=torch.float64)}


class Moody:
    """An iterable with a stream of its own, which goes on from epoch to epoch."""

    def __init__(self) -> None:
        self.own = random.Random(0)

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        for _ in range(self.own.randint(2, 4)):
            yield {"x": torch.tensor([self.own.random(), random.random()])}


class ByItself:
    """A loader with a state, with the manners of torchdata's StatefulDataLoader."""

    def __init__(self) -> None:
        self.epoch = 0
        self.taken = 0
        self.loaded = False

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        if not self.loaded:
            self.taken = 0
        self.loaded = False
        order = torch.randperm(5, generator=torch.Generator().manual_seed(self.epoch))
        while self.taken < 5:
            self.taken += 1
            yield {"x": order[self.taken - 1]}
        self.epoch += 1

    def state_dict(self) -> dict[str, Any]:
        return {"epoch": self.epoch, "taken": self.taken}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.epoch, self.taken = state_dict["epoch"], state_dict["taken"]
        self.loaded = True


def loader(dataset: Any = None, **options: Any) -> DataLoader[Any]:
    return DataLoader(Rows() if dataset is None else dataset, **options)


def weighted() -> WeightedRandomSampler:
    return WeightedRandomSampler([float(i + 1) for i in range(11)], 9)


def own_generator() -> torch.Generator:
    return torch.Generator().manual_seed(5)


class Halves:
    """A batch sampler of somebody's own, which draws as it goes."""

    def __iter__(self) -> Iterator[list[int]]:
        for _ in range(4):
            yield [random.randrange(11), int(torch.randint(11, ()))]


KINDS: dict[str, Callable[[], Any]] = {
    "tensors": lambda: nvn.data.TensorBatches({"x": torch.arange(10)}, 3),
    "a list": lambda: [{"x": torch.tensor(i)} for i in range(3)],
    "a tuple": lambda: tuple({"x": torch.tensor(i)} for i in range(3)),
    "by itself": ByItself,
    "moody": Moody,
    "two": lambda: {
        "a": nvn.data.TensorBatches({"x": torch.arange(10)}, 3),
        "b": [{"y": 1}, {"y": 2}],
    },
    "in order": lambda: loader(batch_size=3),
    "shuffled": lambda: loader(batch_size=3, shuffle=True),
    "without the last": lambda: loader(batch_size=3, shuffle=True, drop_last=True),
    "many at once": lambda: loader(ManyRows(), batch_size=3, shuffle=True),
    "one by one": lambda: loader(batch_size=None, shuffle=True),
    "a generator": lambda: loader(batch_size=2, shuffle=True, generator=own_generator()),
    "weighted": lambda: loader(batch_size=2, sampler=weighted()),
    "a subset": lambda: loader(batch_size=2, sampler=SubsetRandomSampler([1, 3, 5, 7])),
    "their batches": lambda: loader(batch_sampler=Halves()),
    "collated": lambda: loader(
        batch_size=3, collate_fn=lambda rows: {"x": torch.rand(()) + len(rows)}
    ),
    "iterable": lambda: DataLoader(Stream(), batch_size=2),
}


def plain(batch: Any) -> dict[str, Any]:
    return {name: x.tolist() if isinstance(x, Tensor) else x for name, x in batch.items()}


def taken(stream: Batches, count: int) -> list[dict[str, Any]]:
    return [plain(next(stream)) for _ in range(count)]


def through_a_file(state: Any) -> Any:
    return decode(*encode(state))


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=12)
@given(cut=st.integers(0, 17), looked=st.booleans(), seed=st.integers(0, 3))
def test_a_stream_that_is_loaded_goes_on(kind: str, cut: int, looked: bool, seed: int) -> None:
    whole = taken(Batches(KINDS[kind](), seed=seed), 20)
    first = Batches(KINDS[kind](), seed=seed)
    torch.manual_seed(cut)  # nothing outside matters
    before = taken(first, cut)
    if looked:
        assert plain(first.peek()) == whole[cut]
    state = through_a_file(first.state_dict())
    random.seed(cut)
    second = Batches(KINDS[kind](), seed=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NvnWarning)
        second.load_state_dict(state)
    if looked:
        assert plain(second.peek()) == whole[cut]
    assert before + taken(second, 20 - cut) == whole
    assert taken(first, 20 - cut) == whole[cut:]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("by itself",)])
def test_reading_leaves_the_global_streams_alone(kind: str) -> None:
    stream = Batches(KINDS[kind]())
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    expected = random.random(), np.random.rand(), torch.rand(()).item()
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    taken(stream, 9)
    assert (random.random(), np.random.rand(), torch.rand(()).item()) == expected


def test_the_order_of_a_data_loader_differs_by_epoch_and_seed() -> None:
    def orders(seed: int) -> list[list[float]]:
        stream = Batches(loader(batch_size=11, shuffle=True), seed=seed)
        return [[row[0] for row in plain(next(stream))["x"]] for _ in range(2)]

    first, second = orders(0)
    assert sorted(first) == sorted(second) == list(range(11))
    assert first != second
    assert orders(0) == [first, second]
    assert orders(1)[0] != first


def test_the_draws_differ_from_batch_to_batch_and_between_loaders() -> None:
    stream = Batches({"a": loader(batch_size=2), "b": loader(batch_size=2, collate_fn=_as_y)})
    rows = [row[1:] for _ in range(12) for xs in next(stream).values() for row in xs.tolist()]
    assert len({tuple(row) for row in rows}) == len(rows)


def _as_y(rows: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {"y": torch.stack([row["x"] for row in rows])}


def test_what_has_to_be_read_again_is_told() -> None:
    stream = Batches(Moody())
    taken(stream, 5)
    with pytest.warns(
        NvnWarning, match=r"what came before batch \d of epoch \d was read again, in"
    ):
        Batches(Moody()).load_state_dict(stream.state_dict())


def test_data_that_have_become_shorter_are_noticed() -> None:
    whole = Batches(Generated(5))
    taken(whole, 4)
    with pytest.raises(DataError, match="ended after 2 batches, and 4 had been taken"):
        Batches(Generated(2)).load_state_dict(whole.state_dict())


class Generated:
    def __init__(self, length: int) -> None:
        self.length = length

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter([{"x": i} for i in range(self.length)])


def test_a_state_of_other_loaders_is_refused() -> None:
    state = Batches({"a": [{"x": 1}], "b": [{"y": 1}]}).state_dict()
    with pytest.raises(DataError, match="of the loaders 'a', 'b'; there are ''"):
        Batches([{"x": 1}]).load_state_dict(state)


def test_a_position_can_be_given() -> None:
    stream = nvn.data.batches(loader(batch_size=3), {"": Position(1, 2)})
    assert stream.position == {"": Position(1, 2)}
    assert [row[0] for row in plain(next(stream))["x"]] == [6, 7, 8]


def test_later_batches_do_not_replace_what_is_drawn_either() -> None:
    stream = Batches([{"x": 1}, {"x": 2, "z": 3}])
    stream.refuse(["z"])
    next(stream)
    with pytest.raises(DataError, match="the data yield 'z', which the game draws at random"):
        next(stream)


# --- workers ---


@pytest.mark.parametrize("options", [{"prefetch_factor": 1}, {"persistent_workers": True}])
def test_workers_change_no_batch(options: dict[str, Any]) -> None:
    whole = taken(Batches(loader(batch_size=3, shuffle=True)), 9)
    stream = Batches(loader(batch_size=3, shuffle=True, num_workers=2, **options))
    stream.peek()
    assert taken(stream, 6) == whole[:6]
    again = Batches(loader(batch_size=3, shuffle=True, num_workers=1))
    again.load_state_dict(stream.state_dict())
    assert taken(again, 3) == whole[6:]


def test_an_interruption_between_two_loaders_loses_no_batch() -> None:
    class Slow:
        interrupted = False

        def __iter__(self) -> Iterator[dict[str, Any]]:
            return self.batches_from(0, 0)

        def batches_from(self, epoch: int, start: int) -> Iterator[dict[str, Any]]:
            for index in range(start, 5):
                if index == 2 and not self.interrupted:
                    self.interrupted = True
                    raise KeyboardInterrupt
                yield {"b": index}

    def data() -> dict[str, Any]:
        return {"a": nvn.data.TensorBatches({"a": torch.arange(10)}, 2), "b": Slow()}

    calm = data()
    calm["b"].interrupted = True
    whole = taken(Batches(calm), 8)
    stream = Batches(data())
    assert taken(stream, 2) == whole[:2]
    with pytest.raises(KeyboardInterrupt):
        stream.peek()
    state = stream.state_dict()
    assert taken(stream, 3) == whole[2:5]
    again = Batches(calm)
    again.load_state_dict(state)
    assert taken(again, 3) == whole[2:5]
