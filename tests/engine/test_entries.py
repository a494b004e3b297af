"""Batches as people have them: other dtypes, arrays, lists, bytes; at first and later."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import nvn
from nvn import energies as en
from nvn.engine.dry_run.conversions import conversions
from nvn.errors import DataError, GameError, GameWarning
from tests.small import linear, sgd, tensor, weights

X, Y = tensor(6, 3).sigmoid(), torch.tensor([0, 1, 2, 0, 1, 2])
BYTES = (X * 255).byte()


def classifying(double: bool = False) -> nvn.Engine:
    """Return an engine of a game that uses x directly and by way of noise, and y as labels."""
    game = nvn.Game("game")
    x, y = game.batch("x", "y")
    G, D = game.player("G", linear()), game.player("D", linear(seed=1))
    if double:
        G.module.double()
        D.module.double()
    G.minimizes(en.mse(G(game.noise("z", 3, like=x)), D(x)))
    D.minimizes(en.cross_entropy(D(x), y))
    return nvn.Engine(nvn.plan(game, nvn.alternating(D, G)), sgd)


ENTRIES: dict[str, tuple[str, Any, str, str]] = {
    "float64": ("x", X.double(), "a float64 tensor of shape (6, 3)", "x.float()"),
    "float16": ("x", X.half(), "a float16 tensor", "x.float()"),
    "bfloat16": ("x", X.bfloat16(), "a bfloat16 tensor", "x.float()"),
    "bytes": ("x", BYTES, "a uint8 tensor of shape (6, 3), with numbers from ", "x.float() / 255"),
    "bytes as integers": ("x", BYTES.long(), "an int64 tensor", "x.float() / 255"),
    "integers": ("x", (9 * X).long(), "an int64 tensor", "x.float()"),
    "booleans": ("x", X > 0.5, "a bool tensor of shape (6, 3), on which", "x.float()"),
    "a float32 array": ("x", X.numpy(), "a NumPy array of float32", "torch.from_numpy(x)"),
    "a float64 array": (
        "x",
        X.double().numpy(),
        "a NumPy array of float64, of shape (6, 3)",
        "torch.from_numpy(x).float()",
    ),
    "an array of bytes": (
        "x",
        BYTES.numpy(),
        "a NumPy array of uint8",
        "torch.from_numpy(x).float() / 255",
    ),
    "nested lists": ("x", X.tolist(), "a list of 6 (list)", "torch.tensor(x)"),
    "a list of tensors": ("x", [*X], "a list of 6 (Tensor)", "torch.stack(x)"),
    "a list of arrays": (
        "x",
        [*X.double().numpy()],
        "a list of 6 (ndarray)",
        "torch.from_numpy(numpy.stack(x)).float()",
    ),
    "a tuple of one": ("x", (X,), "a tuple of 1 (Tensor)", "x[0]"),
    "labels as floats": ("y", Y.float(), "a float32 tensor of shape (6,)", "y.long()"),
    "labels in a list": ("y", Y.tolist(), "a list of 6 (int)", "torch.tensor(y)"),
    "labels in an array": ("y", Y.numpy(), "a NumPy array of int64", "torch.from_numpy(y)"),
    "nothing": ("x", None, "nothing (None), on which `z` fails", "a tensor"),
    "a text": ("x", "six", "a str, on which `z` fails", "a tensor"),
    "texts": ("x", ["six"] * 6, "a list of 6 (str), on which `z` fails", "a tensor"),
}


@pytest.mark.parametrize("case", ENTRIES)
def test_an_entry_that_is_not_as_it_should_be_is_told_once(case: str) -> None:
    name, entry, kind, written = ENTRIES[case]
    with pytest.raises(GameError) as caught:
        classifying().step({"x": X, "y": Y, name: entry})
    (found,) = caught.value.problems
    assert found.found.startswith(f"the batch's {name!r} is {kind}")
    assert found.edit.startswith("let the data yield ")
    assert written in found.edit
    assert f"`{written}`" in found.edit or written == "a tensor"
    assert found.where.startswith("test_entries.py:")


@pytest.mark.parametrize("case", ENTRIES)
def test_a_later_batch_is_told_of_in_the_same_words(case: str) -> None:
    name, entry, kind, written = ENTRIES[case]
    engine = classifying()
    engine.step({"x": X, "y": Y})
    before = weights(engine)["G"]
    with pytest.raises(DataError) as caught:
        engine.step({"x": X, "y": Y, name: entry})
    message = str(caught.value)
    assert message.startswith(f"the batch of step 2 is not like the first: {name!r} is ")
    assert f"the batch's {name!r} is {kind}" in message
    assert written in message
    torch.testing.assert_close(weights(engine)["G"], before)
    engine.step({"x": X, "y": Y})


def test_each_of_several_entries_is_told() -> None:
    with pytest.raises(GameError) as caught:
        classifying().step({"x": X.double().numpy(), "y": Y.tolist()})
    assert [found.edit for found in caught.value.problems] == [
        "let the data yield `torch.from_numpy(x).float()` for 'x'",
        "let the data yield `torch.tensor(y)` for 'y'",
    ]


def test_two_entries_of_one_function_are_told_both() -> None:
    game = nvn.Game("game")
    x, y = game.batch("x", "y")
    f = game.player("f", linear())
    f.minimizes(en.mse(f(nvn.value(torch.cat)([x, y])), f(nvn.value(torch.cat)([y, x]))))
    engine = nvn.Engine(nvn.plan(game, nvn.alternating(f)), sgd)
    with pytest.raises(GameError) as caught:
        engine.step({"x": X.numpy(), "y": X.numpy()})
    assert [found.edit for found in caught.value.problems] == [
        "let the data yield `torch.from_numpy(x)` for 'x'",
        "let the data yield `torch.from_numpy(y)` for 'y'",
    ]


def test_a_sample_of_a_batch_as_it_should_not_be() -> None:
    game = nvn.Game("game")
    x = game.batch("x")
    f = game.player("f", linear())
    f.minimizes(en.mse(f(game.sample("s", lambda g, batch: batch["x"].clone())), f(x)))
    engine = nvn.Engine(nvn.plan(game, nvn.alternating(f)), sgd)
    with pytest.raises(GameError) as caught:
        engine.step({"x": X.numpy().tolist()})
    (found,) = caught.value.problems
    assert found.edit == "let the data yield `torch.tensor(x)` for 'x'"


def test_doubles_go_with_doubles() -> None:
    engine = classifying(double=True)
    engine.step({"x": X.double(), "y": Y})
    with pytest.raises(GameError) as caught:
        classifying(double=True).step({"x": X, "y": Y})
    (found,) = caught.value.problems
    assert found.edit == "let the data yield `x.double()` for 'x'"


class Takes(nn.Module):
    """A player that takes anything, by its own function."""

    def __init__(self, made: Callable[[Any], Tensor]) -> None:
        super().__init__()
        self.inner, self.made = linear(), made

    def forward(self, x: Any) -> Any:
        return self.inner(self.made(x))


@pytest.mark.parametrize(
    ("entry", "made"),
    [
        (BYTES, lambda x: x.float() / 255),
        (X.numpy(), torch.from_numpy),
        (X.tolist(), torch.tensor),
        (["a", "bc"], lambda texts: torch.tensor([[float(len(text))] * 3 for text in texts])),
        ({"inner": X}, lambda x: x["inner"]),
    ],
)
def test_what_a_module_can_take_is_right(entry: Any, made: Callable[[Any], Tensor]) -> None:
    game = nvn.Game("game")
    f = game.player("f", Takes(made))
    f.minimizes(nvn.energy(torch.mean)(f(game.batch("x"))))
    nvn.Engine(nvn.plan(game, nvn.alternating(f)), sgd).step({"x": entry})


def test_other_failures_are_not_blamed_on_the_batch() -> None:
    with pytest.raises(GameError, match=r"the module to accept x of shape \(6, 2\)"):
        classifying().step({"x": X[:, :2], "y": Y})


def test_a_tensor_elsewhere_is_to_be_moved() -> None:
    found, *_ = conversions("x", torch.zeros(2), torch.zeros(1, device="meta"))
    assert found.written == "x.to('meta')"
    assert found.value.device.type == "meta"
    assert not [*conversions("x", torch.zeros(2, device="meta"), torch.zeros(1))]


# --- bytes as floats ----------------------------------------------------------------------------


def seeing() -> nvn.Engine:
    game = nvn.Game("game")
    f = game.player("f", nn.Sequential(nn.Flatten(), linear(12, 1)))
    f.minimizes(nvn.energy(torch.mean)(f(game.batch("x"))))
    return nvn.Engine(nvn.plan(game, nvn.alternating(f)), sgd)


def test_pictures_in_the_range_of_bytes_are_warned_of() -> None:
    pictures = torch.randint(256, (4, 3, 2, 2)).float()
    pictures[0, 0, 0, 0] = 200
    with pytest.warns(GameWarning, match=r"'x' is a float32 .* bytes[^`]*`x / 255` for 'x'"):
        seeing().check({"x": pictures})


@pytest.mark.parametrize("scaled", [torch.rand(4, 3, 2, 2), 255 * torch.rand(4, 3, 2, 2) + 0.1])
def test_other_pictures_are_not(scaled: Tensor) -> None:
    seeing().check({"x": scaled})


# --- no samples ---------------------------------------------------------------------------------


@pytest.mark.parametrize("later", [False, True])
def test_a_batch_without_samples_is_refused(later: bool) -> None:
    engine = classifying()
    if later:
        engine.step({"x": X, "y": Y})
    before = weights(engine)
    with pytest.raises(DataError, match=r"no samples: its 'x' is a float32 tensor of shape \(0, 3"):
        engine.step({"x": X[:0], "y": Y[:0]})
    with pytest.raises(DataError, match="no samples"):
        engine.check({"x": X[:0], "y": Y[:0]})
    torch.testing.assert_close(weights(engine), before)


def test_a_batch_some_of_which_is_empty_fits_or_does_not_as_ever() -> None:
    with pytest.raises(GameError, match="cross_entropy"):
        classifying().step({"x": X, "y": Y[:0]})


# --- one sample ---------------------------------------------------------------------------------


@pytest.mark.parametrize("later", [False, True])
def test_one_sample_is_too_few_for_batch_norm(later: bool) -> None:
    game = nvn.Game("game")
    f = game.player("f", nn.Sequential(linear(), nn.BatchNorm1d(3)))
    f.minimizes(nvn.energy(torch.mean)(f(game.batch("x"))))
    engine = nvn.Engine(nvn.plan(game, nvn.alternating(f)), sgd)
    said = r"`f\(x\)` fails: Expected more than 1 value per(.|\n)*fix: .*drop_last=True"
    if later:
        engine.step({"x": X})
        said = f"the batch of step 2 is not like the first: 'x' has one sample, and had 6\n.*{said}"
    with pytest.raises((GameError, DataError), match=said):
        engine.step({"x": X[:1]})


# --- memory -------------------------------------------------------------------------------------


class Exhausting(nn.Module):
    """A player for whom memory runs out."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.inner, self.error = linear(), error

    def forward(self, x: Tensor) -> Any:
        raise self.error


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_memory_that_runs_out_is_told_as_that_and_once(error: Exception) -> None:
    game = nvn.Game("game")
    x = game.batch("x")
    f, g = game.player("f", Exhausting(error)), game.player("g", Exhausting(error))
    for player in (f, g):
        player.minimizes(nvn.energy(torch.mean)(player(x)))
    engine = nvn.Engine(nvn.plan(game, nvn.alternating(f, g)), sgd)
    with pytest.raises(GameError) as caught:
        engine.check({"x": X})
    (found,) = caught.value.problems
    assert found.found.startswith("memory runs out in `f(x)`, given x of shape (6, 3)")
    assert found.edit == "let the data yield smaller batches, or make the module smaller"
