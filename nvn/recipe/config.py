"""Configuration: typed, bounded, documented; from presets, files and the command line.

class Config(nvn.Config):
    presets: ClassVar = {"paper": {"size": 128}}
    size: int = Field(48, ge=8, description="pixels on a side")
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self, get_args

import pydantic
import yaml
from pydantic_core import InitErrorDetails, PydanticCustomError

from nvn.errors import ConfigError, did_you_mean
from nvn.files import content_of
from nvn.recipe.groups import completed, groups, merged, overlaid
from nvn.recipe.messages import messages
from nvn.recipe.renaming import flat_names, renamed, void, warn_of
from nvn.recipe.yaml_reading import MOST_BYTES, parse, shortened

__all__ = ["Config", "as_yaml", "overlaid", "read_settings", "read_yaml"]


_DEEPEST = 20  # groups in one another


class Config(pydantic.BaseModel):
    """The configuration of a recipe: frozen, validated, unknown names refused.

    Attributes:
        presets: Values by preset, `{"paper": {"size": 128}}`.
        once_flat: Whether the settings of groups were once called by their last names alone: they
            are understood so, with a warning. A single value for a group with kinds is its kind.

    >>> class Faces(Config):
    ...     presets = {"paper": {"size": 128}}
    ...     size: int = pydantic.Field(48, ge=8, description="pixels on a side")
    ...     lr: float = pydantic.Field(1e-4, gt=0, description="learning rate")
    >>> Faces.build("paper", settings={"lr": 0.01})
    Faces(size=128, lr=0.01)
    >>> Faces().replace(size=4)
    Traceback (most recent call last):
    nvn.errors.ConfigError: size = 4: Input should be greater than or equal to 8 (pixels on a side)
    """

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", validate_default=True)
    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {}
    once_flat: ClassVar[bool] = False

    @pydantic.model_validator(mode="before")
    @classmethod
    def _with_groups(cls, values: object) -> object:
        if not isinstance(values, Mapping):
            return values
        found = completed(cls, cls._layered(values, stacklevel=4))
        if truths := [*_truths(cls, found)]:
            raise pydantic.ValidationError.from_exception_data(cls.__name__, truths)
        return found

    @classmethod
    def build(
        cls,
        preset: str | None = None,
        file: Mapping[str, object] | None = None,
        settings: Mapping[str, object] | None = None,
    ) -> Self:
        """Build a configuration: settings override a file's, and these override a preset's.

        Where a group's kind changes from one to the next, what only the other kind has is reset.

        Raises:
            ConfigError: Naming every unknown or invalid setting.

        Warns:
            NvnWarning: If settings have their old names; it names the new ones.
        """
        layers = (cls.preset(preset), file or {}, settings or {})
        try:
            return cls.model_validate(cls._layered(*layers, stacklevel=3))
        except pydantic.ValidationError as error:
            raise ConfigError("\n".join(messages(cls, error))) from None

    @classmethod
    def preset(cls, name: str | None) -> Mapping[str, object]:
        """Return the values of a preset; none for None."""
        if name is None:
            return {}
        known = cls.all_presets()
        if name not in known:
            listed = ", ".join(known) or "none"
            raise ConfigError(
                f"there is no preset {name!r}.{did_you_mean(name, known)} Presets: {listed}"
            )
        warn_of(renamed(cls.presets.get(name, {}), cls.old_names()).old, (), stacklevel=2)
        return known[name]

    @classmethod
    def all_presets(cls) -> dict[str, dict[str, Any]]:
        """Return all presets, those of its groups included: theirs, as they are by default."""
        found: dict[str, dict[str, Any]] = {name: {} for name in cls.presets}
        for group, known in groups(cls).items():
            if isinstance(known.default, Config):
                for name, values in known.default.all_presets().items():
                    found.setdefault(name, {})[group] = values
        for name, own in cls.presets.items():
            found[name] = merged(cls, found[name], renamed(own, cls.old_names()).values)
        return found

    @classmethod
    def old_names(cls) -> Mapping[str, str]:
        """Return the old names of settings, each with the one of today."""
        return flat_names(cls) if cls.once_flat else {}

    @classmethod
    def today(cls, values: Mapping[str, object]) -> dict[str, Any]:
        """Return values under the names of today, whichever they are given under.

        Raises:
            ConfigError: A setting is given under both of its names.
        """
        now = renamed(values, cls.old_names())
        unused = void(cls, now.values, now.old)
        return _without(now.values, [now.old[name] for name in unused])

    def replace(self, **changes: object) -> Self:
        """Return a copy with some settings changed, validated again.

        Of a group, a mapping of what changes in it may be given.
        """
        merging = groups(type(self))
        kept = {n: v for n, v in _values(self).items() if n in merging or n not in changes}
        return type(self).build(file=kept, settings=changes)

    @classmethod
    def _layered(cls, *layers: Mapping[str, Any], stacklevel: int) -> dict[str, Any]:
        """Return layers of values as one, each overriding those before it, under today's names."""
        values: dict[str, Any] = {}
        old: dict[str, str] = {}
        for layer in layers:
            now = renamed(layer, cls.old_names())
            values = merged(cls, values, now.values)
            old |= now.old
        unused = void(cls, values, old)
        warn_of(old, unused, stacklevel + 1)
        return _without(values, [old[name] for name in unused])


def read_yaml(path: Path) -> Mapping[str, object]:
    """Read a YAML file of settings.

    Raises:
        ConfigError: If it cannot be read, or is no mapping.
    """
    try:
        encoded = content_of(path, MOST_BYTES)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror or error}") from None
    try:
        content = parse(encoded.decode("utf-8"))
    except (ConfigError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigError(
            f"{path}: expected lines `setting: value`, found {type(content).__name__}"
        )
    return content


def read_settings(pairs: Iterable[str], given: str = "--set ") -> dict[str, object]:
    """Parse `name=value` pairs of the command line; values are YAML, `a.b=1` sets `b` in `a`.

    Args:
        pairs: The pairs.
        given: What stands before them on the command line.
    """
    settings: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not (equals and name):
            raise ConfigError(f"{given}{pair}: expected name=value, e.g. {given}steps=500")
        try:
            value = parse(text)
        except ConfigError:
            value = text  # not YAML: a string
        *within, last = name.split(".")
        if len(within) > _DEEPEST:
            raise ConfigError(f"{given}{shortened(pair)}: groups are nested too deeply")
        inner = settings
        for group in within:
            inner = inner.setdefault(group, {})
            if not isinstance(inner, dict):
                raise ConfigError(f"{given}{pair}: {group!r} is already set to a single value")
        if isinstance(inner.get(last), dict) and not isinstance(value, dict):
            raise ConfigError(f"{given}{pair}: settings of {last!r} are already set")
        inner[last] = overlaid(inner, {last: value})[last]
    return settings


def as_yaml(config: Config) -> str:
    """Return a configuration as YAML, each setting below its description."""
    return "\n".join(_lines(config, config.model_dump(mode="json"))) + "\n"


# --- helpers --------------------------------------------------------------------------------------


def _lines(model: pydantic.BaseModel, values: Mapping[str, Any]) -> Iterator[str]:
    for name, field in type(model).model_fields.items():
        if field.description:
            yield from (f"# {line}" for line in field.description.splitlines())
        inner = getattr(model, name)
        if isinstance(inner, pydantic.BaseModel) and values[name]:
            yield f"{name}:"
            yield from (f"  {line}" for line in _lines(inner, values[name]))
        else:
            text = yaml.safe_dump({name: values[name]}, allow_unicode=True, sort_keys=False)
            yield from text.splitlines()


def _values(model: pydantic.BaseModel) -> dict[str, Any]:
    """Return the settings of a configuration, groups as mappings."""
    found = {name: getattr(model, name) for name in type(model).model_fields}
    return {
        name: _values(value) if isinstance(value, pydantic.BaseModel) else value
        for name, value in found.items()
    }


def _without(values: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Return values without those of some names, `group.name`."""
    for group, _, last in (name.partition(".") for name in names):
        values = {**values, group: {n: v for n, v in values[group].items() if n != last}}
    return values


def _truths(config: type[Config], values: Mapping[str, Any]) -> Iterator[InitErrorDetails]:
    # For pydantic, true is the number 1: `--set steps=true` would train one step.
    said = PydanticCustomError("truth", "Input should not be true or false")
    for name, field in config.model_fields.items():
        value = values.get(name)
        if isinstance(value, bool) and _is_number(field.annotation):
            yield InitErrorDetails(type=said, loc=(name,), input=value)


def _is_number(annotation: object) -> bool:
    """Return whether a setting of this type is a number, and never true or false."""
    kinds = [annotation, *get_args(annotation)]
    return (int in kinds or float in kinds) and bool not in kinds
