"""A finished run, loaded: its recipe, with the trained weights.

(The module is not called trained: `nvn.trained` is the function.)
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from nvn.engine.engine import Engine
from nvn.engine.seeding import seeded
from nvn.errors import ConfigError, NvnWarning, RunError
from nvn.images import rgb
from nvn.recipe.build import make_engines
from nvn.recipe.code import kept_differs, lies_inside, require_outside
from nvn.recipe.config import Config, read_yaml
from nvn.recipe.loading import RecipeSource, installed_folder, is_installed_name, load_recipe
from nvn.recipe.recipe import MAIN, Application, Recipe
from nvn.recipe.yaml_reading import shortened
from nvn.training.evaluating import in_eval_mode
from nvn.training.fabric import make_fabric
from nvn.training.weights import Expected, load_weights

if TYPE_CHECKING:
    from lightning_fabric import Fabric
    from PIL.Image import Image

__all__ = ["Trained", "trained"]


@dataclass(frozen=True)
class Trained:
    """A game with the weights of a run.

    Attributes:
        folder: The run's folder.
        recipe: Its recipe, built again.
        config: Its configuration; None if the recipe was passed as an `nvn.Recipe`.
        engine: The game's engine, its modules in eval mode with the run's weights.
        seed: The run's seed.
        device: The device of the modules.

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
        """The recipe's application.

        Raises:
            ConfigError: If it has none.
        """
        if self.recipe.application is None:
            raise ConfigError(
                f"the recipe {self.recipe.name!r} has no application: pass "
                'application=nvn.Application("name", fn) to its nvn.Recipe(…), where fn takes the '
                "engine and a PIL.Image.Image and returns one"
            )
        return self.recipe.application

    def apply(self, image: Image) -> Image:
        """Apply the recipe's application to a picture of any mode and size.

        Raises:
            NvnError: If there is no application, or if it cannot handle this picture.
        """
        application = self.application
        with in_eval_mode(self.engine, self.seed, self.device):
            return application.result(self.engine, rgb(image))

    def sample(self, count: int, *, seed: int | None = None) -> list[Image]:
        """Make pictures from noise, as the recipe says (`nvn.Sampling`).

        Args:
            count: How many; a recipe that draws its samples in one picture returns that.
            seed: What they are drawn from; the run's seed if None.

        Raises:
            ConfigError: The recipe does not say how, or `count` is less than 1.
        """
        if count < 1:
            raise ConfigError(f"{count} samples: expected at least 1")
        if self.recipe.sampling is None:
            raise ConfigError(
                f"the recipe {self.recipe.name!r} does not say how to sample: pass "
                "sampling=nvn.Sampling(fn) to its nvn.Recipe(…), where fn takes the engine and a "
                "number and returns so many PIL.Image.Images"
            )
        with in_eval_mode(self.engine, self.seed if seed is None else seed, self.device):
            return self.recipe.sampling.pictures(self.engine, count)


def trained(
    run: Path | str,
    *,
    recipe: Recipe | Path | str | None = None,
    fabric: Fabric | None = None,
    trust: bool = False,
    telling: Callable[[str], None] = lambda _: None,
) -> Trained:
    """Build a run's recipe again, and load the run's weights. No data are read.

    The recipe's code is run: whose it is, run.yaml says (`origin`), and it has to be the same still
    as that which the run kept. Warns (`NvnWarning`) if the run did not finish.

    Args:
        run: The run's folder; or a folder of runs, `runs/<recipe>`, for the latest that finished.
        recipe: The recipe, if it has moved or if the run was started from Python: its file, its
            name if installed, or an `nvn.Recipe`.
        fabric: Device and precision; one device in 32-true if None.
        trust: Whether a recipe may lie in the run's own folder, which may come from anybody.
        telling: Is told which recipe's code will be run, before it is.

    Raises:
        RunError: If there is no such run, if its weights are missing, incomplete or do not fit,
            if its recipe's file does not exist anymore, or if it lies in the run's folder.
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
    seed = _seed(folder, about)
    fabric = fabric or make_fabric()
    _check_outcome(folder, about)
    with seeded(
        seed, fabric.device
    ):  # for random buffers and constants that are not in the weights
        built, config = _built(folder, about, recipe, trust, telling)
        engine = make_engines(built, fabric, seed)[MAIN]
    for name, module in engine.modules.items():
        file = folder / "checkpoints" / "final" / f"{name}.safetensors"
        _load(file, module, _expected(about, name))
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
    runs = {}
    for folder in filter(_is_run, path.iterdir()):
        try:
            runs[folder] = _about(folder)
        except ConfigError as error:  # one that cannot be read does not keep back the others
            _warn(f"{error}: that run is passed over")
    if not runs:
        raise RunError(f"{path} is not a run's folder, and contains none: there is no run.yaml")
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
    try:
        return datetime.fromisoformat(str(about["started"])).timestamp()
    except (KeyError, ValueError, OverflowError, OSError):
        return 0.0


def _check_outcome(folder: Path, about: Mapping[str, Any]) -> None:
    """Refuse a run without weights; warn of one that did not finish."""
    outcome, final = about.get("outcome"), folder / "checkpoints" / "final"
    if not final.is_dir():
        why = (
            "still running, or killed" if outcome == "running" else f"outcome: {shortened(outcome)}"
        )
        raise RunError(f"the run {folder} has no weights ({why}): there is no {final}")
    if outcome != "finished":
        counted = about.get("steps")
        done = counted.items() if isinstance(counted, Mapping) else ()
        steps = shortened(", ".join(f"{phase} {count}" for phase, count in done))
        warnings.warn(
            f"the run {folder} did not finish ({shortened(outcome)}; steps: {steps or 'none'}): "
            "its last weights are used",
            NvnWarning,
            stacklevel=3,
        )


# --- its recipe ---


def _built(
    folder: Path,
    about: Mapping[str, Any],
    given: Recipe | Path | str | None,
    trust: bool,
    telling: Callable[[str], None],
) -> tuple[Recipe, Config | None]:
    if isinstance(given, Recipe):
        return given, None
    source = _source(folder, about, given, trust, telling)
    config = source.config_class.build(file=read_yaml(folder / "config.yaml"))
    return source.build(config), config


def _source(
    folder: Path,
    about: Mapping[str, Any],
    given: Path | str | None,
    trust: bool,
    telling: Callable[[str], None],
) -> RecipeSource:
    origin = given or about.get("origin")
    if origin is None:
        raise RunError(
            f"the run {folder} has no record of its recipe's file, because it was started from "
            "Python: give it with --recipe FILE, or as nvn.trained(…, recipe=…)"
        )
    if given is None:
        if not trust:
            require_outside(Path(str(origin)), folder)
        _check_kept(folder, str(origin))
    inside = ", which lies in that folder" if lies_inside(Path(str(origin)), folder) else ""
    telling(f"recipe: {origin}{inside}: its code is run")
    return _load_source(folder, str(origin), given is not None)


def _check_kept(folder: Path, origin: str) -> None:
    """Refuse a recipe's file that is not the one that the run had: before its code is run.

    A run's folder names the file whose code is executed, and may be anybody's.
    """
    kept, file = folder / "recipe.py", Path(origin)
    # (One that is installed is given by its name; of one that is gone, what comes next tells.)
    if not is_installed_name(origin) and kept_differs(folder, file):
        if not kept.is_file():
            raise RunError(
                f"the run {folder} keeps no copy of its recipe, {file}, so that nothing says "
                f"whether it is the same still: read it, and give --recipe {file}, or "
                "nvn.trained(…, recipe=…)"
            )
        raise RunError(
            f"{file} has changed since the run, whose recipe is kept as {kept}: give the one to "
            f"use, --recipe {file} or --recipe {kept}, or nvn.trained(…, recipe=…)"
        )


def _seed(folder: Path, about: Mapping[str, Any]) -> int:
    seed = about.get("seed", 0)
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**63:
        raise RunError(
            f"{folder / 'run.yaml'}: seed = {shortened(repr(seed))}; expected an integer from 0 to "
            "2^63 - 1"
        )
    return seed


def _load_source(folder: Path, origin: str, given: bool) -> RecipeSource:
    path, installed = Path(origin), installed_folder()
    if given or is_installed_name(origin) or path.exists():
        try:
            return load_recipe(origin)
        except ConfigError as error:
            raise ConfigError(f"the recipe of the run {folder}: {error}") from error
    if installed is not None and (installed / path.name).is_file():
        _warn(f"the recipe {path} does not exist anymore: the installed one of that name is used")
        return load_recipe(path.stem)
    raise RunError(
        f"the recipe of the run {folder} does not exist anymore: {path}. If it has moved, give it "
        "with --recipe FILE, or as nvn.trained(…, recipe=…)"
    )


def _warn(message: str) -> None:
    warnings.warn(message, NvnWarning, stacklevel=2)


# --- its weights ---


def _expected(about: Mapping[str, Any], player: str) -> Expected:
    digests = about.get("weights")
    digest = digests.get(player) if isinstance(digests, Mapping) else None
    return Expected(player, str(about.get("recipe")), None if digest is None else str(digest))


def _load(path: Path, module: torch.nn.Module, expected: Expected) -> None:
    left_out = load_weights(path, module, expected).get("left_out")
    if left_out:
        _warn(f"{path} does not have these entries, which stay as they were built: {left_out}")
