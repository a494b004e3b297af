"""What TensorBoard gets of a run, read back with its own reader."""

from pathlib import Path

import pytest
from nvn_plugins.tensorboard import Settings, TensorBoard

import nvn
from tests.plugins.games import picture_game

pytest.importorskip("tensorboard", reason="tensorboard is not installed")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_numbers_and_pictures_are_there(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    look = nvn.Evaluation("look", lambda engine: {"at": 2.5}, every=3)
    recipe = picture_game(evaluations=[look])
    run = nvn.train(recipe, out=tmp_path / "run", plugins=[TensorBoard(Settings(every=2))])
    events = EventAccumulator(str(run.folder / "tensorboard"))
    events.Reload()
    tags = events.Tags()
    assert {"objectives/G", "objectives/D", "gradient_norms/G", "look/at"} <= set(tags["scalars"])
    assert [event.step for event in events.Scalars("objectives/G")] == [2, 4, 6]
    assert [(event.step, event.value) for event in events.Scalars("look/at")] == [
        *((3, 2.5), (6, 2.5))
    ]
    assert [event.step for event in events.Images("pictures/fakes")] == [3, 6]


def test_a_missing_package_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(nvn.ConfigError, match=r"needs tensorboard.*\[tensorboard\]"):
        TensorBoard(Settings())
