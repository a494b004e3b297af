"""The grid of a sweep: every recipe with every combination of the swept values.

All runs are checked before the first one starts, and all problems are reported in one error.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from math import prod
from typing import Any

import yaml

from nvn.errors import ConfigError
from nvn.recipe.config import Config, overlaid, read_settings
from nvn.recipe.loading import RecipeSource, load_recipe
from nvn.recipe.yaml_reading import parse, shortened

__all__ = ["REPEATS", "SEED", "Axis", "Cell", "Grid", "Request", "as_text", "make_grid"]

SEED = "seed"  # not a setting: the run's own seed
REPEATS = (SEED, "fold")  # means are over these
MOST = 10_000  # runs: each has a folder, and is checked before the first one starts
_FLOW = 1_000_000  # characters per line: YAML must not wrap


@dataclass(frozen=True)
class Request:
    """The arguments of a sweep.

    Attributes:
        recipes: Files, or names of installed recipes.
        over: `name=value,value` for each swept name.
        folds: The number of folds, K: sets `folds`, and sweeps `fold` from 0 to K − 1.
        preset: A preset of the recipes.
        settings: `name=value` for settings of all runs.
        file: Settings read from a file.
        seed: The seed of all runs, unless swept; None for 0.
        max_steps: Maximum number of steps of each phase.
        max_time: Maximum number of seconds of each run.
        precision: As in `nvn run`.
    """

    recipes: Sequence[str]
    over: Sequence[str] = ()
    folds: int | None = None
    preset: str | None = None
    settings: Sequence[str] = ()
    file: Mapping[str, object] = field(default_factory=dict)
    seed: int | None = None
    max_steps: int | None = None
    max_time: float | None = None
    precision: str = "32-true"


@dataclass(frozen=True)
class Axis:
    """A swept name, and its values."""

    name: str
    values: tuple[object, ...]


@dataclass(frozen=True)
class Cell:
    """One run of the grid.

    Attributes:
        recipe: The recipe.
        given: The recipe's argument: a file or a name.
        chosen: The value of each swept name, including fold and seed.
        settings: The settings passed by `--set`.
        config: Its complete configuration.
        seed: Its seed.
    """

    recipe: RecipeSource
    given: str
    chosen: Mapping[str, object]
    settings: Mapping[str, object]
    config: Config
    seed: int

    def __str__(self) -> str:
        return " ".join([self.recipe.name, *_pairs(self.chosen)])

    @cached_property
    def row(self) -> tuple[str, ...]:
        """The swept values other than seed and fold, as text: the label of a table's row."""
        return tuple(as_text(x) for name, x in self.chosen.items() if not _repeats(name))

    @cached_property
    def content(self) -> str:
        """All that determines the run, except the recipe's code."""
        values = self.config.model_dump(mode="json")
        return json.dumps({"config": values, SEED: self.seed}, sort_keys=True, default=str)


@dataclass(frozen=True)
class Grid:
    """All the runs of a sweep.

    Attributes:
        request: The arguments.
        recipes: The recipes, in the order given.
        axes: The swept names.
        cells: The runs: recipe by recipe, the last swept name varying fastest.
    """

    request: Request
    recipes: tuple[RecipeSource, ...]
    axes: tuple[Axis, ...]
    cells: tuple[Cell, ...]

    @property
    def rows(self) -> tuple[str, ...]:
        """The swept names other than seed and fold."""
        return tuple(axis.name for axis in self.axes if not _repeats(axis.name))

    @property
    def repeats(self) -> int:
        """The number of runs that each mean is over."""
        return len(self.cells) // len({(cell.recipe.name, cell.row) for cell in self.cells})


def make_grid(request: Request) -> Grid:
    """Expand a request into runs, and check the configuration of each.

    Raises:
        ConfigError: Naming every problem of the swept values, the recipes and the settings; or
            that there are too many runs.
    """
    problems: list[str] = []
    axes = _axes(request, problems)
    fixed = _fixed(request, axes, problems)
    recipes = _recipes(request, problems)
    _check_size(axes, len(request.recipes))
    cells: list[Cell] = []
    for given, recipe in recipes:
        cells += _cells(request, given, recipe, axes, fixed, problems)
    problems += _duplicates(cells)
    if len(problems) > 1:
        raise ConfigError("\n  ".join([f"{len(problems)} problems with this sweep:", *problems]))
    if problems:
        raise ConfigError(problems[0])
    return Grid(request, tuple(recipe for _, recipe in recipes), axes, tuple(cells))


def as_text(value: object) -> str:
    """Return a value as one line of YAML.

    >>> as_text("vgg13"), as_text(True), as_text([1, 2])
    ('vgg13', 'true', '[1, 2]')
    """
    text = yaml.safe_dump(value, default_flow_style=True, width=_FLOW, allow_unicode=True)
    return text.removesuffix("...\n").strip()


def _check_size(axes: Sequence[Axis], recipes: int) -> None:
    count = recipes * prod(len(axis.values) for axis in axes)
    if count > MOST:
        sizes = " × ".join([f"{recipes} recipes", *(f"{len(a.values)} {a.name}" for a in axes)])
        raise ConfigError(
            f"this sweep would be of {count} runs or more ({sizes}); expected {MOST} at most: "
            "sweep fewer values, or one part after the other"
        )


# --- axes ---


def _axes(request: Request, problems: list[str]) -> tuple[Axis, ...]:
    axes = []
    for text in request.over:
        try:
            axes.append(_axis(text))
        except ConfigError as error:
            problems.append(str(error))
    if request.folds is not None:
        if request.folds < 2:
            problems.append(f"--folds {request.folds}: expected at least 2")
        # (No more than are refused below: a number that is absurd must not fill the memory.)
        axes.append(Axis("fold", tuple(range(min(max(request.folds, 2), MOST + 1)))))
    names = Counter(axis.name for axis in axes)
    for name in (name for name, count in names.items() if count > 1):
        clash = " (--folds sweeps it)" if name == "fold" and request.folds is not None else ""
        problems.append(f"--over {name}: given twice{clash}; write all its values in one --over")
    return tuple({axis.name: axis for axis in axes}.values())


def _axis(text: str) -> Axis:
    """Parse `name=value,value`: YAML values, separated by commas outside brackets and quotes."""
    name, equals, listed = text.partition("=")
    example = "e.g. --over backbone=vgg13,resnet18"
    if not (equals and name):
        raise ConfigError(f"--over {text}: expected name=value,value, {example}")
    if not listed.strip() or listed.rstrip().endswith(",") or listed.lstrip().startswith(","):
        raise ConfigError(f"--over {text}: a value is empty; expected name=value,value, {example}")
    try:
        values = parse(f"[{listed}]")
    except ConfigError as error:
        hint = "is a value empty, or a bracket or quote not closed? Special characters need quotes"
        raise ConfigError(
            f"--over {shortened(text)}: cannot read the values: {hint} ({shortened(error)})"
        ) from None
    if not isinstance(values, list) or not values:  # a bracket in it ends the list
        raise ConfigError(f"--over {shortened(text)}: expected name=value,value, {example}")
    if name == SEED:
        _check_seeds(text, values)
    return Axis(name, tuple(values))


def _check_seeds(text: str, seeds: Iterable[object]) -> None:
    for seed in seeds:
        if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**63:
            raise ConfigError(
                f"--over {text}: {as_text(seed)} is no seed; expected integers from 0 to 2^63 - 1"
            )


def _fixed(request: Request, axes: Sequence[Axis], problems: list[str]) -> dict[str, object]:
    """Return the settings of all runs."""
    swept = {axis.name for axis in axes}
    try:
        single = read_settings(request.settings)
    except ConfigError as error:
        problems.append(str(error))
        single = {}
    for pair in request.settings:
        if (name := pair.partition("=")[0]) in swept - {SEED}:
            problems.append(f"--set {pair}: {name!r} is swept, so it cannot be set as well")
        if _last(name) == "folds" and request.folds is not None:
            problems.append(f"--set {pair}: --folds {request.folds} sets it already")
    if request.seed is not None and SEED in swept:
        problems.append(f"--seed {request.seed}: the seed is swept, so it cannot be set as well")
    for name in swept if request.folds is not None else ():
        if _last(name) == "folds":
            problems.append(f"--over {name}: --folds {request.folds} sets it already")
        elif _last(name) == "fold" != name:
            problems.append(f"--over {name}: --folds {request.folds} sweeps it already")
    return overlaid(request.file, single)


# --- the recipes ---


def _recipes(request: Request, problems: list[str]) -> list[tuple[str, RecipeSource]]:
    """Load the recipes, each with its argument."""
    loaded: list[tuple[str, RecipeSource]] = []
    for given in request.recipes:
        try:
            recipe = load_recipe(given)
        except ConfigError as error:
            problems.append(str(error))
            continue
        namesakes = [other for _, other in loaded if other.name == recipe.name]
        if not namesakes:
            loaded.append((given, recipe))
        elif namesakes[0].path.resolve() == recipe.path.resolve():
            problems.append(f"{given}: this recipe is given twice")
        else:
            problems.append(
                f"{given}: {namesakes[0].path} has the same name, and tables name recipes: "
                "rename one of the files"
            )
    return loaded


# --- the runs ---


def _cells(
    request: Request,
    given: str,
    recipe: RecipeSource,
    axes: Sequence[Axis],
    fixed: Mapping[str, object],
    problems: list[str],
) -> Iterator[Cell]:
    """Yield the runs of a recipe; report each problem once, with the first run that has it."""
    known: set[str] = set()
    parts = {} if request.folds is None else {"folds": max(request.folds, 2)}  # fewer: reported
    names = {name: _today(recipe, name) for name in ("folds", "fold") if parts}
    for values in product(*(axis.values for axis in axes)):
        chosen = {axis.name: value for axis, value in zip(axes, values, strict=True)}
        settings: dict[str, Any] = dict(fixed)
        try:
            for name, value in {**parts, **chosen}.items():
                if name != SEED:
                    pair = f"{names.get(name, name)}={as_text(value)}"
                    settings = overlaid(settings, read_settings([pair]))
            config = recipe.config_class.build(request.preset, None, settings)
        except ConfigError as error:
            new = [line for line in str(error).splitlines() if line not in known]
            known |= {*new}
            where = " ".join([recipe.name, *_pairs(chosen)])
            problems += [f"{where}: {line}" for line in new]
            continue
        seed = chosen.get(SEED, request.seed or 0)
        assert isinstance(seed, int)
        yield Cell(recipe, given, chosen, settings, config, seed)


def _duplicates(cells: Iterable[Cell]) -> Iterator[str]:
    """Describe the runs that are the same, though their values are written differently."""
    first: dict[tuple[str, str], Cell] = {}
    for cell in cells:
        other = first.setdefault((cell.recipe.name, cell.content), cell)
        if other is not cell:
            yield f"{cell}: the same run as {other}; is a value given twice?"


def _today(recipe: RecipeSource, name: str) -> str:
    """Return what a setting is called in a recipe whose settings are in groups."""
    return recipe.config_class.old_names().get(name, name)


def _repeats(name: str) -> bool:
    return _last(name) in REPEATS


def _last(name: str) -> str:
    """Return a setting's name without that of its group."""
    return name.rpartition(".")[2]


def _pairs(chosen: Mapping[str, object]) -> list[str]:
    return [f"{name}={as_text(value)}" for name, value in chosen.items()]
