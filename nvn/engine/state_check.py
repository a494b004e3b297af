"""What is wrong with a state that is to be loaded: all of it, before anything is changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from nvn.engine.optimizers import PlayerOptimizer
from nvn.errors import did_you_mean
from nvn.records import GROUPS

if TYPE_CHECKING:
    from nvn.engine.state import TrainState

__all__ = ["state_problems"]

COUNTS = ("seed", "batches", "draws")
_COUNT_GROUPS = ("iterations/", "steps/")
_GROUPS = (*_COUNT_GROUPS, "record/", "player/", "optimizer/", "past/")


def state_problems(state: Mapping[str, Any], present: TrainState) -> Iterator[str]:
    """Yield what is wrong with what `TrainState.load_state_dict` is given.

    Args:
        state: What is to be loaded.
        present: What it is to be loaded into.
    """
    for name in COUNTS:
        if name not in state:
            yield f"{name} is missing"
    for key, value in state.items():
        if key in COUNTS or key.startswith(_COUNT_GROUPS):
            if not isinstance(value, int) or isinstance(value, bool) or value < 0:
                yield f"{key} is {value!r:.40}; expected a number of 0 or more"
        elif not key.startswith(_GROUPS):
            yield f"{key} is no entry of a state"
    yield from _unknown("player", _names(state, "player/"), present.modules)
    yield from _unknown("optimizer", _names(state, "optimizer/"), present.optimizers)
    for name in present.modules:
        if f"player/{name}" not in state:
            yield f"the state has no player {name!r}"
    for name in _names(state, "record/"):
        if not _is_record(state[f"record/{name}"]):
            yield f"record/{name} is no record of a step"
    for name, module in present.modules.items():
        if f"player/{name}" in state:
            for problem in _module_problems(state[f"player/{name}"], module):
                yield f"player/{name}/{problem}"
    for name, optimizer in present.optimizers.items():
        if f"optimizer/{name}" in state:
            for problem in _optimizer_problems(state[f"optimizer/{name}"], optimizer):
                yield f"optimizer/{name}: {problem}"
    yield from _unknown("pool of earlier selves", _names(state, "past/"), present.pasts)
    for name in present.pasts:
        yield from _pool_problems(name, state.get(f"past/{name}"), present.modules[name])
    yield from _forgetful(state, present)


def _names(state: Mapping[str, Any], prefix: str) -> list[str]:
    return [key.removeprefix(prefix) for key in state if key.startswith(prefix)]


def _unknown(kind: str, given: Iterable[str], here: Iterable[str]) -> Iterator[str]:
    known = [*here]
    for name in given:
        if name not in known:
            listed, hint = ", ".join(known) or "none", did_you_mean(name, known)
            yield f"the state has the {kind} {name!r}; here there are: {listed}.{hint}"


def _is_record(record: Any) -> bool:
    if not isinstance(record, Mapping) or {*record} != {"step", *GROUPS}:
        return False
    numbers = (x for group in GROUPS for x in getattr(record[group], "values", list)())
    return all(isinstance(x, int | float) for x in (record["step"], *numbers))


def _module_problems(state: Any, module: nn.Module) -> Iterator[str]:
    if not isinstance(state, Mapping):
        yield f": a {type(state).__name__}; expected a module's state"
        return
    here = module.state_dict()
    for name, tensor in here.items():
        if name not in state:
            yield f"{name} is missing"
        elif isinstance(tensor, Tensor):
            found = state[name]
            if not isinstance(found, Tensor):
                yield f"{name} is a {type(found).__name__}; expected a tensor"
            elif (found.shape, found.dtype) != (tensor.shape, tensor.dtype):
                yield f"{name} is {_kind(found)}; here it is {_kind(tensor)}"
    for name in state:
        if name not in here:
            yield f"{name} is not in the module.{did_you_mean(name, here)}"


def _pool_problems(name: str, pool: Any, module: nn.Module) -> Iterator[str]:
    if not isinstance(pool, list) or not pool:
        yield f"past/{name} is missing, or empty"
        return
    for number, own in enumerate(pool):
        for problem in _module_problems(own, module):
            yield f"past/{name}/{number}/{problem}"


def _kind(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}"


def _optimizer_problems(state: Any, here: PlayerOptimizer) -> Iterator[str]:
    present = here.state_dict()
    if not isinstance(state, Mapping) or state.keys() != present.keys():
        yield f"expected entries {', '.join(present)}"
        return
    if _keys(state["scheduler"]) != _keys(present["scheduler"]):
        yield "its learning-rate schedule is of another kind"
    inner, own = state["optimizer"], present["optimizer"]
    if _keys(inner) != _keys(own):
        yield f"expected an optimizer's state, with {', '.join(own)}"
        return
    given, groups = inner["param_groups"], own["param_groups"]
    counts = [len(group["params"]) for group in given]
    if counts != (here_counts := [len(group["params"]) for group in groups]):
        yield f"it has groups of {counts} parameters; here they are {here_counts}"
    elif [*map(_keys, given)] != [*map(_keys, groups)]:
        yield f"it is of another kind than {type(here.optimizer).__name__}, which is here"
    else:
        yield from _kept_problems(inner["state"], here)


def _kept_problems(state: Mapping[Any, Any], here: PlayerOptimizer) -> Iterator[str]:
    """Compare what an optimizer has kept of each parameter with what it would keep here."""
    parameters = [p for group in here.optimizer.param_groups for p in group["params"]]
    expected = here.kept
    for index, kept in state.items():
        if not isinstance(index, int) or not 0 <= index < len(parameters):
            yield f"it keeps something of a parameter {index!r}, which there is not"
        elif expected is not None and _keys(kept) != expected:
            yield f"of parameter {index} it keeps {', '.join(map(str, kept)) or 'nothing'}"
        elif expected is not None:
            shape = parameters[index].shape
            for name, value in kept.items():
                if isinstance(value, Tensor) and value.dim() and value.shape != shape:
                    yield f"{name} of parameter {index} is {tuple(value.shape)}, not {tuple(shape)}"


def _keys(state: Any) -> Any:
    return state.keys() if isinstance(state, Mapping) else state


def _forgetful(state: Mapping[str, Any], present: TrainState) -> Iterator[str]:
    """Find players who have stepped, though no optimizer of theirs has kept anything of it.

    One that moves name besides (`optimizer=`) may be missing: its phase may not have begun.
    """
    for name in present.modules:
        optimizers = {k: o for k, o in present.optimizers.items() if k.split(":")[0] == name}
        if not state.get(f"steps/{name}") or not all(o.kept for o in optimizers.values()):
            continue
        if optimizers and not any(_has_kept(state.get(f"optimizer/{key}")) for key in optimizers):
            steps = state[f"steps/{name}"]
            yield f"optimizer/{name}: {name} has taken {steps} steps, and nothing is kept of them"


def _has_kept(state: Any) -> bool:
    inner = state.get("optimizer") if isinstance(state, Mapping) else None
    return isinstance(inner, Mapping) and bool(inner.get("state"))
