from pathlib import Path
from typing import ClassVar, Self

import pydantic
import pytest
from pydantic import Field

import nvn
from nvn.errors import ConfigError
from nvn.recipe.config import as_yaml, read_settings, read_yaml


class Inner(pydantic.BaseModel, extra="forbid"):
    size: int = Field(8, ge=1)
    depth: int = 2


class Config(nvn.Config):
    presets: ClassVar = {
        "long": {"steps": 900, "inner": {"size": 64}},
        "wrong": {"stesp": 1},
    }
    steps: int = Field(100, ge=1, description="iterations")
    lr: float = Field(0.1, gt=0, description="learning rate")
    inner: Inner = Inner()


def test_a_configuration_has_its_defaults() -> None:
    assert Config.build() == Config(steps=100, lr=0.1)


def test_settings_beat_the_file_and_the_file_beats_the_preset() -> None:
    config = Config.build("long", {"lr": 0.2, "steps": 5}, {"steps": 6})
    assert (config.steps, config.lr, config.inner.size) == (6, 0.2, 64)


def test_groups_are_merged() -> None:
    config = Config.build("long", None, {"inner": {"depth": 3}})
    assert (config.inner.size, config.inner.depth) == (64, 3)


def test_a_configuration_is_frozen() -> None:
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        Config().steps = 3  # type: ignore[misc]


def test_replacing_validates() -> None:
    assert Config().replace(steps=7).steps == 7
    with pytest.raises(ConfigError, match="steps = 0"):
        Config().replace(steps=0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"stesp": 1}, "there is no setting 'stesp'. Did you mean 'steps'? Settings: steps, lr"),
        ({"lr": -1}, "lr = -1: Input should be greater than 0 (learning rate)"),
        ({"steps": "many"}, "steps = 'many': Input should be a valid integer"),
        ({"inner": {"size": 0}}, "inner.size = 0: Input should be greater than or equal to 1"),
        ({"inner": {"sise": 1}}, "there is no setting 'inner.sise'. Did you mean 'inner.size'?"),
    ],
)
def test_a_setting_that_does_not_fit(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        Config.build(settings=settings)
    assert message in str(error.value)


def test_all_settings_that_do_not_fit_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as error:
        Config.build(settings={"steps": 0, "lr": 0, "x": 1})
    assert len(str(error.value).splitlines()) == 3


def test_an_unknown_preset() -> None:
    with pytest.raises(ConfigError, match="no preset 'lnog'. Did you mean 'long'"):
        Config.build("lnog")


def test_a_preset_is_checked_like_everything() -> None:
    with pytest.raises(ConfigError, match="'stesp'"):
        Config.build("wrong")


def test_a_default_is_checked_too() -> None:
    class Bad(nvn.Config):
        steps: int = Field(0, ge=1)

    with pytest.raises(ConfigError, match="steps = 0"):
        Bad.build()


def test_a_configuration_written_is_one_that_can_be_read(tmp_path: Path) -> None:
    config = Config.build("long")
    (tmp_path / "config.yaml").write_text(as_yaml(config))
    assert Config.build(file=read_yaml(tmp_path / "config.yaml")) == config


def test_settings_are_yaml() -> None:
    pairs = [
        "steps=5",
        "lr=1e-3",
        "name=a=b",
        "sizes=[1, 2]",
        "inner.size=3",
        "inner.on=true",
        "x=",
    ]
    assert read_settings(pairs) == {
        "steps": 5,
        "lr": "1e-3",  # YAML 1.1 wants a dot; pydantic makes a float of it all the same
        "name": "a=b",
        "sizes": [1, 2],
        "inner": {"size": 3, "on": True},
        "x": None,
    }


@pytest.mark.parametrize("pair", ["steps", "=3", ""])
def test_a_setting_without_a_name_or_a_value(pair: str) -> None:
    with pytest.raises(ConfigError, match="expected name=value"):
        read_settings([pair])


def test_a_setting_that_is_a_value_and_a_group() -> None:
    with pytest.raises(ConfigError, match="'a' is already set to a single value"):
        read_settings(["a=1", "a.b=2"])


def test_a_value_that_is_no_yaml_is_taken_as_it_stands() -> None:
    assert read_settings(["x={1"]) == {"x": "{1"}


@pytest.mark.parametrize(
    ("text", "message"),
    [("- 1\n", "found list"), ("{a", "not valid YAML"), (None, "cannot read")],
)
def test_a_configuration_file_that_does_not_fit(
    tmp_path: Path, text: str | None, message: str
) -> None:
    path = tmp_path / "config.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_yaml(path)


def test_an_empty_configuration_file_sets_nothing(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("# nothing\n")
    assert read_yaml(tmp_path / "config.yaml") == {}


def test_settings_that_do_not_fit_together_are_said_in_the_recipes_words() -> None:
    class Pair(nvn.Config):
        low: int = 0
        high: int = 1

        @pydantic.model_validator(mode="after")
        def ordered(self) -> Self:
            if self.low > self.high:
                raise ValueError(f"low = {self.low}: more than high\nchange one")
            return self

    with pytest.raises(ConfigError) as error:
        Pair.build(settings={"low": 2})
    assert str(error.value) == "low = 2: more than high\nchange one"


def test_true_is_no_number() -> None:
    class Numbers(Config):
        steps: int = 1
        lr: float | None = None
        flag: bool = False
        either: bool | int = 0
        words: str = ""

    for name in ("steps", "lr"):
        with pytest.raises(ConfigError, match=f"{name} = True: Input should not be true or false"):
            Numbers.build(settings={name: True})
    assert Numbers.build(settings={"flag": True, "either": True, "lr": 1}).flag
