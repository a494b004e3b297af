"""What people write out of habit with tensors and modules, and what they are told."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import nvn
from nvn import energies as en
from nvn.errors import GameError
from nvn.game.values import Value
from tests.small import linear

Used = Callable[[Any], object]

ATTRIBUTES: dict[str, tuple[Used, str]] = {
    "detach": (lambda v: v.detach(), r"write `v\.stop_gradient\(\)`"),
    "data": (lambda v: v.data, r"write `v\.stop_gradient\(\)`"),
    "mean": (lambda v: v.mean(), r"`nvn\.value\(torch\.mean\)\(v\)`.*`nvn\.energy\(fn\)\(v\)`"),
    "sum": (lambda v: v.sum(1), r"`nvn\.value\(torch\.sum\)\(v\)`"),
    "shape": (lambda v: v.shape, r"a function of tensors.*`nvn\.value\(fn\)\(v\)`"),
    "view": (lambda v: v.view(2), r"a function of tensors.*`nvn\.value\(fn\)\(v\)`"),
    "T": (lambda v: v.T, r"a function of tensors"),
    "backward": (lambda v: v.backward(), r"`player\.minimizes\(…\)`.*`nvn\.gradient\(y, x\)`"),
    "grad": (lambda v: v.grad, r"`player\.minimizes\(…\)`"),
    "item": (lambda v: v.item(), r"`engine\.values\(batch, \[v\]\)`"),
    "numpy": (lambda v: v.numpy(), r"`engine\.values\(batch, \[v\]\)`"),
    "to": (lambda v: v.to("cuda"), "leave it out"),
    "cuda": (lambda v: v.cuda(), "leave it out"),
}
KINDS: dict[str, tuple[Used, str]] = {
    "cat": (lambda v: torch.cat([v, v]), r"write `nvn\.value\(torch\.cat\)\(…\)`"),
    "mean": (torch.mean, r"`nvn\.energy\(torch\.mean\)\(…\)`"),
    "stack": (lambda v: torch.stack((v,), dim=1), r"`nvn\.value\(torch\.stack\)\(…\)`"),
    "a keyword": (lambda v: torch.add(torch.ones(1), other=v), "torch.add is given a value"),
    "mse_loss": (lambda v: functional.mse_loss(v, v), r"write `nvn\.energies\.mse\(…\)`"),
    "MSELoss": (lambda v: nn.MSELoss()(v, v), r"write `nvn\.energies\.mse\(…\)`"),
    "cross entropy": (lambda v: functional.cross_entropy(v, v), r"`nvn\.energies\.cross_entropy"),
    "relu": (nn.ReLU(), r"`nvn\.value\(torch\.nn\.functional\.relu\)\(…\)`"),
    "a module": (linear(), r'`P = game\.player\("P", module\)`, or `game\.frozen\("P", module\)`'),
    "truth": (bool, r"v has no truth value.*`nvn\.value\(fn\)\(v\)`"),
    "float": (float, r"v is no number.*`engine\.values\(batch, \[v\]\)`"),
    "int": (int, "v is no number"),
    "round": (round, "v is no number"),
    "len": (len, "v has no length"),
    "steps": (list, r"write v\[0\], v\[1\], … for the parts of v"),
    "in": (lambda v: 1 in v, "v contains nothing"),
    "asarray": (np.asarray, "v is no array"),
    "array": (lambda v: np.array([v, v]), "v is no array"),
    "concatenate": (lambda v: np.concatenate([v, v]), "v is no array"),
    "np.mean": (np.mean, "v is no array"),
    "tensor": (torch.tensor, "v has no length"),
}


def one_line(error: GameError) -> str:
    return " ".join(str(error).split())


def told(used: Used, of: Any, expected: type[Exception]) -> str:
    """Return what is told; it is an error of nvn's, of Python's kind too, and names this file."""
    with pytest.raises(GameError) as caught:
        used(of)
    assert isinstance(caught.value, expected)
    (found,) = caught.value.problems
    assert found.where.startswith("test_habits.py:")
    return one_line(caught.value)


@pytest.mark.parametrize("habit", ATTRIBUTES)
def test_what_tensors_have_and_values_have_not(v: Value, habit: str) -> None:
    used, said = ATTRIBUTES[habit]
    with pytest.raises(AttributeError, match="(?s)" + said.replace(" ", r"\s+")):
        used(v)
    assert f"`.{habit}` of `v`" in told(used, v, AttributeError)


@pytest.mark.parametrize("habit", KINDS)
def test_what_tensors_can_be_used_as_and_values_cannot(v: Value, habit: str) -> None:
    used, said = KINDS[habit]
    with pytest.raises(TypeError, match="(?s)" + said.replace(" ", r"\s+")):
        used(v)
    assert told(used, v, TypeError)


def test_comparing_values_is_told(v: Value) -> None:
    with pytest.raises(GameError, match=r"`nvn\.value\(fn\)\(v\)`"):
        assert v > 0  # type: ignore[operator]


@pytest.mark.parametrize("sums", [False, True])
def test_energies_are_no_losses(v: Value, sums: bool) -> None:
    energy = en.mse(v, v).named("loss")
    loss: Any = 2 * energy if sums else energy
    assert "`player.minimizes(…)`" in told(lambda x: x.backward(), loss, AttributeError)
    assert "the records that `engine.step` returns" in told(
        lambda x: x.item(), loss, AttributeError
    )
    assert "engine" in told(float, loss, TypeError)
    assert "energ" in told(torch.mean, loss, TypeError)
    with pytest.raises(AttributeError, match="object has no attribute 'losses'"):
        _ = loss.losses
    assert not hasattr(loss, "shape")
    assert copy.copy(loss).__class__ is loss.__class__


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = linear()

    def encode(self, x: Any) -> Any:
        return self.inner(x)


@pytest.mark.parametrize(
    ("used", "said"),
    [
        (lambda E: E.encode(None), "write `E.method('encode')(…)`"),
        (lambda E: E.inner(None), "write `E.method('inner')(…)`"),
        (lambda E: E.parameters(), "write `E.module.parameters`"),
        (lambda E: E.state_dict(), "write `E.module.state_dict`"),
        (lambda E: E.eval(), "leave it out: modes and flags are set where players move"),
        (lambda E: E.requires_grad_(False), "`game.frozen('E', …)`"),
    ],
)
def test_players_are_no_modules(game: nvn.Game, used: Used, said: str) -> None:
    E = game.player("E", Encoder())
    assert said in told(used, E, AttributeError)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (lambda x: x, r"'G' is given a function.*`nvn\.value\(fn\)\(v\)`"),
        (nn.Linear, r"the class Linear itself.*call it: `Linear\(…\)`"),
        ([linear()], r"'G' is given a list.*torch\.nn\.Sequential"),
        (None, r"'G' is given a NoneType.*give it a module"),
    ],
)
@pytest.mark.parametrize("way", ["player", "frozen", "team"])
def test_what_is_no_module_is_no_player(game: nvn.Game, given: Any, said: str, way: str) -> None:
    with pytest.raises(GameError, match=f"(?s){said}"):
        game.team("both", G=given) if way == "team" else getattr(game, way)("G", given)


def test_looking_at_values_and_players_works_as_ever(v: Value, G: nvn.Player) -> None:
    for thing in (v, G(v), G):
        assert not hasattr(thing, "shape")
        assert getattr(thing, "nowhere", 3) == 3
        for name in ("nowhere", "_repr_html_", "__wrapped__", "_ipython_display_"):
            with pytest.raises(AttributeError, match="object has no attribute") as caught:
                getattr(thing, name)
            assert not isinstance(caught.value, GameError)
        assert repr(copy.copy(thing)) == repr(thing)
        assert repr(copy.deepcopy(thing)) == repr(thing)
        assert repr(pickle.loads(pickle.dumps(thing))) == repr(thing)
        assert "table" in dir(thing)
    assert not torch.is_tensor(v)
    blank = Value.__new__(Value)
    assert not hasattr(blank, "shape")
    assert not hasattr(nvn.Player.__new__(nvn.Player), "parameters")


def test_a_float_of_numpy_weighs_as_ever(v: Value) -> None:
    energy = en.mse(v, v).named("loss")
    assert str(np.float64(2) * energy) == "2 loss"
    with pytest.raises(GameError, match="as a weight"):
        _ = torch.tensor(0.5) * energy


def test_what_was_noted_before_is_told_too(game: nvn.Game, v: Value) -> None:
    game.player("no name", linear())
    with pytest.raises(GameError) as caught:
        v.detach()  # type: ignore[attr-defined]
    assert len(caught.value.problems) == 2
