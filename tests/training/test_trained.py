import contextlib
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import nvn
from nvn.errors import ConfigError, NvnError, NvnWarning, RunError
from nvn.recipe.loading import load_recipe
from nvn.training.reopen import reopen
from nvn.training.weights import save_weights
from tests.tiny import Shift, gray, tiny

RECIPE = '''\
"""A tiny game."""

import nvn
from tests.tiny import tiny


class Config(nvn.Config):
    """Settings."""

    steps: int = 6


def unread():
    raise AssertionError("data are not read")


def recipe(config):
    return tiny(steps=config.steps, evaluations=(), previews=())
'''


def train(file: Path, out: Path, settings: dict[str, object] | None = None) -> nvn.Run:
    """Train as `nvn run` does."""
    source = load_recipe(str(file))
    config = source.config_class.build(settings=settings)
    built = source.build(config)
    return nvn.train(
        built, out=out, files=source.files(config), origin=source.origin, seed=3, max_steps=4
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "game.py"
    path.write_text(RECIPE)
    return path


@pytest.fixture
def run(file: Path, tmp_path: Path) -> nvn.Run:
    return train(file, tmp_path / "run", {"steps": 5})


def rewrite(run: nvn.Run, **changes: object) -> None:
    about = yaml.safe_load((run.folder / "run.yaml").read_text())
    (run.folder / "run.yaml").write_text(yaml.safe_dump({**about, **changes}, sort_keys=False))


def by(engine: nvn.Engine, player: str) -> torch.Tensor:
    shift = engine.modules[player]
    assert isinstance(shift, Shift)
    return shift.by.detach()


def test_a_run_comes_back_with_its_weights(run: nvn.Run) -> None:
    found = nvn.trained(run.folder)
    assert found.recipe.name == "tiny"
    assert found.config is not None
    assert found.config.model_dump() == {"steps": 5}
    assert found.seed == 3
    for player in ("G", "D"):
        assert torch.equal(by(found.engine, player), by(run.engine, player))
        assert not found.engine.modules[player].training
    x = torch.ones(2, 3)
    (value,) = found.engine.values({"x": x}, [found.recipe.game.players["G"](found_x(found))])
    assert torch.equal(value, x + by(run.engine, "G"))


def found_x(found: nvn.Trained) -> nvn.Value:
    return next(node for node in found.engine.plan.graph.nodes if str(node) == "x")


def test_no_data_are_read(file: Path, tmp_path: Path) -> None:
    run = train(file, tmp_path / "run")
    file.write_text(RECIPE.replace("steps=config.steps", "steps=config.steps, data=unread"))
    nvn.trained(run.folder, recipe=file)


def test_the_random_streams_go_on_as_before(run: nvn.Run) -> None:
    torch.manual_seed(1)
    expected = torch.randn(3)
    torch.manual_seed(1)
    nvn.trained(run.folder)
    assert torch.equal(torch.randn(3), expected)


def test_what_is_drawn_at_building_is_drawn_as_then(file: Path, tmp_path: Path) -> None:
    file.write_text(RECIPE.replace("def recipe(", DRAWING + "def recipe("))
    source = load_recipe(str(file))
    config = source.config_class()
    files, origin = source.files(config), source.origin
    run = nvn.train(lambda: source.build(config), out=tmp_path / "r", files=files, origin=origin)
    found = nvn.trained(run.folder)
    assert torch.equal(found.engine.modules["G"].kept, run.engine.modules["G"].kept)


DRAWING = """
import torch
from tests import tiny as parts


class Drawing(parts.Shift):
    def __init__(self):
        super().__init__()
        self.register_buffer("kept", torch.randn(3), persistent=False)


def tiny(**changes):
    parts.Shift, usual = Drawing, parts.Shift
    try:
        return parts.tiny(**changes)
    finally:
        parts.Shift = usual


"""


# --- which run ---


def test_a_folder_of_runs_means_the_latest_that_finished(file: Path, tmp_path: Path) -> None:
    runs = [train(file, tmp_path / "runs" / name) for name in "abcd"]
    for run, outcome, day in zip(
        runs, ["finished", "finished", "finished", "interrupted"], [1, 3, 2, 4], strict=True
    ):
        rewrite(run, outcome=outcome, started=f"2026-01-0{day}T10:00:00+00:00")
    (tmp_path / "runs" / "notes").mkdir()
    assert nvn.trained(tmp_path / "runs").folder == runs[1].folder
    for run in runs:
        rewrite(run, outcome="failed")
    with pytest.raises(RunError, match=r"no run in .* has finished: .* Runs: a \(failed\), b"):
        nvn.trained(tmp_path / "runs")


def test_what_is_no_run_is_said(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="there is no run .*gone: expected a run's folder"):
        nvn.trained(tmp_path / "gone")
    with pytest.raises(RunError, match="is not a run's folder, and contains none"):
        nvn.trained(tmp_path)


@pytest.mark.parametrize("outcome", ["interrupted", "out of time", "failed"])
def test_a_run_that_did_not_finish_is_used_with_a_warning(run: nvn.Run, outcome: str) -> None:
    rewrite(run, outcome=outcome)
    with pytest.warns(NvnWarning, match=rf"did not finish \({outcome}; steps: warmup 3, main 4\)"):
        assert nvn.trained(run.folder).recipe.name == "tiny"


@pytest.mark.parametrize(
    ("outcome", "why"), [("running", "still running, or killed"), ("failed", "outcome: failed")]
)
def test_a_run_without_weights_is_said(run: nvn.Run, outcome: str, why: str) -> None:
    rewrite(run, outcome=outcome)
    shutil.rmtree(run.folder / "checkpoints")
    with pytest.raises(RunError, match=rf"has no weights \({why}"):
        nvn.trained(run.folder)


# --- its weights ---


def weights(run: nvn.Run) -> Path:
    return run.folder / "checkpoints" / "final" / "G.safetensors"


def test_torn_weights_are_one_clear_error(run: nvn.Run) -> None:
    whole = weights(run).read_bytes()
    for size in (0, 5, len(whole) // 2, len(whole) - 1):
        weights(run).write_bytes(whole[:size])
        with pytest.raises(RunError, match=r"G.safetensors is not a complete safetensors file"):
            nvn.trained(run.folder)
    weights(run).unlink()
    with pytest.raises(RunError, match=r"there are no weights at .*G.safetensors"):
        nvn.trained(run.folder)


def forget_digests(run: nvn.Run) -> None:
    """As a run of before has none."""
    about = yaml.safe_load((run.folder / "run.yaml").read_text())
    del about["weights"]
    (run.folder / "run.yaml").write_text(yaml.safe_dump(about))


def test_weights_that_have_changed_are_refused(run: nvn.Run) -> None:
    save_weights(weights(run), {"by": torch.zeros(3)}, {})
    with pytest.raises(RunError, match="has changed since the run wrote it"):
        nvn.trained(run.folder)


def test_weights_that_do_not_fit_are_said(run: nvn.Run) -> None:
    forget_digests(run)
    save_weights(weights(run), {"by": torch.zeros(4)}, {})
    with pytest.raises(RunError, match=r"by is \(4,\) in the file, \(3,\) in the module"):
        nvn.trained(run.folder)


def test_what_no_file_of_weights_can_hold_is_said(run: nvn.Run) -> None:
    forget_digests(run)
    save_weights(weights(run), {"by": torch.ones(3), "extra": print}, {})
    with pytest.warns(NvnWarning, match="stay as they were built: extra"):
        assert torch.equal(by(nvn.trained(run.folder).engine, "G"), torch.ones(3))


# --- its recipe ---


def test_a_recipe_that_is_gone_can_be_given(run: nvn.Run, file: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere" / "other.py"
    moved.parent.mkdir()
    file.rename(moved)
    with pytest.raises(RunError, match=r"run .* does not exist anymore: .*game.py.*--recipe"):
        nvn.trained(run.folder)
    assert nvn.trained(run.folder, recipe=moved).config is not None
    with pytest.raises(ConfigError, match="there is no recipe file .*missing.py"):
        nvn.trained(run.folder, recipe="missing.py")


def test_a_recipe_that_is_gone_but_installed_is_used_with_a_warning(run: nvn.Run) -> None:
    (run.folder / "recipe.py").unlink()
    (run.folder / "config.yaml").unlink()
    (run.folder / "config.yaml").touch()
    rewrite(run, origin="/gone/gaussians.py")
    with (
        pytest.warns(NvnWarning, match="the installed one of that name is used"),
        pytest.raises(RunError, match="does not fit the module"),  # another game's weights
    ):
        nvn.trained(run.folder)


def test_an_installed_recipe_is_found_by_its_name() -> None:
    source = load_recipe("gaussians")
    assert source.origin == load_recipe(str(source.path)).origin == "gaussians"


def test_a_changed_recipe_is_not_run_unless_it_is_given(run: nvn.Run, file: Path) -> None:
    """A run's folder names the code that is executed: it may be anybody's."""
    told: list[str] = []
    nvn.trained(run.folder, telling=told.append)
    assert told == [f"recipe: {file}: its code is run"]
    file.write_text("raise SystemExit('run')\n" + RECIPE)
    with pytest.raises(RunError, match=r"game.py has changed since the run, whose recipe is kept"):
        nvn.trained(run.folder)
    file.write_text(RECIPE + "# changed\n")
    nvn.trained(run.folder, recipe=file)


def test_a_recipe_in_the_folder_itself_is_said_to_be_there(run: nvn.Run) -> None:
    told: list[str] = []
    nvn.trained(run.folder, recipe=run.folder / "recipe.py", telling=told.append)
    assert "which lies in that folder: its code is run" in told[0]


def test_a_recipe_in_the_folder_itself_is_run_only_by_those_who_trust_it(run: nvn.Run) -> None:
    """A stranger's run would bring its own code along."""
    about = yaml.safe_load((run.folder / "run.yaml").read_text())
    about["origin"] = str(run.folder / "recipe.py")
    (run.folder / "run.yaml").write_text(yaml.safe_dump(about))
    with pytest.raises(RunError, match="lies in that folder itself, which may come from anybody"):
        nvn.trained(run.folder)
    with pytest.raises(RunError, match="--trust"):
        reopen(run.folder, {})
    told: list[str] = []
    nvn.trained(run.folder, trust=True, telling=told.append)
    reopen(run.folder, {}, trust=True, telling=told.append)
    assert all("which lies in that folder" in text for text in told)


@pytest.mark.parametrize("name", ["other.py", "other.txt", "other", "deep/other.pyc"])
def test_another_file_is_not_run_whatever_it_is_called(
    run: nvn.Run, tmp_path: Path, name: str
) -> None:
    """A stranger's run.yaml may name any file of this machine."""
    other = tmp_path / name
    other.parent.mkdir(exist_ok=True)
    other.write_text("raise SystemExit('run')\n")
    rewrite(run, origin=str(other))
    with pytest.raises(RunError, match="has changed since the run, whose recipe is kept"):
        nvn.trained(run.folder)
    with pytest.raises(RunError, match="has changed since the run began"):
        reopen(run.folder, {})


def test_without_a_kept_copy_nothing_is_run(run: nvn.Run, file: Path) -> None:
    (run.folder / "recipe.py").unlink()
    file.write_text("raise SystemExit('run')\n")
    with pytest.raises(RunError, match=r"keeps no copy of its recipe.*--recipe"):
        nvn.trained(run.folder)
    with pytest.raises(RunError, match="cannot be compared with the run's: there is no"):
        reopen(run.folder, {})
    file.write_text(RECIPE)
    nvn.trained(run.folder, recipe=file)


def test_a_link_into_the_folder_does_not_hide_where_a_recipe_lies(
    run: nvn.Run, tmp_path: Path
) -> None:
    (tmp_path / "linked.py").symlink_to(run.folder / "recipe.py")
    rewrite(run, origin=str(tmp_path / "linked.py"))
    with pytest.raises(RunError, match="lies in that folder itself"):
        nvn.trained(run.folder)


ODD = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=9)
    | st.dates()
    | st.sampled_from(["../..", "/dev/zero", "gaussians", "\x1b[2J", "x" * 5000]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=4,
)
ENTRIES = st.sampled_from(
    ["recipe", "origin", "seed", "outcome", "steps", "weights", "metrics", "started", "error"]
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    outcome=st.sampled_from(["finished", "running"]),
    changes=st.dictionaries(ENTRIES, ODD, min_size=1, max_size=2),
)
@pytest.mark.filterwarnings("ignore::nvn.NvnWarning")
def test_whatever_run_yaml_says_nothing_but_one_error_comes_of_it(
    run: nvn.Run, outcome: str, changes: dict[str, object]
) -> None:
    whole = (run.folder / "run.yaml").read_bytes()
    rewrite(run, **{"outcome": outcome, **changes})
    try:
        for given in (run.folder, run.folder.parent):
            with contextlib.suppress(NvnError):
                nvn.trained(given)
    finally:
        (run.folder / "run.yaml").write_bytes(whole)


@pytest.mark.parametrize("seed", ["x", [1], 2**70, -1, True, 1.5])
def test_a_seed_that_is_none_is_told(run: nvn.Run, seed: object) -> None:
    about = yaml.safe_load((run.folder / "run.yaml").read_text())
    (run.folder / "run.yaml").write_text(yaml.safe_dump({**about, "seed": seed}))
    with pytest.raises(RunError, match=r"run.yaml: seed = "):
        nvn.trained(run.folder)


def test_a_neighbour_that_cannot_be_read_is_passed_over(run: nvn.Run) -> None:
    other = run.folder.with_name("other")
    other.mkdir()
    (other / "run.yaml").write_text("a: &a [*a]")
    with pytest.warns(NvnWarning, match="that run is passed over"):
        assert nvn.trained(run.folder.parent).folder == run.folder


def test_a_configuration_that_fits_no_more_is_said(run: nvn.Run, file: Path) -> None:
    file.write_text(RECIPE.replace("steps", "count").replace("tiny(count", "tiny(steps"))
    with pytest.raises(ConfigError, match="there is no setting 'steps'"):
        nvn.trained(run.folder, recipe=file)


def test_a_run_from_python_needs_its_recipe(tmp_path: Path) -> None:
    run = nvn.train(tiny(), out=tmp_path / "run", max_steps=1)
    with pytest.raises(RunError, match="has no record of its recipe's file.*recipe="):
        nvn.trained(run.folder)
    found = nvn.trained(run.folder, recipe=tiny())
    assert found.config is None
    assert torch.equal(by(found.engine, "G"), by(run.engine, "G"))


# --- applying ---


def with_application(run: nvn.Run, fn: Any) -> nvn.Trained:
    recipe = tiny(application=nvn.Application("shifted", fn))
    return nvn.trained(run.folder, recipe=recipe)


def test_an_application_gets_rgb_and_trained_modules_in_eval_mode(run: nvn.Run) -> None:
    def look(engine: nvn.Engine, image: Image.Image) -> Image.Image:
        assert image.mode == "RGB"
        assert not engine.modules["G"].training
        assert not torch.is_grad_enabled()
        assert torch.equal(by(engine, "G"), by(run.engine, "G"))
        return image.resize((9, 9))

    found = with_application(run, look)
    found.engine.modules["G"].train()
    assert found.apply(Image.new("LA", (4, 4))).size == (9, 9)
    assert found.engine.modules["G"].training


def test_what_is_drawn_is_drawn_alike_for_every_picture(run: nvn.Run) -> None:
    def draw(engine: nvn.Engine, image: Image.Image) -> Image.Image:
        return Image.new("L", (1, 1), int(torch.randint(256, ())))

    found, picture = with_application(run, draw), Image.new("L", (4, 4))
    assert len({found.apply(picture).getpixel((0, 0)) for _ in range(5)}) == 1


@pytest.mark.parametrize("made", [None, 3, Image.new("L", (0, 4))])
def test_an_application_that_gives_no_picture_is_said(run: nvn.Run, made: Any) -> None:
    with pytest.raises(RunError, match="application 'shifted' returned"):
        with_application(run, lambda engine, image: made).apply(Image.new("L", (4, 4)))


def test_a_recipe_without_application_says_what_to_add(run: nvn.Run) -> None:
    with pytest.raises(NvnError, match=r"application=nvn.Application"):
        nvn.trained(run.folder).apply(gray(run.engine))
