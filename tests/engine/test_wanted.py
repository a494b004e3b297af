"""Values that are asked for by name."""

from typing import Any

import pytest

from nvn.errors import GameError
from tests.small import BATCH, assert_same, gan


def test_values_are_found_by_name_and_by_themselves() -> None:
    small = gan()
    engine = small.engine()
    (unnamed,) = (n for n, name in small.plan.graph.names.items() if name == "G(z)")
    small.fake.named("fake")
    for wanted in (["fake", "judge"], ["G(z)", small.judge]):
        assert_same(engine.values(BATCH, wanted), engine.values(BATCH, [unnamed, small.judge]))


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (["juge"], r"there is no value 'juge'\. Did you mean 'judge'\?(.|\n)*known names: .*fool"),
        (["judge", None], r"nothing \(None\)"),
        ([3], "an int\n    expected: values of the game, or their names"),
        ("judge", r"write `\['judge'\]`"),
    ],
)
def test_what_is_no_value_is_told(wanted: Any, said: str) -> None:
    with pytest.raises(GameError, match=said):
        gan().engine().values(BATCH, wanted)


def test_one_value_is_no_list() -> None:
    small = gan()
    with pytest.raises(GameError, match=r"write `\[judge\]`"):
        small.engine().values(BATCH, small.judge)  # type: ignore[arg-type]
