"""Settings: typed, bounded, described; read from presets, files and the command line.

class Config(nvn.Config):
    presets: ClassVar = {"paper": {"size": 128}}
    size: int = Field(48, ge=8, description="pixels on a side")
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import pydantic
import yaml

from nvn.errors import ConfigError, did_you_mean

__all__ = ["Config", "as_yaml", "overlaid", "read_settings", "read_yaml"]


class Config(pydantic.BaseModel):
    """The settings of a recipe: frozen, every field checked, no other names allowed.

    Attributes:
        presets: Named sets of values, `{"paper": {"size": 128}}`.

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

    @classmethod
    def build(
        cls,
        preset: str | None = None,
        file: Mapping[str, object] | None = None,
        settings: Mapping[str, object] | None = None,
    ) -> Self:
        """Make a configuration: single settings beat a file's, and these beat a preset's.

        Raises:
            ConfigError: Naming every setting that is unknown or does not fit.
        """
        values: dict[str, Any] = {}
        for layer in (cls.preset(preset), file or {}, settings or {}):
            values = overlaid(values, layer)
        try:
            return cls.model_validate(values)
        except pydantic.ValidationError as error:
            raise ConfigError("\n".join(_explained(cls, error))) from None

    @classmethod
    def preset(cls, name: str | None) -> Mapping[str, object]:
        """Return the values of a preset; of None, nothing."""
        if name is None:
            return {}
        if name not in cls.presets:
            known = ", ".join(cls.presets) or "none"
            raise ConfigError(
                f"there is no preset {name!r}.{did_you_mean(name, cls.presets)} Presets: {known}"
            )
        return cls.presets[name]

    def replace(self, **changes: object) -> Self:
        """Return a copy with some settings changed, and everything checked again."""
        kept = {name: getattr(self, name) for name in type(self).model_fields}
        return type(self).build(settings={**kept, **changes})


def read_yaml(path: Path) -> Mapping[str, object]:
    """Read a configuration file: a YAML mapping of settings."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigError(
            f"{path}: expected lines `setting: value`, found {type(content).__name__}"
        )
    return content


def read_settings(pairs: Iterable[str]) -> dict[str, object]:
    """Read `name=value` pairs of the command line; values are YAML, `a.b=1` sets `b` of `a`."""
    settings: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not (equals and name):
            raise ConfigError(f"--set {pair}: expected name=value, e.g. --set steps=500")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError:
            value = text  # not YAML, so taken as it stands
        *groups, last = name.split(".")
        place = settings
        for group in groups:
            place = place.setdefault(group, {})
            if not isinstance(place, dict):
                raise ConfigError(f"--set {pair}: {group!r} has been set to a single value already")
        place[last] = value
    return settings


def as_yaml(config: Config) -> str:
    """Write a configuration as YAML, each setting under its description."""
    values = config.model_dump(mode="json")
    lines = []
    for name, field in type(config).model_fields.items():
        if field.description:
            lines += [f"# {line}" for line in field.description.splitlines()]
        lines.append(yaml.safe_dump({name: values[name]}, allow_unicode=True, sort_keys=False))
    return "\n".join(line.rstrip("\n") for line in lines) + "\n"


def overlaid(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one set of values over another; nested groups are merged, not replaced."""
    merged = dict(below)
    for name, value in above.items():
        both_groups = isinstance(value, Mapping) and isinstance(merged.get(name), Mapping)
        merged[name] = overlaid(merged[name], value) if both_groups else value
    return merged


# --- small things ---------------------------------------------------------------------------------


def _explained(config: type[Config], error: pydantic.ValidationError) -> Iterator[str]:
    """Say each problem of a validation in a line: the setting, what is wrong, what it is for."""
    for problem in error.errors(include_url=False):
        place = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            known = list(_setting_names(config))
            yield (
                f"there is no setting {place!r}.{did_you_mean(place, known)} "
                f"Settings: {', '.join(known)}"
            )
            continue
        if not place:  # of settings that do not fit together, the recipe says what is wrong
            yield from str(problem.get("ctx", {}).get("error", problem["msg"])).splitlines()
            continue
        field = config.model_fields.get(str(problem["loc"][0]))
        purpose = f" ({field.description})" if field and field.description else ""
        value = "" if problem["type"] == "missing" else f" = {problem['input']!r}"
        yield f"{place}{value}: {problem['msg']}{purpose}"


def _setting_names(model: type[pydantic.BaseModel], group: str = "") -> Iterator[str]:
    """Yield the names of all settings, those of groups with their group's: `inner.size`."""
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, pydantic.BaseModel):
            yield from _setting_names(kind, f"{group}{name}.")
        else:
            yield f"{group}{name}"
