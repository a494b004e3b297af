"""Random games: gradients equal a reference written by hand, and how a game is written is nothing.

Games are plain data (specs.py), drawn at random (strategies.py), written in nvn (styles.py), and
computed by plain autograd without a line of nvn (reference.py).
The default suite draws the same games each time; `-m slow` draws many more.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

import nvn
from tests.games import reference
from tests.games.reference import assert_close
from tests.games.specs import (
    Called,
    GameSpec,
    Given,
    MoveSpec,
    PlayerSpec,
    Ref,
    Stopped,
    TermSpec,
    batches,
    game_of,
    of_teams,
)
from tests.games.strategies import Taste, examples, games
from tests.games.styles import Declared, Style, declare, energy_of, sign_of

pytestmark = [
    pytest.mark.filterwarnings("error"),
    # Random weights are sometimes all zero, and sometimes meant to be.
    pytest.mark.filterwarnings("ignore:.*all weights of the objective of"),
]

any_game = st.one_of(games(), games(Taste(penalties=False)))
adam = partial(torch.optim.Adam, lr=0.01)
sgd = partial(torch.optim.SGD, lr=0.01)


def rates(spec: GameSpec) -> dict[str, float]:
    """A learning rate of its own for every player."""
    return {player.name: 0.005 * (i + 1) for i, player in enumerate(spec.players)}


def engine_of(declared: Declared, optimizers: Any) -> nvn.Engine:
    return nvn.Engine(nvn.plan(declared.game, declared.schedule), optimizers)


def sgd_for(spec: GameSpec) -> dict[str, Any]:
    return {name: partial(torch.optim.SGD, lr=rate) for name, rate in rates(spec).items()}


# --- against the reference --------------------------------------------------------------------


def check_gradients(spec: GameSpec) -> None:
    modules = spec.modules()
    engine = engine_of(declare(spec, modules), sgd_for(spec))
    batch = next(batches())
    names = [p.name for p in spec.active]
    together = engine.gradients(batch, names)
    assert list(together) == names
    for name in names:
        expected = reference.gradients(spec, modules, batch, name, step=0)
        assert_close(together[name], expected, name)
        assert_close(engine.gradients(batch, name)[name], expected, f"{name} alone")


def check_steps(spec: GameSpec, steps: int = 2) -> None:
    ours, theirs = spec.modules(), spec.modules()
    engine = engine_of(declare(spec, ours), sgd_for(spec))
    supply, same_supply = batches(), batches()
    for step in range(steps):
        engine.step(supply)
        reference.play(spec, theirs, same_supply, step, rates(spec))
        for name, expected in reference.state(theirs).items():
            assert_close(reference.state(ours)[name], expected, f"step {step}: {name}")
            theirs[name].load_state_dict(ours[name].state_dict())  # rounding must not add up


@examples(80)
@given(any_game)
def test_gradients_equal_autograd(spec: GameSpec) -> None:
    """∂V_p/∂θ_p of every player, asked for together and alone, to 1e-10 in float64."""
    check_gradients(spec)


@examples(45)
@given(any_game)
def test_a_step_is_theta_minus_rate_times_gradient(spec: GameSpec) -> None:
    """Two iterations of a random schedule equal the moves made by hand, buffers included."""
    check_steps(spec)


P, Q = PlayerSpec("P", seed=1), PlayerSpec("Q", output="dict", seed=2)
BATCH = (Given("a"), Given("b"))
MADE_BY_HAND = {
    # P minimizes mse(P(a), constant P(b)).
    "a target": game_of(
        (P,),
        (*BATCH, Called("P", (Ref(0),)), Called("P", (Ref(1),)), Stopped((Ref(3),))),
        {"mse": (Ref(2), Ref(4))},
        {"P": [(0, 1.0)]},
    ),
    # Q judges what P makes, one energy with opposite signs.
    "an opponent": game_of(
        (P, Q),
        (*BATCH, Called("P", (Ref(0),)), Called("Q", (Ref(2), Ref(1)))),
        {"minimax.fake": (Ref(3, "out"),)},
        {"P": [(0, -1.0)], "Q": [(0, 1.0)]},
    ),
    # A penalty on the slope of Q at what P makes moves both.
    "a penalty": game_of(
        (P, Q),
        (*BATCH, Called("P", (Ref(0),)), Called("Q", (Ref(2),))),
        {"penalty": (Ref(3, "out"), Ref(2)), "square": (Ref(3, "hidden"),)},
        {"P": [(0, 0.5), (1, -1.0)], "Q": [(0, 2.0)]},
    ),
    # P's weight on its second energy is the first one, which it does not move through the weight.
    "a weight": game_of(
        (P,),
        (*BATCH, Called("P", (Ref(0),)), Called("P", (Ref(2),), method="encode")),
        {"square": (Ref(2),), "inner": (Ref(3), Ref(1))},
        {"P": [(0, 0.0), (1, 1.0, 0)]},
    ),
    # One player, called on what it made itself.
    "a loop": game_of(
        (Q,),
        (*BATCH, Called("Q", (Ref(0),)), Called("Q", (Ref(2, "hidden"), Ref(2, "out")))),
        {"saturating.not": (Ref(3, "out"),)},
        {"Q": [(0, -0.7)]},
    ),
}


@pytest.mark.parametrize("spec", MADE_BY_HAND.values(), ids=MADE_BY_HAND)
def test_games_made_by_hand(spec: GameSpec) -> None:
    """What random games may happen not to do: targets, opponents, penalties, weights, loops."""
    check_gradients(spec)
    check_steps(spec)


@pytest.mark.parametrize("weight", [1e-13, -1e-30, 1e20])
def test_a_weight_scales_the_gradient_exactly(weight: float) -> None:
    """∂(w·e)/∂θ = w·∂e/∂θ, however small w is beside others' weights (cost.md, section 7)."""
    spec = MADE_BY_HAND["an opponent"]
    one, batch = {"P": (TermSpec(0, -1.0),)}, next(batches())
    found = {}
    for number in (1.0, weight):
        weighed = replace(spec, objectives=one | {"Q": (TermSpec(0, number),)})
        engine = engine_of(declare(weighed), sgd)
        found[number] = engine.gradients(batch, ["P", "Q"])["Q"]
    for key, gradient in found[1.0].items():
        torch.testing.assert_close(found[weight][key], weight * gradient, rtol=1e-13, atol=0.0)


@examples(20)
@given(any_game, st.booleans())
def test_values_equal_autograd(spec: GameSpec, training: bool) -> None:
    """`engine.values` of all energies; with training=False every call runs in eval mode."""
    modules = spec.modules()
    declared = declare(spec, modules)
    engine = engine_of(declared, sgd)
    batch = next(batches())
    known = {i: e for i, e in enumerate(declared.energies) if e is not None}
    found = engine.values(batch, [energy_of(e) for e in known.values()], training=training)
    if not training:
        nodes = (replace(n, training=False) if isinstance(n, Called) else n for n in spec.nodes)
        spec = replace(spec, nodes=tuple(nodes))
    expected = reference.Evaluation(spec, modules, batch, spec.needed(spec.all_terms))
    for (index, energy), value in zip(known.items(), found, strict=True):
        want = expected.energy(index).item()
        assert sign_of(energy) * value.item() == pytest.approx(want, rel=1e-10, abs=1e-12)
        assert not value.requires_grad


@examples(20)
@given(any_game)
def test_records_say_what_was_descended(spec: GameSpec) -> None:
    """A record's objectives and gradient norms, of everybody moving at once."""
    spec = replace(spec, schedule=(MoveSpec(tuple(p.name for p in spec.active)),))
    modules, batch = spec.modules(), next(batches())
    record = engine_of(declare(spec, spec.modules()), sgd).step(batch)
    moving = {p.name: spec.terms(p.name, 0) for p in spec.active if spec.terms(p.name, 0)}
    assert record.objectives.keys() == record.gradient_norms.keys() == moving.keys()
    for name, terms in moving.items():
        evaluation = reference.Evaluation(spec, modules, batch, spec.needed(terms))
        objective = evaluation.objective(terms, 0).item()
        gradients = reference.gradients(spec, modules, batch, name, 0).values()
        norm = torch.cat([g.ravel() for g in gradients]).norm().item()
        assert record.objectives[name] == pytest.approx(objective, rel=1e-10, abs=1e-12)
        assert record.gradient_norms[name] == pytest.approx(norm, rel=1e-8, abs=1e-12)


@examples(25)
@given(games(Taste(modes=True)))
def test_calls_in_either_mode(spec: GameSpec) -> None:
    """The same where a player is called in training and in eval mode: statistics of the start."""
    check_gradients(spec)
    check_steps(spec)


@pytest.mark.slow
@examples(1500, new=True)
@given(any_game)
def test_many_more_games(spec: GameSpec) -> None:
    """The two tests above on games never drawn before."""
    check_gradients(spec)
    check_steps(spec, steps=3)


# --- nobody outside a move changes ------------------------------------------------------------


def fingerprint(engine: nvn.Engine, names: list[str]) -> dict[str, Any]:
    """Everything about players that a move of others must leave alone, as comparable values."""
    found: dict[str, Any] = {}
    for name in names:
        module = engine.modules[name]
        for key, tensor in module.state_dict().items():
            found[f"{name}.{key}"] = tensor.clone()
        for key, parameter in module.named_parameters():
            found[f"{name}.{key}.grad"] = parameter.grad
            found[f"{name}.{key}.flag"] = parameter.requires_grad
            found[f"{name}.{key}.id"] = id(parameter)
        for key, buffer in module.named_buffers():
            found[f"{name}.{key}.id"] = id(buffer)
        for key, part in module.named_modules():
            found[f"{name}.{key}.mode"] = part.training
        for slot, stepper in engine.state.optimizers.items():
            if slot.partition(":")[0] == name:
                found |= _flat(f"{name}.optimizer", stepper.state_dict())
    return found


def _flat(prefix: str, tree: Any) -> dict[str, Any]:
    if isinstance(tree, dict):
        branches = tree.items()
    elif isinstance(tree, list | tuple):
        branches = enumerate(tree)
    else:
        return {prefix: tree.clone() if isinstance(tree, Tensor) else tree}
    return {k: v for key, branch in branches for k, v in _flat(f"{prefix}.{key}", branch).items()}


def assert_same(before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    assert before.keys() == after.keys()
    for key, old in before.items():
        new = after[key]
        same = torch.equal(new, old) if isinstance(old, Tensor) else new == old
        assert same, f"{key} was {old}, is {new}"


def leave_gradients(modules: Mapping[str, nn.Module]) -> None:
    """Put leftovers in every `.grad`, as a careless loop does (pytorch-lightning#591)."""
    for module in modules.values():
        for parameter in module.parameters():
            parameter.grad = torch.full_like(parameter, 1e3)


@examples(20)
@given(any_game, st.data())
def test_nobody_outside_a_move_changes(spec: GameSpec, data: st.DataObject) -> None:
    """Parameters, .grad, optimizer state, buffers, modes and flags of everyone else stay."""
    mover = data.draw(st.sampled_from([p.name for p in spec.active]))
    declared = declare(spec)
    engine = engine_of(declared, adam)
    supply = batches()
    engine.step(supply)  # so that Adam has a state to lose
    leave_gradients(engine.modules)
    plan = nvn.plan(declared.game, nvn.alternating(declared.players[mover]), partial=True)
    solo = nvn.Engine(plan, adam, state=engine.state, phase="solo")
    others = [p.name for p in spec.players if p.name != mover]
    before = fingerprint(engine, others)
    solo.step(supply)
    assert_same(before, fingerprint(engine, others))


@examples(15)
@given(any_game)
def test_leftover_gradients_do_not_leak(spec: GameSpec) -> None:
    """What stands in .grad before a step makes no difference to it."""
    ours, theirs = spec.modules(), spec.modules()
    clean, messy = (engine_of(declare(spec, m), adam) for m in (ours, theirs))
    leave_gradients(theirs)
    clean.step(batches())
    messy.step(batches())
    assert_equal_states(reference.state(ours), reference.state(theirs))


@examples(20)
@given(any_game)
def test_looking_changes_nothing(spec: GameSpec) -> None:
    """`values`, `gradients` and `check` leave buffers, modes, .grad, flags and streams alone."""
    declared = declare(spec)
    engine = engine_of(declared, adam)
    supply = batches()
    engine.step(supply)
    leave_gradients(engine.modules)
    batch = next(supply)
    copies = {name: tensor.clone() for name, tensor in batch.items()}
    before = fingerprint(engine, [p.name for p in spec.players])
    counters = {k: v for k, v in engine.state_dict().items() if isinstance(v, int)}
    stream = torch.get_rng_state()
    wanted = [v for v in declared.values if v is not None]
    engine.gradients(batch, [p for p in declared.players.values() if not p.frozen])
    engine.values(batch, wanted)
    engine.values(batch, wanted, training=True)
    engine.check(batch)
    assert_same(before, fingerprint(engine, [p.name for p in spec.players]))
    assert_same(copies, batch)
    assert all(tensor.grad is None and not tensor.requires_grad for tensor in batch.values())
    assert counters == {k: v for k, v in engine.state_dict().items() if isinstance(v, int)}
    assert torch.equal(stream, torch.get_rng_state())


@examples(10)
@given(any_game)
def test_a_step_leaves_the_random_stream_alone(spec: GameSpec) -> None:
    """nvn's randomness is its own: the global stream goes on as if nothing had happened."""
    stream = torch.get_rng_state()
    engine_of(declare(spec), adam).step(batches())
    assert torch.equal(stream, torch.get_rng_state())


# --- how a game is written makes no difference ------------------------------------------------


def played(spec: GameSpec, style: Style, optimizers: Any, steps: int = 3) -> reference.State:
    """Write `spec` in `style`, play it, and return the players' states."""
    modules = spec.modules()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", nvn.GameWarning)  # of maximizing a saturating energy
        engine = engine_of(declare(spec, modules, style), optimizers)
    supply = batches()
    for _ in range(steps):
        engine.step(supply)
    return reference.state(modules)


def assert_equal_states(ours: reference.State, theirs: reference.State) -> None:
    for name, expected in theirs.items():
        for key, tensor in expected.items():
            assert torch.equal(ours[name][key], tensor), f"{name}.{key}"


def assert_close_states(ours: reference.State, theirs: reference.State) -> None:
    for name, expected in theirs.items():
        assert_close(ours[name], expected, name)


plain = Style()


@examples(20)
@given(any_game, st.permutations("UVWXYZ"))
def test_renaming_players_changes_nothing(spec: GameSpec, letters: list[str]) -> None:
    """To the bit, Adam's state included. (Seeds of dropout are made of names: no dropout here.)"""
    names = {p.name: letter for p, letter in zip(spec.players, letters, strict=False)}
    assert_equal_states(played(spec, Style(names=names), adam), played(spec, plain, adam))


@examples(20)
@given(any_game, st.floats(-2.0, 3.0))
def test_splitting_a_weight_changes_nothing(spec: GameSpec, share: float) -> None:
    """w·e is w₁·e + w₂·e, w₁ + w₂ = w, in two calls of `minimizes`."""
    assert_close_states(played(spec, Style(split=share), sgd), played(spec, plain, sgd))


@examples(20)
@given(any_game)
def test_splitting_an_energy_changes_nothing(spec: GameSpec) -> None:
    """e is e/2 + e'/2, with e' another energy of the same value."""
    assert_close_states(played(spec, Style(twins=True), sgd), played(spec, plain, sgd))


@examples(20)
@given(any_game)
def test_negating_energy_and_weight_changes_nothing(spec: GameSpec) -> None:
    """w·e is (−w)·(−e).

    Not always to the bit: where three parts of a gradient meet, they may add up in another order
    when there is one more node below each (2.8e-17 of 0.57 was seen).
    """
    assert_close_states(played(spec, Style(negate=True), sgd), played(spec, plain, sgd))


@examples(20)
@given(any_game)
def test_maximizing_is_minimizing_the_negative(spec: GameSpec) -> None:
    """`maximizes(-x)` is `minimizes(x)`, to the bit."""
    assert_equal_states(played(spec, Style(maximize=True), adam), played(spec, plain, adam))


@examples(15)
@given(any_game)
def test_naming_a_value_or_writing_it_again_is_the_same(spec: GameSpec) -> None:
    """The same call is the same value: written out again each time, it is still made once.

    But it may be made in another order, which running statistics remember: parameters only.
    """
    modules = spec.modules()
    again, once = declare(spec, modules, Style(afresh=True)), declare(spec, modules)
    counts = [nvn.plan(d.game, d.schedule).counts for d in (again, once)]
    assert counts[0] == counts[1]
    ours, theirs = played(spec, Style(afresh=True), sgd), played(spec, plain, sgd)
    assert_close_states(parameters_only(ours, spec), parameters_only(theirs, spec))


def parameters_only(state: reference.State, spec: GameSpec) -> reference.State:
    named = {p.name: dict(p.module().named_parameters()) for p in spec.players}
    return {n: {k: t for k, t in group.items() if k in named[n]} for n, group in state.items()}


@examples(20)
@given(any_game, st.integers(0, 2**16))
def test_reordering_declarations_changes_nothing(spec: GameSpec, seed: int) -> None:
    """Players, values, objectives, terms and who stands first in a move may come in any order.

    But running statistics remember the order of several calls in one move: parameters only.
    """
    ours, theirs = played(spec, Style(shuffle=seed), sgd), played(spec, plain, sgd)
    assert_close_states(parameters_only(ours, spec), parameters_only(theirs, spec))


@examples(20)
@given(any_game.map(of_teams), st.sampled_from([sgd, partial(torch.optim.Adam, lr=0.01, eps=1e-3)]))
def test_merging_teammates_changes_nothing(spec: GameSpec, optimizer: Any) -> None:
    """Teammates with one objective who move together are one player with all their parameters.

    Metamorphic test of games.md section 3; it holds for Adam, which treats parameters alone.
    """
    merged = Style(merged=frozenset(spec.teams))
    assert_close_states(played(spec, merged, optimizer), played(spec, plain, optimizer))
