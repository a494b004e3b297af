"""run.yaml, whoever wrote it: what it has to be, or one clear error."""

import contextlib
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import nvn
from nvn.errors import NvnError, RunError
from nvn.training.reopen import reopen
from nvn.training.run_file import RunFile, read_run
from tests.tiny import tiny

GOOD = {"recipe": "gan", "run": "1f", "seed": 3, "parts": [{"started": "today"}]}


def written(folder: Path, about: Any) -> Path:
    (folder / "run.yaml").write_text(yaml.safe_dump(about))
    return folder


def test_what_a_run_wrote_is_read(tmp_path: Path) -> None:
    run = nvn.train(tiny(), out=tmp_path / "run", seed=5, max_steps=2)
    found = read_run(run.folder)
    assert (found.recipe, found.seed, found.max_steps) == ("tiny", 5, 2)
    assert found.outcome == "finished"
    assert found.parts[0]["why"] == "finished"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("seed", x) for x in ("x", [1], float("nan"), 2**70, -1, True, None)),
        *(("saving", x) for x in (3, {"steps": "a"}, {"on_failure": "explode"})),
        *(("max_steps", x) for x in (0, "1", [1])),
        *(("parts", x) for x in (3, ["a"], {"a": 1})),
        *(("compile", x) for x in ("G", [1])),
        *(("code", x) for x in ([1], {"a": 1})),
        *(("origin", x) for x in (1, ["a"])),
        *(("on_divergence", x) for x in ("ignore", 1)),
        ("accelerator", 3),
        ("run", None),
    ],
)
def test_an_entry_that_is_none_is_named(tmp_path: Path, name: str, value: Any) -> None:
    with pytest.raises(RunError, match=rf"run.yaml is not what nvn wrote:\n  {name}"):
        read_run(written(tmp_path, {**GOOD, name: value}))


def test_long_values_are_not_printed_whole(tmp_path: Path) -> None:
    with pytest.raises(RunError) as error:
        read_run(written(tmp_path, {**GOOD, "seed": "x" * 100_000}))
    assert len(str(error.value)) < 500


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from([*RunFile.model_fields]), _VALUES))
def test_whatever_is_in_it_nothing_but_one_error_comes_of_it(
    tmp_path_factory: pytest.TempPathFactory, about: Any
) -> None:
    folder = written(tmp_path_factory.mktemp("run"), {**GOOD, **about})
    with contextlib.suppress(NvnError):
        reopen(folder, {})
