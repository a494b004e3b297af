"""Recipes: a game with all that its training needs.

A recipe is a Python file with

    class Config(nvn.Config): ...                      # typed, bounded, described settings
    def recipe(config: Config) -> nvn.Recipe: ...      # builds the modules and declares the game

Configuration is in config.py, loading a file in loading.py. None of them imports torch.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from nvn.errors import ConfigError, RunError, did_you_mean
from nvn.game import Game, Schedule
from nvn.recipe.goal import EarlyStopping

if TYPE_CHECKING:
    from PIL.Image import Image

    from nvn.data import Data
    from nvn.engine.engine import Engine
    from nvn.engine.optimizers import Optimizers

__all__ = ["MAIN", "Application", "Evaluation", "Phase", "Preview", "Recipe", "Sampling"]

MAIN = "main"  # the phase of the game itself
_LISTS = ("phases", "evaluations", "previews", "plugins")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")  # valid as a file name

Metrics: TypeAlias = Mapping[str, float]


@dataclass(frozen=True)
class Phase:
    """A phase of training before the game itself, with its own schedule and number of steps.

    Attributes:
        name: Its name in records and progress bars.
        schedule: Who moves when; players may be left out.
        steps: The number of iterations.
        data: Its data; the recipe's if None.
        copies: Players that become copies of others when it ends, `{"alone": "G"}`: parameters and
            buffers are taken over, so that both go on from one point.

    >>> import nvn, torch
    >>> game = nvn.Game("line")
    >>> f = game.player("f", torch.nn.Linear(1, 1))
    >>> g = game.player("g", torch.nn.Linear(1, 1))
    >>> Phase("warmup", nvn.alternating(f), steps=100, copies={"g": "f"}).steps
    100
    """

    name: str
    schedule: Schedule
    steps: int
    data: Data | None = None
    copies: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Evaluation:
    """Metrics of the players.

    Attributes:
        name: Its name in records.
        fn: A function of the engine that returns `{metric: number}`. The modules are in eval mode
            while it runs, gradients are off (`torch.enable_grad()` turns them on), and the random
            state is restored afterwards.
        every: The interval in steps of the game; only at the end if None.

    >>> def slope(engine: Engine) -> Metrics:
    ...     return {"slope": engine.modules["f"].weight.item()}
    >>> Evaluation("line", slope, every=50)  # doctest: +ELLIPSIS
    Evaluation(name='line', fn=<function slope at ...>, every=50)
    """

    name: str
    fn: Callable[[Engine], Metrics]
    every: int | None = None

    def numbers(self, engine: Engine) -> dict[str, float]:
        """Run it, and check that it returns numbers."""
        metrics = self.fn(engine)
        try:
            return {str(name): float(value) for name, value in metrics.items()}
        except (AttributeError, TypeError, ValueError) as error:
            raise RunError(
                f"evaluation {self.name!r} returned {metrics!r:.200}; "
                'expected a dict of numbers, e.g. {"accuracy": 0.9}'
            ) from error


@dataclass(frozen=True)
class Preview:
    """A picture of what the players make.

    Attributes:
        name: The picture's name.
        fn: A function of the engine that returns a picture, run as an evaluation is.
        every: The interval in steps of the game; only at the end if None.
        early: The phases before the game in which it is made, too: phase → interval in steps. It
            is then made before the first step of each of them, and of the game.

    >>> def samples(engine: Engine) -> Image:
    ...     import PIL.Image
    ...
    ...     brightness = engine.modules["f"].weight.item()
    ...     return PIL.Image.new("L", (8, 8), round(255 * brightness))
    >>> Preview("samples", samples).every is None
    True
    """

    name: str
    fn: Callable[[Engine], Image]
    every: int | None = None
    early: Mapping[str, int] = field(default_factory=dict)

    def is_due(self, phase: str, step: int) -> bool:
        """Return whether it is to be made after so many steps of a phase.

        >>> preview = Preview("samples", lambda engine: None, every=50, early={"warmup": 300})
        >>> [preview.is_due("warmup", step) for step in (0, 50, 300)]
        [True, False, True]
        >>> [preview.is_due("main", step) for step in (0, 50, 75)]
        [True, True, False]
        """
        every = self.every if phase == MAIN else self.early.get(phase)
        begins = step == 0 and (phase in self.early or (phase == MAIN and bool(self.early)))
        return begins or (every is not None and step > 0 and step % every == 0)

    def picture(self, engine: Engine) -> Image:
        """Run it, and check that it returns a picture."""
        return _checked_picture(self.fn(engine), f"preview {self.name!r}")


@dataclass(frozen=True)
class Application:
    """What a trained game does to one picture; `nvn apply` runs it on files.

    Attributes:
        name: The name of its results, such as "magnified": part of their file names.
        fn: A function of the engine and a picture that returns a picture. Its argument is RGB,
            upright, of any size from 1 × 1 px; the result may have another size and mode. It runs
            in eval mode, without gradients, and with the same random seed for every picture. For
            a picture that it cannot handle it raises an NvnError (`nvn.DataError`) saying why.

    >>> import PIL.Image
    >>> def smaller(engine: Engine, image: Image) -> Image:
    ...     return image.resize((image.width // 2, image.height // 2))
    >>> halved = Application("halved", smaller)
    >>> halved.fn(None, PIL.Image.new("RGB", (64, 48))).size
    (32, 24)
    """

    name: str
    fn: Callable[[Engine, Image], Image]

    def result(self, engine: Engine, image: Image) -> Image:
        """Run it on a picture, and check that it returns a picture."""
        return self.checked(self.fn(engine, image))

    def checked(self, result: Image) -> Image:
        """Check that what `fn` returned is a picture, and return it.

        Raises:
            RunError: It is none.
        """
        picture = _checked_picture(result, f"application {self.name!r}")
        if not min(picture.size):
            raise RunError(f"application {self.name!r} returned a picture without pixels")
        return picture


@dataclass(frozen=True)
class Sampling:
    """How a trained game makes pictures from nothing but noise; `nvn sample` runs it.

    Attributes:
        fn: A function of the engine and a number that returns so many pictures, or one picture that
            shows so many samples. It runs as an evaluation does, its random streams from a seed on.

    >>> import PIL.Image
    >>> def blank(engine: Engine, count: int) -> list[Image]:
    ...     return [PIL.Image.new("L", (8, 8))] * count
    >>> len(Sampling(blank).pictures(None, 3))
    3
    """

    fn: Callable[[Engine, int], Sequence[Image] | Image]

    def pictures(self, engine: Engine, count: int) -> list[Image]:
        """Run it, and check that it returns pictures."""
        made = self.fn(engine, count)
        listed: Iterable[Any] = made if isinstance(made, list | tuple) else [made]
        return [_checked_picture(picture, "sampling") for picture in listed]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A game with all that its training needs.

    Attributes:
        name: The recipe's name.
        game: The game, with the modules to train.
        schedule: Who moves when.
        optimizers: One for all players, or one per player: a function of parameters, or an
            `nvn.Optimizer` with gradient clipping and a learning-rate schedule.
        data: An iterable of dict batches, `{"a": iterable, …}` for unpaired data, or a function
            without arguments that returns either (called when training begins).
        steps: The number of iterations of the schedule.
        phases: Phases before the game, such as pre-training.
        evaluations: Metrics to compute during training and at the end.
        previews: Pictures to make during training and at the end.
        early_stopping: When to end the game before its last step, if ever.
        application: What the trained game does to a picture of the user's, if anything.
        sampling: How the trained game makes pictures from noise, if it does.
        plugins: Objects with hooks (nvn.plugins), for every run of this recipe.

    Raises:
        ConfigError: Naming everything that is invalid.

    >>> from functools import partial
    >>> import nvn, torch
    >>> from nvn import energies as en
    >>> def line() -> nvn.Recipe:
    ...     game = nvn.Game("line")
    ...     x, y = game.batch("x", "y")
    ...     f = game.player("f", torch.nn.Linear(1, 1))
    ...     f.minimizes(en.mse(f(x), y))
    ...     inputs = torch.linspace(-1.0, 1.0, 64)[:, None]
    ...     return nvn.Recipe(
    ...         name="line",
    ...         game=game,
    ...         schedule=nvn.alternating(f),
    ...         optimizers=partial(torch.optim.SGD, lr=0.5),
    ...         data=nvn.data.TensorBatches({"x": inputs, "y": 2 * inputs}, batch_size=16),
    ...         steps=200,
    ...     )

    >>> recipe = line()
    >>> recipe.replace(steps=10).all_phases[-1].steps
    10
    >>> recipe.replace(steps=0)
    Traceback (most recent call last):
    nvn.errors.ConfigError: recipe 'line':
      steps: found 0, expected an integer of at least 1
    """

    name: str
    game: Game
    schedule: Schedule
    optimizers: Optimizers
    data: Data
    steps: int
    phases: Sequence[Phase] = ()
    evaluations: Sequence[Evaluation] = ()
    previews: Sequence[Preview] = ()
    early_stopping: EarlyStopping | None = None
    application: Application | None = None
    sampling: Sampling | None = None
    plugins: Sequence[object] = ()

    def __post_init__(self) -> None:
        for group in _LISTS:
            # Lists are accepted; kept as tuples, they cannot change afterwards.
            if isinstance(given := getattr(self, group), Iterable):
                object.__setattr__(self, group, tuple(given))
        problems = list(_recipe_problems(self))
        if problems:
            raise ConfigError(f"recipe {self.name!r}:\n  " + "\n  ".join(problems))

    @property
    def all_phases(self) -> tuple[Phase, ...]:
        """All phases in order; the last one is the game itself."""
        return (*self.phases, Phase(MAIN, self.schedule, self.steps))

    def replace(self, **changes: Any) -> Recipe:
        """Return a copy with some fields changed, validated again."""
        known = [field.name for field in dataclasses.fields(self)]
        for name in changes:
            if name not in known:
                raise ConfigError(
                    f"a Recipe has no field {name!r}.{did_you_mean(name, known)} "
                    f"Fields: {', '.join(known)}"
                )
        return dataclasses.replace(self, **changes)


def _recipe_problems(recipe: Recipe) -> Iterator[str]:
    if not isinstance(recipe.name, str) or not _NAME.fullmatch(recipe.name):
        yield f"name: {recipe.name!r} is no valid folder name; use letters, digits, _ - ."
    yield from _type_problems("game", recipe.game, Game)
    unlisted = [f for f in _LISTS if not isinstance(getattr(recipe, f), tuple)]
    for group in unlisted:
        yield f"{group}: found {_kind(getattr(recipe, group))}, expected a list"
    if not unlisted:
        yield from _phase_problems(recipe)
        yield from _occasion_problems(recipe)
        yield from _name_problems(recipe)
    if recipe.early_stopping is not None:
        yield from _early_stopping_problems(recipe)
    if recipe.sampling is not None:
        yield from _type_problems("sampling", recipe.sampling, Sampling)
    if isinstance(recipe.sampling, Sampling) and not callable(recipe.sampling.fn):
        yield f"sampling: fn: found {_kind(recipe.sampling.fn)}, expected a function"
    if recipe.application is not None:
        yield from _type_problems("application", recipe.application, Application)
    if isinstance(recipe.application, Application):
        yield from _file_name_problems("application", recipe.application.name)
        if not callable(recipe.application.fn):
            yield f"application: fn: found {_kind(recipe.application.fn)}, expected a function"


def _phase_problems(recipe: Recipe) -> Iterator[str]:
    for phase in recipe.phases:
        yield from _type_problems("phases", phase, Phase)
    for phase in (p for p in recipe.all_phases if isinstance(p, Phase)):
        where = "" if phase.name == MAIN else f"phase {phase.name!r}: "
        yield from _type_problems(f"{where}schedule", phase.schedule, Schedule)
        yield from _count_problems(f"{where}steps", phase.steps)
        if isinstance(recipe.game, Game):
            yield from _copy_problems(f"{where}copies", phase.copies, recipe.game)


def _copy_problems(where: str, copies: object, game: Game) -> Iterator[str]:
    if not isinstance(copies, Mapping):
        yield f'{where}: found {_kind(copies)}, expected {{"copy": "player"}}'
        return
    unknown = [name for pair in copies.items() for name in pair if name not in game.players]
    for name in dict.fromkeys(unknown):
        hint = did_you_mean(str(name), game.players)
        yield f"{where}: there is no player {name!r}.{hint} Players: {', '.join(game.players)}"
    for name, of in copies.items():
        if name not in unknown and of not in unknown and _form(game, name) != _form(game, of):
            yield f"{where}: {name!r} cannot be a copy of {of!r}: their parameters differ in form"


def _form(game: Game, player: str) -> dict[str, object]:
    """The names of a player's parameters and buffers, and their shapes."""
    state = game.players[player].module.state_dict()
    return {name: getattr(x, "shape", None) for name, x in state.items()}


def _occasion_problems(recipe: Recipe) -> Iterator[str]:
    for group, kind in (("evaluations", Evaluation), ("previews", Preview)):
        for item in getattr(recipe, group):
            yield from _type_problems(group, item, kind)
            if isinstance(item, kind) and item.every is not None:
                yield from _count_problems(f"{group}: {item.name!r}: every", item.every)
    for item in recipe.previews:
        if isinstance(item, Preview):
            yield from _early_problems(recipe, item)


def _early_problems(recipe: Recipe, preview: Preview) -> Iterator[str]:
    where = f"previews: {preview.name!r}: early"
    if not isinstance(preview.early, Mapping):
        yield f'{where}: found {_kind(preview.early)}, expected {{"phase": steps}}'
        return
    known = [phase.name for phase in recipe.phases if isinstance(phase, Phase)]
    for name, every in preview.early.items():
        if name not in known:
            hint = did_you_mean(str(name), known)
            yield (
                f"{where}: there is no phase {name!r} before the game.{hint} "
                f"Phases: {', '.join(known) or 'none'}"
            )
        yield from _count_problems(f"{where}: {name!r}", every)


def _early_stopping_problems(recipe: Recipe) -> Iterator[str]:
    given = recipe.early_stopping
    if not isinstance(given, EarlyStopping):
        yield from _type_problems("early_stopping", given, EarlyStopping)
        return
    yield from _count_problems("early_stopping: patience", given.patience)
    try:
        goal = given.goal
    except ConfigError as error:
        yield f"early_stopping: {error}"
        return
    regular = [e.name for e in recipe.evaluations if getattr(e, "every", None) is not None]
    if goal.evaluation not in regular:
        known = ", ".join(regular) or "none"
        yield (
            f"early_stopping: there is no evaluation {goal.evaluation!r} with `every`."
            f"{did_you_mean(goal.evaluation, regular)} Evaluations during training: {known}"
        )


def _type_problems(where: str, found: object, kind: type) -> Iterator[str]:
    if not isinstance(found, kind):
        yield f"{where}: found {_kind(found)}, expected nvn.{kind.__name__}"


def _count_problems(where: str, found: object) -> Iterator[str]:
    if not isinstance(found, int) or isinstance(found, bool) or found < 1:
        yield f"{where}: found {found!r}, expected an integer of at least 1"


def _name_problems(recipe: Recipe) -> Iterator[str]:
    for group in ("all_phases", "evaluations", "previews"):
        names = [item.name for item in getattr(recipe, group) if hasattr(item, "name")]
        for name in sorted({name for name in names if names.count(name) > 1}):
            taken = f" ({MAIN!r} is the game itself)" if name == MAIN else ""
            yield f"{group.removeprefix('all_')}: the name {name!r} is used twice{taken}"
        for name in names:
            yield from _file_name_problems(group, name)


def _file_name_problems(where: str, name: object) -> Iterator[str]:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        yield f"{where}: {name!r} is no valid file name; use letters, digits, _ - ."


def _checked_picture(picture: Image, maker: str) -> Image:
    if not hasattr(picture, "save"):
        raise RunError(
            f"{maker} returned {_kind(picture)}; expected a "
            "PIL.Image.Image (PIL.Image.fromarray makes one of an array)"
        )
    return picture


def _kind(value: object) -> str:
    return "None" if value is None else type(value).__name__
