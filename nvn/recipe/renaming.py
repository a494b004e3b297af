"""Old names of settings: understood where they are given, and said to have new ones."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pydantic

from nvn.errors import ConfigError, NvnWarning
from nvn.recipe.groups import Model, groups, kind_at, settings

__all__ = ["Renamed", "flat_names", "renamed", "void", "warn_of"]

_NAMED = 12  # in a warning; of more, only how many there are


@dataclass(frozen=True)
class Renamed:
    """Values under the names of today.

    Attributes:
        values: The values.
        old: The old names that some were given under, each with the one of today.
    """

    values: dict[str, Any]
    old: Mapping[str, str]


def flat_names(model: Model) -> dict[str, str]:
    """Return what the settings of groups are called without their group, each with its name.

    The name of a group with kinds, given a single value, is its kind. What several groups have is
    not among them.
    """
    tagged = {name: f"{name}.{g.tag}" for name, g in groups(model).items() if g.tag}
    inner = {each.name for each in settings(model) if each.name.count(".") == 1}
    inner -= {*tagged.values()}
    ends = Counter(name.rpartition(".")[2] for name in inner)
    single = {end for end, count in ends.items() if count == 1} - model.model_fields.keys()
    named = {name.rpartition(".")[2]: name for name in sorted(inner)}
    return {**{end: named[end] for end in named if end in single}, **tagged}


def renamed(values: Mapping[str, Any], names: Mapping[str, str]) -> Renamed:
    """Return values under the names of today.

    None under an old name is nothing: it is what complete files of settings have for what was not
    set.

    Args:
        values: The values.
        names: The old names, each with the one of today.

    Raises:
        ConfigError: A setting is given under both of its names.
    """
    old = {
        name: names[name]
        for name, value in values.items()
        if name in names and not isinstance(value, Mapping | pydantic.BaseModel)
    }
    now = {name: value for name, value in values.items() if name not in old}
    clashes = []
    for name, today in old.items():
        group, _, last = today.partition(".")
        inner = now.get(group, {})
        if not isinstance(inner, Mapping):
            clashes.append(f"{name} is {today} now, and {group} is given a value of its own")
        elif last in inner:
            clashes.append(f"{name} is the old name of {today}, which is given too: leave one out")
        elif values[name] is not None:
            now[group] = {**inner, last: values[name]}
    if clashes:
        raise ConfigError("\n".join(clashes))
    return Renamed(now, old)


def void(model: Model, values: Mapping[str, Any], old: Mapping[str, str]) -> list[str]:
    """Return which old names say nothing of these values: their kind has no such setting.

    It is one that other kinds need not be given. When all kinds had the same settings, it was
    passed over.
    """
    return [name for name, today in old.items() if _is_void(model, values, today)]


def _is_void(model: Model, values: Mapping[str, Any], name: str) -> bool:
    first, _, last = name.partition(".")
    group = groups(model).get(first)
    inner = values.get(first)
    if group is None or not isinstance(inner, Mapping) or last not in inner:
        return False
    chosen = kind_at(group, inner)
    others = [kind.model_fields[last] for kind in group.kinds.values() if last in kind.model_fields]
    required = any(field.is_required() for field in others)
    return chosen is not None and last not in chosen.model_fields and not required


def warn_of(old: Mapping[str, str], unused: Sequence[str], stacklevel: int) -> None:
    """Warn that settings have new names, and of those that say nothing here."""
    used = [f"{name} is {today} now" for name, today in old.items() if name not in unused]
    told = [f"settings have moved: {_listed(used)}"] if used else []
    if unused:
        told.append(f"of no use to what is chosen, and passed over: {_listed(unused)}")
    if told:
        warnings.warn("\n".join(told), NvnWarning, stacklevel=stacklevel + 1)


def _listed(names: Iterable[str]) -> str:
    every = list(names)
    more = f" and {len(every) - _NAMED} more" if len(every) > _NAMED else ""
    return ", ".join(every[:_NAMED]) + more
