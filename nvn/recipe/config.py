"""Configuration: typed, bounded, documented; from presets, files and the command line.

class Config(nvn.Config):
    presets: ClassVar = {"paper": {"size": 128}}
    size: int = Field(48, ge=8, description="pixels on a side")
"""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self, get_args

import pydantic
import yaml
from pydantic_core import PydanticCustomError

from nvn.errors import ConfigError, did_you_mean
from nvn.recipe.yaml_reading import MOST_BYTES, parse, shortened

__all__ = ["Config", "as_yaml", "overlaid", "read_settings", "read_yaml"]


class Config(pydantic.BaseModel):
    """The configuration of a recipe: frozen, validated, unknown names refused.

    Attributes:
        presets: Values by preset, `{"paper": {"size": 128}}`.

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

    @pydantic.field_validator("*", mode="before")
    @classmethod
    def _refuse_truth(cls, value: object, info: pydantic.ValidationInfo) -> object:
        # For pydantic, true is the number 1: `--set steps=true` would train one step.
        field = cls.model_fields.get(info.field_name or "")
        if isinstance(value, bool) and field is not None and _is_number(field.annotation):
            raise PydanticCustomError("truth", "Input should not be true or false")
        return value

    @classmethod
    def build(
        cls,
        preset: str | None = None,
        file: Mapping[str, object] | None = None,
        settings: Mapping[str, object] | None = None,
    ) -> Self:
        """Build a configuration: settings override a file's, and these override a preset's.

        Raises:
            ConfigError: Naming every unknown or invalid setting.
        """
        values: dict[str, Any] = {}
        for layer in (cls.preset(preset), file or {}, settings or {}):
            values = overlaid(values, layer)
        try:
            return cls.model_validate(values)
        except pydantic.ValidationError as error:
            raise ConfigError("\n".join(_messages(cls, error))) from None

    @classmethod
    def preset(cls, name: str | None) -> Mapping[str, object]:
        """Return the values of a preset; none for None."""
        if name is None:
            return {}
        if name not in cls.presets:
            known = ", ".join(cls.presets) or "none"
            raise ConfigError(
                f"there is no preset {name!r}.{did_you_mean(name, cls.presets)} Presets: {known}"
            )
        return cls.presets[name]

    def replace(self, **changes: object) -> Self:
        """Return a copy with some settings changed, validated again."""
        kept = {name: getattr(self, name) for name in type(self).model_fields}
        return type(self).build(settings={**kept, **changes})


def read_yaml(path: Path) -> Mapping[str, object]:
    """Read a YAML file of settings.

    Raises:
        ConfigError: If it cannot be read, or is no mapping.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ConfigError(f"{path} is no regular file")  # reading it might never end
        with path.open("rb") as file:
            encoded = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"cannot read {path}: {getattr(error, 'strerror', None) or error}"
        ) from None
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
        *groups, last = name.split(".")
        inner = settings
        for group in groups:
            inner = inner.setdefault(group, {})
            if not isinstance(inner, dict):
                raise ConfigError(f"{given}{pair}: {group!r} is already set to a single value")
        inner[last] = value
    return settings


def as_yaml(config: Config) -> str:
    """Return a configuration as YAML, each setting below its description."""
    values = config.model_dump(mode="json")
    lines = []
    for name, field in type(config).model_fields.items():
        if field.description:
            lines += [f"# {line}" for line in field.description.splitlines()]
        lines.append(yaml.safe_dump({name: values[name]}, allow_unicode=True, sort_keys=False))
    return "\n".join(line.rstrip("\n") for line in lines) + "\n"


def overlaid(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Merge two mappings, `above` overriding `below`; nested mappings are merged too."""
    merged = dict(below)
    for name, value in above.items():
        both_groups = isinstance(value, Mapping) and isinstance(merged.get(name), Mapping)
        merged[name] = overlaid(merged[name], value) if both_groups else value
    return merged


# --- helpers --------------------------------------------------------------------------------------


def _messages(config: type[Config], error: pydantic.ValidationError) -> Iterator[str]:
    """Yield one line per validation error: the setting, its value, the error, its description."""
    for problem in error.errors(include_url=False):
        name = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            known = list(_setting_names(config))
            yield (
                f"there is no setting {name!r}.{did_you_mean(name, known)} "
                f"Settings: {', '.join(known) or 'none'}"
            )
            continue
        if not name:  # a validator of the whole configuration: the recipe's own message
            yield from str(problem.get("ctx", {}).get("error", problem["msg"])).splitlines()
            continue
        field = config.model_fields.get(str(problem["loc"][0]))
        purpose = f" ({field.description})" if field and field.description else ""
        value = "" if problem["type"] == "missing" else f" = {shortened(repr(problem['input']))}"
        yield f"{name}{value}: {problem['msg']}{purpose}"


def _is_number(annotation: object) -> bool:
    """Return whether a setting of this type is a number, and never true or false."""
    kinds = [annotation, *get_args(annotation)]
    return (int in kinds or float in kinds) and bool not in kinds


def _setting_names(model: type[pydantic.BaseModel], group: str = "") -> Iterator[str]:
    """Yield the names of all settings, nested ones as `inner.size`."""
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, pydantic.BaseModel):
            yield from _setting_names(kind, f"{group}{name}.")
        else:
            yield f"{group}{name}"
