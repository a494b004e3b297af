"""A run that is over, built again: its recipe with the weights it had learnt.

(The module is not called trained: `nvn.trained` is the function.)
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from nvn.engine.engine import Engine
from nvn.engine.module_state import mode
from nvn.engine.seeding import seeded
from nvn.errors import ConfigError, NvnWarning, RunError
from nvn.images import rgb
from nvn.recipe.build import make_engines
from nvn.recipe.config import Config, read_yaml
from nvn.recipe.loading import RecipeSource, installed_folder, load_recipe
from nvn.recipe.recipe import MAIN, Application, Recipe
from nvn.training.fabric import make_fabric
from nvn.training.weights import load_weights

if TYPE_CHECKING:
    from lightning_fabric import Fabric
    from PIL.Image import Image

__all__ = ["Trained", "trained"]


@dataclass(frozen=True)
class Trained:
    """A game with the weights that a run left.

    Attributes:
        folder: The run's folder.
        recipe: Its recipe, built again.
        config: The configuration it was built with; None if the recipe was given built.
        engine: The game's engine, its modules in eval mode with the run's weights.
        seed: The run's seed.
        device: Where the modules are.

    >>> from functools import partial
    >>> import nvn, torch
    >>> from nvn import energies as en
    >>> game = nvn.Game("line")
    >>> x, y = game.batch("x", "y")
    >>> f = game.player("f", torch.nn.Linear(1, 1))
    >>> f.minimizes(en.mse(f(x), y))
    >>> def turn(engine: Engine, image: Image) -> Image:
    ...     return image.rotate(90, expand=True)
    >>> recipe = nvn.Recipe(
    ...     name="line",
    ...     game=game,
    ...     schedule=nvn.alternating(f),
    ...     optimizers=partial(torch.optim.SGD, lr=0.1),
    ...     data=[{"x": torch.tensor([[-1.0], [1.0]]), "y": torch.tensor([[-2.0], [2.0]])}],
    ...     steps=100,
    ...     application=nvn.Application("turned", turn),
    ... )
    >>> run = nvn.train(recipe, out="line to apply")
    >>> import PIL.Image
    >>> nvn.trained(run.folder, recipe=recipe).apply(PIL.Image.new("L", (64, 48))).size
    (48, 64)
    """

    folder: Path
    recipe: Recipe
    config: Config | None
    engine: Engine
    seed: int
    device: torch.device

    @property
    def application(self) -> Application:
        """What the recipe does to a picture of somebody's own.

        Raises:
            ConfigError: If it does nothing of the kind.
        """
        if self.recipe.application is None:
            raise ConfigError(
                f"the recipe {self.recipe.name!r} does not say what it does to a picture of one's "
                'own: give its nvn.Recipe(…) an application=nvn.Application("name", fn), fn taking '
                "the engine and a PIL.Image.Image and returning one"
            )
        return self.recipe.application

    def apply(self, image: Image) -> Image:
        """Return what the recipe's application makes of a picture, of any mode and size.

        Raises:
            NvnError: If there is no application, or if it cannot work on this picture.
        """
        application = self.application
        with ExitStack() as stack:
            stack.enter_context(seeded(self.seed, self.device))
            stack.enter_context(torch.no_grad())
            for module in self.engine.modules.values():
                stack.enter_context(mode(module, training=False))
            return application.result(self.engine, rgb(image))


def trained(
    run: Path | str, *, recipe: Recipe | Path | str | None = None, fabric: Fabric | None = None
) -> Trained:
    """Build a run's recipe again, and load the weights that the run left. No data are read.

    A warning (`NvnWarning`) says so if the recipe is no longer the one that was trained, or if the
    run did not finish.

    Args:
        run: The run's folder; or a folder of runs, `runs/<recipe>`, for the latest that finished.
        recipe: The recipe if it is elsewhere now: its file, or its name; or the recipe itself,
            built, for runs that were started from Python.
        fabric: Where to compute; one device in 32-true if None.

    Raises:
        RunError: If there is no such run, if it left no weights or torn ones, if they do not fit,
            or if its recipe is gone.
        NvnError: If the recipe cannot be built.

    >>> from functools import partial
    >>> import nvn, torch
    >>> from nvn import energies as en
    >>> game = nvn.Game("line")
    >>> x, y = game.batch("x", "y")
    >>> f = game.player("f", torch.nn.Linear(1, 1))
    >>> f.minimizes(en.mse(f(x), y))
    >>> recipe = nvn.Recipe(
    ...     name="line",
    ...     game=game,
    ...     schedule=nvn.alternating(f),
    ...     optimizers=partial(torch.optim.SGD, lr=0.1),
    ...     data=[{"x": torch.tensor([[-1.0], [1.0]]), "y": torch.tensor([[-2.0], [2.0]])}],
    ...     steps=100,
    ... )

    >>> _ = nvn.train(recipe, out="line of before")
    >>> again = nvn.trained("line of before", recipe=recipe)
    >>> again.engine.modules["f"].weight.round(decimals=3).item()
    2.0
    """
    folder = _run_folder(Path(run))
    about = _about(folder)
    seed = int(about.get("seed") or 0)
    fabric = fabric or make_fabric()
    _say_how_it_ended(folder, about)
    with seeded(seed, fabric.device):  # for what is drawn at building and is no weight
        built, config = _built(folder, about, recipe)
        engine = make_engines(built, fabric, seed)[MAIN]
    for name, module in engine.modules.items():
        _load(folder / "checkpoints" / "final" / f"{name}.safetensors", module)
        module.eval()
    return Trained(folder, built, config, engine, seed, fabric.device)


# --- which run ---


def _run_folder(path: Path) -> Path:
    if (path / "run.yaml").is_file():
        return path
    if not path.is_dir():
        raise RunError(
            f"there is no run {path}: expected a run's folder, runs/<recipe>/<time>, or runs/"
            "<recipe> for the latest that finished"
        )
    runs = {folder: _about(folder) for folder in path.iterdir() if _is_run(folder)}
    if not runs:
        raise RunError(f"{path} is no run's folder, nor has it any: there is no run.yaml")
    finished = [folder for folder in runs if runs[folder].get("outcome") == "finished"]
    if not finished:
        known = ", ".join(f"{f.name} ({runs[f].get('outcome')})" for f in sorted(runs))
        raise RunError(f"no run in {path} has finished: name one by its own folder. Runs: {known}")
    return max(finished, key=lambda folder: (_started(runs[folder]), folder.name))


def _is_run(folder: Path) -> bool:
    return (folder / "run.yaml").is_file()


def _about(folder: Path) -> Mapping[str, Any]:
    return read_yaml(folder / "run.yaml")


def _started(about: Mapping[str, Any]) -> float:
    return datetime.fromisoformat(str(about["started"])).timestamp() if "started" in about else 0.0


def _say_how_it_ended(folder: Path, about: Mapping[str, Any]) -> None:
    """Refuse a run that left nothing; warn of one that ended before its time."""
    outcome, final = about.get("outcome"), folder / "checkpoints" / "final"
    if not final.is_dir():
        why = "still running, or killed" if outcome == "running" else f"outcome: {outcome}"
        raise RunError(f"the run {folder} left no weights ({why}): there is no {final}")
    if outcome != "finished":
        steps = ", ".join(f"{phase} {count}" for phase, count in (about.get("steps") or {}).items())
        warnings.warn(
            f"the run {folder} did not finish ({outcome}; steps: {steps or 'none'}): what it had "
            "learnt by then is used",
            NvnWarning,
            stacklevel=3,
        )


# --- its recipe ---


def _built(
    folder: Path, about: Mapping[str, Any], given: Recipe | Path | str | None
) -> tuple[Recipe, Config | None]:
    if isinstance(given, Recipe):
        return given, None
    source = _source(folder, about, given)
    config = source.config_class.build(file=read_yaml(folder / "config.yaml"))
    return source.build(config), config


def _source(folder: Path, about: Mapping[str, Any], given: Path | str | None) -> RecipeSource:
    origin = given or about.get("origin")
    if origin is None:
        raise RunError(
            f"the run {folder} does not say where its recipe is, as runs started from Python do "
            "not: give it with --recipe FILE, or as nvn.trained(…, recipe=…)"
        )
    source = _load_source(folder, str(origin), given is not None)
    kept = folder / "recipe.py"
    if kept.is_file() and kept.read_bytes() != source.path.read_bytes():
        _warn(f"{source.path} is not the recipe that was trained, which is kept as {kept}")
    return source


def _load_source(folder: Path, origin: str, given: bool) -> RecipeSource:
    path, installed = Path(origin), installed_folder()
    if given or path.suffix != ".py" or path.is_file():
        try:
            return load_recipe(origin)
        except ConfigError as error:
            raise ConfigError(f"the recipe of the run {folder}: {error}") from error
    if installed is not None and (installed / path.name).is_file():
        _warn(f"the recipe {path} is gone: the installed one of its name is used")
        return load_recipe(path.stem)
    raise RunError(
        f"the recipe of the run {folder} is gone: {path}. If it is elsewhere now, give it with "
        "--recipe FILE, or as nvn.trained(…, recipe=…)"
    )


def _warn(message: str) -> None:
    warnings.warn(message, NvnWarning, stacklevel=2)


# --- its weights ---


def _load(path: Path, module: torch.nn.Module) -> None:
    left_out = load_weights(path, module).get("left_out")
    if left_out:
        _warn(f"{path} lacks what is no tensor, which stays as it was built: {left_out}")
