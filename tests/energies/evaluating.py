"""A tiny evaluator, enough of an engine to compute an energy; what tests of energies share."""

import weakref

import torch
from hypothesis import settings
from hypothesis import strategies as st
from torch import nn

from nvn import energies as en
from nvn import pytree
from nvn.game.game import Game
from nvn.game.ops import Apply, Batch, Call, Gradient, Item, Sample, StopGradient
from nvn.game.values import Energy, Value

FAMILIES = [
    en.Minimax(),
    en.NonSaturating(),
    en.Hinge(),
    en.LeastSquares(),
    en.LeastSquares(a=-1.0, b=1.0, c=0.0),
    en.Wasserstein(),
]
PAIRED = en.RelativisticPaired()
# Large enough that exp overflows a naive formula in float32, and that 1 − σ(l) is 0 in float64.
EXTREME = [-800.0, -50.0, -20.5, -1.0, -0.25, 0.0, 0.25, 1.0, 20.5, 50.0, 800.0]

properties = settings(deadline=None, max_examples=50)
few = settings(deadline=None, max_examples=10)
seeds = st.integers(0, 2**32 - 1)
logits_lists = st.lists(st.floats(-60, 60), min_size=1, max_size=12)


def double(*numbers):
    return torch.tensor(numbers, dtype=torch.float64)


def random(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


MODULES = weakref.WeakKeyDictionary()  # the players' modules of each game that game_of made


def evaluate(value, batch, known=None):
    """Compute `value` from the batch up, every value once, with autograd."""
    known = {} if known is None else known
    if value not in known:
        args, kwargs = pytree.map_leaves(
            lambda x: evaluate(x, batch, known) if isinstance(x, Value) else x,
            (value.args, dict(value.kwargs)),
        )
        known[value] = _computed(value.op, args, kwargs, batch, MODULES.get(value.table))
    return known[value]


def _computed(op, args, kwargs, batch, modules):
    match op:
        case Batch(name):
            return batch[name].clone().requires_grad_(batch[name].is_floating_point())
        case Sample(_, fn):
            return fn(torch.Generator().manual_seed(7), batch)
        case Call(player, method, _):
            return getattr(modules[player], method)(*args, **kwargs)
        case Apply(fn):
            return fn(*args, **kwargs)
        case Item(index):
            return args[0][index]
        case StopGradient():
            return pytree.map_leaves(torch.Tensor.detach, args[0])
        case Gradient():
            return torch.autograd.grad(args[0].sum(), args[1], create_graph=True)[0]


def game_of(*names, **modules):
    game = Game("test")
    values = [game.batch(name) for name in names]
    players = [game.player(name, module) for name, module in modules.items()]
    MODULES[game.table] = modules
    return game, *values, *players


def energy_of(declare, *tensors):
    """Declare an energy of values and compute it on tensors (or trees of them)."""
    game = Game("test")
    batch, values = {}, []
    for i, tensor in enumerate(tensors):
        values.append(pytree.map_leaves(lambda t, i=i: _named(game, batch, t, i), tensor))
    declared = declare(*values)
    if isinstance(declared, Energy):
        return evaluate(declared, batch)
    (term,) = declared.terms
    return term.weight.factor * evaluate(term.energy, batch)


def _named(game, batch, tensor, index):
    name = f"x{index}_{len(batch)}"
    batch[name] = tensor
    return game.batch(name)


class Linear(nn.Module):
    """A critic l = x·w (+ b), whose gradient is w at every sample."""

    def __init__(self, weight, bias=0.0):
        super().__init__()
        self.weight = nn.Parameter(weight)
        self.bias = bias

    def forward(self, x):
        return x.flatten(1) @ self.weight.flatten() + self.bias

    def features(self, x):
        return {"deep": self(x)[:, None], "shallow": [x, 2.0 * x]}


class Scales(nn.Module):
    def forward(self, x):
        return [x, x[:, ::2], x[:, :1]]
