"""What is wrong with settings, in words: the setting, what was found, and what it may be."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pydantic
from pydantic.fields import FieldInfo

from nvn.errors import did_you_mean
from nvn.recipe.groups import Group, Model, groups, leaves, settings
from nvn.recipe.yaml_reading import shortened

__all__ = ["messages"]


@dataclass(frozen=True)
class _Place:
    """Where in a configuration a problem is.

    Attributes:
        name: The name of the setting or group; empty for all of the configuration.
        field: What it is, if there is such a thing.
        group: The group that it is, if it is one.
        model: The model of that group's kind.
        holder: The group that it is in, if any.
        kind: Which kind that one is.
    """

    name: str
    field: FieldInfo | None
    group: Group | None
    model: Model | None
    holder: Group | None
    kind: str

    @property
    def purpose(self) -> str:
        said = self.field.description if self.field else None
        return f" ({said})" if said else ""


def messages(config: Model, error: pydantic.ValidationError) -> Iterator[str]:
    """Yield one line per problem: the setting, its value, what is wrong, its description."""
    for problem in error.errors(include_url=False):
        yield from _message(config, _place(config, problem["loc"]), problem)


def _message(config: Model, place: _Place, problem: Any) -> Iterator[str]:
    name, said, given = place.name, problem["msg"], problem["input"]
    if problem["type"] == "extra_forbidden":
        for each in leaves({name: given}):  # of a group that there is not, each setting
            yield _unknown(config, place, each)
    elif place.group is not None and problem["type"] == "union_tag_invalid":
        kinds, found = list(place.group.kinds), problem["ctx"]["tag"]
        near = did_you_mean(found, kinds)
        yield f"{name}.{place.group.tag} = {found!r}: expected {', '.join(kinds)}.{near}"
    elif place.group is not None and problem["type"] == "union_tag_not_found":
        yield f"{name}.{place.group.tag}: expected {', '.join(place.group.kinds)}"
    elif place.group is not None and problem["type"] in ("model_type", "model_attributes_type"):
        inner = [each.name for each in settings(config) if each.name.startswith(f"{name}.")]
        such = f"{name} is a group of settings, such as {', '.join(inner[:3])}"
        yield f"{name} = {shortened(repr(given))}: {such}"
    elif not name or place.model is not None:  # a validator of all of it: the recipe's own message
        for line in str(problem.get("ctx", {}).get("error", said)).splitlines():
            yield _within(place, line)
    elif problem["type"] == "missing":
        yield f"{name}: {said}: --set {name}=…{place.purpose}"
    else:
        yield f"{name} = {shortened(repr(given))}: {said}{place.purpose}"


def _within(place: _Place, line: str) -> str:
    """Return what a group's own validator says, under the group's name."""
    if not place.name:
        return line
    own = place.model is not None and line.partition(" ")[0] in place.model.model_fields
    return f"{place.name}.{line}" if own else f"{place.name}: {line}"


def _unknown(config: Model, place: _Place, name: str) -> str:
    known = list(dict.fromkeys(each.name for each in settings(config)))
    if name in known and place.holder is not None and place.kind:  # another kind has it
        group, _, last = name.rpartition(".")
        having = [k for k, model in place.holder.kinds.items() if last in model.model_fields]
        tag = f"{group}.{place.holder.tag}"
        return (
            f"there is no setting {name!r} where {tag} = {place.kind}; there is where "
            f"{tag} is {' or '.join(having)}"
        )
    listed = ", ".join(known) or "none"
    return f"there is no setting {name!r}.{_nearest(name, known)} Settings: {listed}"


def _nearest(name: str, known: Sequence[str]) -> str:
    """Return which setting was meant: one whose own name is near comes before a long likeness."""
    ends = {each.rpartition(".")[2]: each for each in reversed(known)}
    near = difflib.get_close_matches(name.rpartition(".")[2], ends, n=1)
    return f" Did you mean {ends[near[0]]!r}?" if near else did_you_mean(name, known)


def _place(config: Model, loc: Sequence[int | str]) -> _Place:
    model: Model | None = config
    names: list[str] = []
    field: FieldInfo | None = None
    group: Group | None = None
    holder, kind = group, ""
    parts = iter(loc)
    for part in parts:
        names.append(str(part))
        holder = group
        field = model.model_fields.get(str(part)) if model else None
        group = groups(model).get(str(part)) if model else None
        model = None
        if group is not None:
            # pydantic names the kind too, if the values are of one.
            kind = str(next(parts, "")) if group.tag else ""
            model = group.kinds.get(kind)
    return _Place(".".join(names), field, group, model, holder, kind)
