"""Opening a run again from its folder: its recipe and options as they were, and what has changed.

The order matters to whoever opens a stranger's folder: what has changed is known before the
recipe's code is run.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nvn.errors import ConfigError, RunError
from nvn.recipe.code import changed_code, kept_differs, lies_inside, require_outside
from nvn.recipe.config import Config, read_yaml
from nvn.recipe.groups import leaves
from nvn.recipe.loading import RecipeSource, load_recipe, recipe_file
from nvn.report.finding import latest
from nvn.training.plugin_loading import plugin_file
from nvn.training.resume import check_run
from nvn.training.run_file import RunFile, read_run
from nvn.training.saving import Saving

__all__ = ["Reopened", "find_run", "has_finished", "reopen", "to_resume"]

_LINES = 60  # of a difference that are shown


@dataclass(frozen=True)
class Reopened:
    """A run that is to go on.

    Attributes:
        folder: Its folder.
        source: Its recipe.
        config: The recipe's configuration.
        about: What run.yaml says.
    """

    folder: Path
    source: RecipeSource
    config: Config
    about: RunFile

    @property
    def options(self) -> dict[str, Any]:
        """The arguments of `nvn.train` that were given, but for those that need torch."""
        about = self.about
        return {
            "seed": about.seed,
            "max_steps": about.max_steps,
            "more_steps": about.more_steps,
            "compile": about.compile,
            "accumulate": about.accumulate,
            "deterministic": about.deterministic,
            "on_divergence": about.on_divergence,
            "pulls_every": about.pulls_every,
            "plugins": about.plugins,
            "metrics_every": about.metrics_every,
            "saving": Saving(**about.saving.model_dump()),
        }

    @property
    def accelerator(self) -> str:
        """The kind of device that it ran on."""
        return self.about.accelerator

    @property
    def precision(self) -> str:
        """The precision that it ran in."""
        return self.about.precision


def find_run(path: Path) -> Path:
    """Return a run's folder: `path`, or the latest run in `path`, a folder of runs.

    Raises:
        RunError: It is neither.
    """
    found = None if (path / "run.yaml").is_file() else latest(path)
    if found is None:
        check_run(path)
    return found or path


def has_finished(folder: Path) -> bool:
    """Whether a run has done all that it was to do."""
    return read_yaml(folder / "run.yaml").get("outcome") == "finished"


def reopen(
    folder: Path,
    settings: Mapping[str, object],
    *,
    changed: bool = False,
    trust: bool = False,
    telling: Callable[[str], None] = lambda _: None,
) -> Reopened:
    """Load a run's recipe again, and its configuration.

    Args:
        folder: The run's folder.
        settings: Settings to change.
        changed: Whether the recipe, what it imports, or settings may differ from what they were.
        trust: Whether the recipe and plugins may lie in the run's own folder, which may come from
            anybody.
        telling: Is told which recipe's code will be run, before it is; and the differences.

    Raises:
        RunError: Something differs; the run was started from Python; or its folder has the recipe
            or a plugin.
        ConfigError: There is no such recipe any more, or a setting is invalid.
    """
    about = read_run(folder)
    origin = about.origin
    if origin is None:
        raise RunError(
            f"the run {folder} was started from Python: go on there, with "
            "nvn.train(…, resume=folder)"
        )
    path = recipe_file(origin)
    if not trust:
        require_outside(path, folder)
    inside = ", which lies in that folder" if lies_inside(path, folder) else ""
    telling(f"recipe: {path}{inside}")
    for plugin in about.plugins:
        file = plugin_file(plugin)
        if file is not None and not trust:
            require_outside(file, folder, "plugin")
        telling(f"plugin: {plugin}")
    differences = [*_code_differences(folder, about.code, path)]
    if differences and not changed:  # before any of that code is run
        raise RunError(_refusal(folder, differences))
    source = load_recipe(origin)
    before = read_yaml(folder / "config.yaml")
    config = source.config_class.build(file=before, settings=settings)
    differences += _setting_differences(before, config)
    if differences and not changed:
        raise RunError(_refusal(folder, differences))
    for difference in differences:
        telling(difference)
    return Reopened(folder, source, config, about)


def to_resume(
    source: RecipeSource, config: Config, out: Path | None, options: Mapping[str, Any]
) -> Path | None:
    """Return the run that `nvn run … --resume auto` goes on with; None if it is to begin one.

    With `out` that is the run there. Without, it is the latest unfinished one in runs/ that was
    started in the same way.

    Args:
        source: The recipe.
        config: Its configuration.
        out: The folder that was given.
        options: Further entries of run.yaml that have to be the same.

    Raises:
        RunError: The run in `out` was started in another way.
    """
    wanted = {"origin": source.origin, **options}
    if out is not None:
        if not (out / "run.yaml").is_file():
            return None
        differences = [*_start_differences(out, config, wanted)]
        if differences:
            raise RunError(
                "\n".join([*differences, f"so the run in {out} is another one: give another --out"])
            )
        return out
    runs = sorted(Path("runs").glob("*/*/run.yaml"), key=lambda p: p.parent.name, reverse=True)
    for run in (path.parent for path in runs):
        try:
            same = not [*_start_differences(run, config, wanted)]
            unfinished = not has_finished(run)
        except ConfigError:  # a folder that cannot be read is not this run's
            continue
        if same:
            return run if unfinished else None
    return None


def _code_differences(folder: Path, code: Mapping[str, str], recipe: Path) -> Iterator[str]:
    kept = folder / "recipe.py"
    if not kept.is_file():
        yield f"{recipe} cannot be compared with the run's: there is no {kept}"
    elif kept_differs(folder, recipe):
        yield f"{recipe} has changed since the run began:\n{_diff(kept, recipe)}"
    for path in changed_code(code):
        if Path(path) != recipe.resolve():
            gone = "" if Path(path).exists() else ": it is gone"
            yield f"{path}, which the recipe imports, has changed since the run began{gone}"


def _diff(before: Path, now: Path) -> str:
    old, new = (path.read_text(encoding="utf-8", errors="replace") for path in (before, now))
    lines = [
        *difflib.unified_diff(
            old.splitlines(), new.splitlines(), str(before), str(now), n=1, lineterm=""
        )
    ]
    more = [f"… {len(lines) - _LINES} more lines"] if len(lines) > _LINES else []
    return "\n".join(f"  {line}" for line in [*lines[:_LINES], *more])


def _setting_differences(before: Mapping[str, Any], config: Config) -> Iterator[str]:
    was, now = leaves(config.today(before)), leaves(config.model_dump(mode="json"))
    for name in now:
        if name not in was:
            yield f"setting {name} = {now[name]!r} is new"
        elif was[name] != now[name]:
            yield f"setting {name} = {now[name]!r}: it was {was[name]!r}"


def _start_differences(folder: Path, config: Config, wanted: Mapping[str, Any]) -> Iterator[str]:
    about = read_yaml(folder / "run.yaml")
    for name, value in wanted.items():
        if about.get(name) != value:
            yield f"{name} = {value!r}: it is {about.get(name)!r} in {folder}"
    yield from _setting_differences(read_yaml(folder / "config.yaml"), config)


def _refusal(folder: Path, differences: list[str]) -> str:
    return "\n".join(
        [
            *differences,
            f"the run {folder} would not go on as the one that it is: nothing was changed. To go "
            "on with these changes, give --changed",
        ]
    )
