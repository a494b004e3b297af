"""Groups of settings: a model inside of a configuration, or one of several that its kind tells.

    data: Annotated[Rendered | London, Field(discriminator="kind")] = Rendered()

`data.kind = london` chooses the model, and with it which settings there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, get_args

import pydantic
from pydantic.fields import FieldInfo

__all__ = [
    "Group",
    "Setting",
    "completed",
    "groups",
    "kind_at",
    "leaves",
    "merged",
    "overlaid",
    "settings",
]

Model: TypeAlias = type[pydantic.BaseModel]
ONE = ""  # the kind of a group that has only one


@dataclass(frozen=True)
class Group:
    """A group of settings.

    Attributes:
        kinds: The model of each kind.
        tag: The setting that says which kind it is; None if there is one only.
        default: What the group is where nothing is set; None if it has to be.
    """

    kinds: Mapping[str, Model]
    tag: str | None
    default: pydantic.BaseModel | None

    @property
    def usual(self) -> str | None:
        """The kind where nothing is set."""
        if self.tag is None:
            return ONE
        return None if self.default is None else str(getattr(self.default, self.tag))

    def kind(self, values: Mapping[str, Any]) -> str | None:
        """Return the kind of these values, which may be none that there is."""
        return self.usual if self.tag is None or self.tag not in values else str(values[self.tag])

    def kept(self, below: Mapping[str, Any], above: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return of the values below what stays: where the kind changes, what both kinds have."""
        if self.tag is None or self.tag not in above or self.kind(above) == self.kind(below):
            return below
        fields = model.model_fields if (model := self.kinds.get(self.kind(above) or "")) else {}
        return {name: value for name, value in below.items() if name in fields}


def groups(model: Model) -> dict[str, Group]:
    """Return the groups among a model's fields, by name."""
    found = {}
    for name, field in model.model_fields.items():
        default, kind = _default(field), field.annotation
        if isinstance(kind, type) and issubclass(kind, pydantic.BaseModel):
            found[name] = Group({ONE: kind}, None, default)
        elif isinstance(tag := field.discriminator, str):
            members = [each for each in get_args(kind) if isinstance(each, type)]
            kinds = {
                str(tagged): each
                for each in members
                if issubclass(each, pydantic.BaseModel)
                for tagged in get_args(each.model_fields[tag].annotation)
            }
            found[name] = Group(kinds, tag, default)
    return found


def _default(field: FieldInfo) -> pydantic.BaseModel | None:
    made = field.default_factory() if isinstance(field.default_factory, type) else field.default
    return made if isinstance(made, pydantic.BaseModel) else None


@dataclass(frozen=True)
class Setting:
    """A setting of a configuration.

    Attributes:
        name: Its name, "steps" or "data.size".
        field: Its type, default and description.
        kinds: The kinds of its group that have it; none if all have.
        allowed: The values that there are, where they are listed.
    """

    name: str
    field: FieldInfo
    kinds: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()


def settings(model: Model, within: str = "") -> Iterator[Setting]:
    """Yield all settings, those of groups as `group.name`.

    Kinds whose settings of one name differ, in default or description, yield one each.
    """
    known = groups(model)
    for name, field in model.model_fields.items():
        if name in known:
            yield from _settings_of(known[name], f"{within}{name}.")
        else:
            yield Setting(f"{within}{name}", field)


def _settings_of(group: Group, within: str) -> Iterator[Setting]:
    if group.tag is None:
        yield from settings(group.kinds[ONE], within)
        return
    usual = group.usual
    chosen = FieldInfo(default=usual, description="the kind; it decides which settings there are")
    yield Setting(f"{within}{group.tag}", chosen, allowed=tuple(group.kinds))
    alike: dict[tuple[str, str], list[tuple[str, Setting]]] = {}
    for kind, model in group.kinds.items():
        for each in settings(model, within):
            if each.name != f"{within}{group.tag}":
                key = each.name, f"{each.field.default!r} {each.field.description}"
                alike.setdefault(key, []).append((kind, each))
    for several in alike.values():
        kinds = tuple(kind for kind, _ in several)
        all_have = len(kinds) == len(group.kinds)
        yield Setting(several[0][1].name, several[0][1].field, () if all_have else kinds)


def kind_at(group: Group, values: object) -> Model | None:
    """Return the model of a group's values, None if they are of no kind that there is."""
    given = values if isinstance(values, Mapping) else {}
    return group.kinds.get(group.kind(given) or ONE)


# --- values: mappings, those of groups inside of them ---


def overlaid(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Merge two mappings, `above` overriding `below`; nested mappings are merged too.

    >>> overlaid({"a": 1, "inner": {"b": 2}}, {"inner": {"c": 3}})
    {'a': 1, 'inner': {'b': 2, 'c': 3}}
    """
    result = dict(below)
    for name, value in above.items():
        both = isinstance(value, Mapping) and isinstance(result.get(name), Mapping)
        result[name] = overlaid(result[name], value) if both else value
    return result


def merged(model: Model, below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Merge the values of two layers as `overlaid` does; another kind resets what it has not."""
    known, kept = groups(model), dict(below)
    for name, group in known.items():
        under, over = kept.get(name), above.get(name)
        if isinstance(under, Mapping) and isinstance(over, Mapping):
            kept[name] = group.kept(under, over)
    return overlaid(kept, above)


def completed(model: Model, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values with what a recipe's own defaults set in the groups of which some are given.

    Where the kind is another than the default's, these say nothing.
    """
    result = dict(values)
    for name, group in groups(model).items():
        given, default = result.get(name), group.default
        if not isinstance(given, Mapping) or default is None:
            continue
        if group.kind(given) == group.usual:
            set_by_it = {each: getattr(default, each) for each in default.model_fields_set}
            kind = {} if group.tag is None else {group.tag: group.usual}
            result[name] = {**set_by_it, **kind, **given}
    return result


def leaves(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested values as flat ones.

    >>> leaves({"steps": 3, "data": {"size": 48}})
    {'steps': 3, 'data.size': 48}
    """
    found: dict[str, Any] = {}
    waiting = [*values.items()][::-1]
    while waiting:
        name, value = waiting.pop()
        if isinstance(value, Mapping) and value:
            waiting += [(f"{name}.{inner}", each) for inner, each in [*value.items()][::-1]]
        else:
            found[name] = value
    return found
