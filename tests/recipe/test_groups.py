"""Groups of settings: kinds, layers, old names, and what is said of them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

import pydantic
import pytest
from pydantic import Field

import nvn
from nvn.errors import ConfigError
from nvn.recipe.config import as_yaml, read_settings, read_yaml
from nvn.recipe.groups import completed, groups, leaves, merged, settings
from nvn.recipe.renaming import flat_names, renamed


class Data(nvn.Config):
    size: int = Field(48, ge=8, description="side")
    fold: int = 0


class Made(Data):
    presets: ClassVar = {"large": {"size": 64, "people": 1000}}
    kind: Literal["made"] = "made"
    people: int = Field(200, ge=1, description="people")

    @pydantic.model_validator(mode="after")
    def fits(self) -> Self:
        if self.fold > 4:
            raise ValueError(f"fold = {self.fold}: too large\nthere are few folds")
        return self


class Read(Data):
    kind: Literal["read"] = "read"
    root: Path = Field(description="the folder")
    crop: str = "face"


class Filmed(Read):
    kind: Literal["filmed"] = "filmed"  # type: ignore[assignment]
    first: int = 6


class Training(nvn.Config):
    presets: ClassVar = {"large": {"steps": 900}, "slow": {"lr": 1e-4}}
    steps: int = Field(100, ge=1, description="iterations")
    lr: float = Field(0.1, gt=0, description="learning rate")


AnyData = Annotated[Made | Read | Filmed, Field(discriminator="kind")]


class Config(nvn.Config):
    once_flat: ClassVar = True
    presets: ClassVar = {"quick": {}, "large": {"training": {"lr": 0.5}}}
    data: AnyData = Made()
    training: Training = Training()
    note: str = ""


def built(*pairs: str, preset: str | None = None, file: dict[str, object] | None = None) -> Config:
    return Config.build(preset, file, read_settings(pairs))


def refused(*pairs: str, file: dict[str, object] | None = None) -> str:
    with pytest.raises(ConfigError) as error:
        built(*pairs, file=file)
    return str(error.value)


# --- kinds ---


def test_a_kind_decides_which_settings_there_are() -> None:
    assert built("data.people=5").data == Made(people=5)
    assert built("data.kind=read", "data.root=x").data == Read(root=Path("x"))


def test_another_kind_resets_what_it_has_not_and_keeps_what_both_have() -> None:
    chosen = built("data.kind=read", "data.root=x", preset="large")
    assert chosen.data == Read(root=Path("x"), size=64)
    file: dict[str, object] = {"data": {"kind": "filmed", "root": "y", "first": 2, "size": 16}}
    assert built("data.kind=made", file=file).data == Made(size=16)
    assert built("data.kind=filmed", file=file).data.first == 2
    assert built("data.first=3", file=file).data == Filmed(root=Path("y"), size=16, first=3)


def test_within_one_layer_a_setting_of_another_kind_is_refused() -> None:
    assert refused("data.kind=read", "data.root=x", "data.people=5") == (
        "there is no setting 'data.people' where data.kind = read; there is where data.kind is made"
    )
    assert "where data.kind is read or filmed" in refused("data.root=x")


def test_an_unknown_kind_is_told_with_those_that_there_are() -> None:
    expected = "data.kind = 'raed': expected made, read, filmed. Did you mean 'read'?"
    assert refused("data.kind=raed") == expected


def test_a_value_for_a_group_is_told() -> None:
    assert refused("training=5") == (
        "training = 5: training is a group of settings, such as training.steps, training.lr"
    )


def test_what_a_kind_needs_is_named_with_the_option() -> None:
    assert refused("data.kind=read") == (
        "data.root: Field required: --set data.root=… (the folder)"
    )


def test_a_group_says_in_its_own_words_what_does_not_fit() -> None:
    assert refused("data.fold=5") == "data.fold = 5: too large\ndata: there are few folds"


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("data.szie=3", "data.size"),
        ("szie=3", "data.size"),
        ("training.stesp=3", "training.steps"),
        ("data.steps=3", "training.steps"),
        ("dta.size=3", "data.size"),
        ("trainin.rate=3", "training.lr"),
    ],
)
def test_misspelt_names_are_near_to_the_right_ones(given: str, meant: str) -> None:
    listed = "data.kind, data.size, data.fold, data.people, data.root, data.crop, data.first, "
    name = given.partition("=")[0]
    assert refused(given) == (
        f"there is no setting {name!r}. Did you mean {meant!r}? "
        f"Settings: {listed}training.steps, training.lr, note"
    )


def test_a_recipes_own_default_stays_where_it_is_not_set() -> None:
    class Own(nvn.Config):
        data: AnyData = Filmed(root=Path("here"), first=3)
        training: Training = Training(steps=7)

    assert Own.build(settings={"data": {"size": 16}}).data == Filmed(
        root=Path("here"), first=3, size=16
    )
    assert Own(training={"lr": 1.0}).training == Training(steps=7, lr=1.0)  # type: ignore[arg-type]
    other = {"kind": "read", "root": "x"}
    assert Own.build(settings={"data": other}).data == Read(root=Path("x"))
    assert completed(Own, {"data": other}) == {"data": other}


def test_groups_that_must_be_given_say_their_kinds() -> None:
    class Needed(nvn.Config):
        data: AnyData

    with pytest.raises(ConfigError, match="data: Field required: --set data=…"):
        Needed.build()
    with pytest.raises(ConfigError, match=r"data\.kind: expected made, read, filmed"):
        Needed.build(settings={"data": {"size": 16}})
    assert groups(Needed)["data"].usual is None


def test_layers_know_kinds_that_there_are_not() -> None:
    values = merged(Config, {"data": {"people": 3}}, {"data": {"kind": "none such"}})
    assert values == {"data": {"kind": "none such"}}


# --- presets, replacing, writing ---


def test_groups_bring_presets_of_their_own() -> None:
    assert [*Config.all_presets()] == ["quick", "large", "slow"]
    large = built(preset="large")
    assert large.data == Made(size=64, people=1000)
    assert large.training == Training(steps=900, lr=0.5)  # the configuration's own comes last
    assert built(preset="quick") == Config()


def test_a_preset_of_another_kind_has_nothing_of_the_kind_by_default() -> None:
    class Other(Config):
        presets: ClassVar = {"large": {"data": {"kind": "read", "root": "x"}}}

    assert Other.build("large").data == Read(root=Path("x"), size=64)


def test_a_preset_may_have_old_names() -> None:
    class Old(Config):
        presets: ClassVar = {"large": {"data": "read", "root": "x", "lr": 0.5}}

    with pytest.warns(nvn.NvnWarning, match=r"data is data\.kind now, root is data\.root now"):
        large = Old.build("large")
    assert large.data == Read(root=Path("x"), size=64)
    assert large.training == Training(steps=900, lr=0.5)
    assert [*Old.all_presets()] == ["large", "slow"]


def test_an_unknown_preset_of_a_group_is_told() -> None:
    with pytest.raises(ConfigError, match="no preset 'lareg'. Did you mean 'large'"):
        Config.preset("lareg")


def test_replacing_keeps_the_rest_of_a_group() -> None:
    config = built("data.people=5", "data.size=16")
    assert config.replace(data={"size": 24}).data == Made(people=5, size=24)
    assert config.replace(data={"kind": "read", "root": "x"}).data == Read(root=Path("x"), size=16)
    assert config.replace(data=Made(people=6)).data == Made(people=6)


def test_replacing_what_is_no_group_replaces_all_of_it() -> None:
    class Weighed(nvn.Config):
        weights: Mapping[str, float]

    assert Weighed(weights={"a": 1.0}).replace(weights={"b": 2.0}).weights == {"b": 2.0}


def test_a_configuration_with_groups_can_be_read_again(tmp_path: Path) -> None:
    config = built("data.kind=filmed", "data.root=x", "note='a\n b: c'", "training.lr=0.3")
    (tmp_path / "config.yaml").write_text(as_yaml(config))
    assert Config.build(file=read_yaml(tmp_path / "config.yaml")) == config
    text = (tmp_path / "config.yaml").read_text()
    assert "data:\n  # side\n  size: 48\n" in text
    assert "  # iterations\n  steps: 100\n" in text


def test_settings_are_listed_with_who_has_them() -> None:
    listed = {each.name: each.kinds for each in settings(Config)}
    assert listed == {
        "data.kind": (),
        "data.size": (),
        "data.fold": (),
        "data.people": ("made",),
        "data.root": ("read", "filmed"),
        "data.crop": ("read", "filmed"),
        "data.first": ("filmed",),
        "training.steps": (),
        "training.lr": (),
        "note": (),
    }


def test_flat_values() -> None:
    assert leaves({"a": {"b": {"c": 1}, "d": {}}, "e": 2}) == {"a.b.c": 1, "a.d": {}, "e": 2}


# --- old names ---


OLD = "settings have moved: size is data.size now, lr is training.lr now"


def test_old_names_are_understood_and_told_once() -> None:
    with pytest.warns(nvn.NvnWarning) as told:
        config = built("size=16", "lr=0.2", "note=x")
    assert [str(each.message) for each in told] == [OLD]
    assert config == built("data.size=16", "training.lr=0.2", "note=x")


def test_a_single_value_for_a_group_with_kinds_was_its_kind() -> None:
    with pytest.warns(nvn.NvnWarning, match=r"data is data\.kind now, root is data\.root now"):
        assert built("data=read", "root=x").data == Read(root=Path("x"))


def test_old_names_in_python_too() -> None:
    values: dict[str, Any] = {"size": 16, "data": "made"}
    with pytest.warns(nvn.NvnWarning, match=r"size is data\.size now"):
        assert Config(**values).data.size == 16
    with pytest.warns(nvn.NvnWarning, match=r"steps is training\.steps now"):
        assert Config().replace(steps=3).training.steps == 3


def test_an_old_name_and_a_value_for_its_group_are_refused() -> None:
    assert refused("steps=3", "training=5") == (
        "steps is training.steps now, and training is given a value of its own"
    )


def test_both_names_are_refused_in_one_layer_and_override_across() -> None:
    said = "size is the old name of data.size, which is given too: leave one out"
    assert refused("size=16", "data.size=16") == said
    with pytest.warns(nvn.NvnWarning):
        assert built("data.size=24", file={"size": 16}).data.size == 24


def test_a_complete_file_of_before_is_read() -> None:
    file = {"data": "read", "root": "x", "crop": None, "people": 200, "first": 6, "size": 16}
    with pytest.warns(nvn.NvnWarning) as told:
        config = built(file=dict(file))
    assert config.data == Read(root=Path("x"), size=16)
    (only,) = told
    assert str(only.message).endswith(
        "\nof no use to what is chosen, and passed over: people, first"
    )
    assert Config.today(file) == {"data": {"kind": "read", "root": "x", "size": 16}}


def test_an_old_name_of_what_must_be_given_elsewhere_is_refused() -> None:
    with pytest.warns(nvn.NvnWarning):
        assert "no setting 'data.root' where data.kind = made" in refused("root=x")


def test_many_old_names_are_counted() -> None:
    class Many(nvn.Config):
        once_flat: ClassVar = True
        group: pydantic.create_model(  # type: ignore[valid-type]
            "Inner", **{f"s{n}": (int, 0) for n in range(15)}
        ) = None

    with pytest.warns(nvn.NvnWarning, match=r"s11 is group\.s11 now and 3 more$"):
        Many.build(settings={f"s{n}": 1 for n in range(15)})


def test_names_of_today_are_never_warned_of() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        built("data.size=16", "note=x")
        built(preset="large").replace(data={"size": 24})


def test_what_two_groups_have_has_no_old_name() -> None:
    class Two(nvn.Config):
        once_flat: ClassVar = True
        data: AnyData = Made()
        more: Training = Training()
        training: Training = Training()
        fold: int = 1

    names = flat_names(Two)
    assert names == {
        "crop": "data.crop",
        "data": "data.kind",
        "first": "data.first",
        "people": "data.people",
        "root": "data.root",
        "size": "data.size",
    }
    assert nvn.Config.old_names() == {}


def test_what_was_given_is_left_as_it_is() -> None:
    given = {"size": 3, "data": {"fold": 1}}
    now = renamed(given, flat_names(Config))
    assert now.values == {"data": {"fold": 1, "size": 3}}
    assert given == {"size": 3, "data": {"fold": 1}}


# --- the command line ---


def test_groups_are_not_nested_without_end() -> None:
    with pytest.raises(ConfigError, match="nested too deeply"):
        read_settings([f"steps{'.a' * 3000}=1"])


@pytest.mark.parametrize(
    "pair",
    ["data.kind.x=1", "data=5", "data=[1]", "data.=1", ".=1", "..a=1", "=.=", "data.kind=null"],
)
def test_odd_names_and_values_are_told(pair: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert refused(pair)


def test_names_that_are_no_texts_are_told() -> None:
    assert refused(file={"data": {1: 2}})
    assert refused(file={1: 2})  # type: ignore[dict-item]


@pytest.mark.parametrize("pairs", [["a.b=1", "a=2"], ["a=2", "a.b=1"]])
def test_a_value_and_a_group_of_one_name_are_refused(pairs: list[str]) -> None:
    with pytest.raises(ConfigError, match="already set"):
        read_settings(pairs)


@pytest.mark.parametrize("pairs", [["a.b=1", "a={c: 2}"], ["a={c: 2}", "a.b=1"]])
def test_a_group_may_be_given_in_parts(pairs: list[str]) -> None:
    assert read_settings(pairs) == {"a": {"b": 1, "c": 2}}
