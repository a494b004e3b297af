"""Which runs a sweep is of: every recipe with every combination of the values swept.

All of them are checked before the first one runs, and every problem is told in one error.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from typing import Any

import yaml

from nvn.errors import ConfigError
from nvn.recipe.config import Config, overlaid, read_settings
from nvn.recipe.loading import RecipeSource, load_recipe

__all__ = ["REPEATS", "SEED", "Axis", "Cell", "Grid", "Request", "as_text", "make_grid"]

SEED = "seed"  # swept, it is the run's seed and no setting
REPEATS = (SEED, "fold")  # a mean goes over these
_FLOW = 1_000_000  # characters in a line: YAML is not to break it


@dataclass(frozen=True)
class Request:
    """What was asked for, as it was given.

    Attributes:
        recipes: Files, or names of installed recipes.
        over: `name=value,value` for each name swept.
        folds: In how many parts the data are split, each of which is tested on once.
        preset: A preset of the recipes.
        settings: `name=value` for single settings of all runs.
        file: Settings read from a file.
        seed: Of all runs, where the seed is not swept; None for 0.
        max_steps: The limit on the steps of each phase.
        precision: How precisely to compute.
    """

    recipes: Sequence[str]
    over: Sequence[str] = ()
    folds: int | None = None
    preset: str | None = None
    settings: Sequence[str] = ()
    file: Mapping[str, object] = field(default_factory=dict)
    seed: int | None = None
    max_steps: int | None = None
    precision: str = "32-true"


@dataclass(frozen=True)
class Axis:
    """A name that is swept, and its values."""

    name: str
    values: tuple[object, ...]


@dataclass(frozen=True)
class Cell:
    """One run of the grid.

    Attributes:
        recipe: The recipe.
        given: The recipe as it was asked for: a file or a name.
        chosen: The value of each name swept, fold and seed included.
        settings: What the run is told by `--set`.
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
        """The values swept that no mean goes over, as text."""
        return tuple(as_text(x) for name, x in self.chosen.items() if name not in REPEATS)

    @cached_property
    def content(self) -> str:
        """All that decides what is run, but for the recipe's own code."""
        values = self.config.model_dump(mode="json")
        return json.dumps({"config": values, SEED: self.seed}, sort_keys=True, default=str)


@dataclass(frozen=True)
class Grid:
    """All the runs of a sweep.

    Attributes:
        request: What was asked for.
        recipes: The recipes, as they were asked for.
        axes: What is swept.
        cells: The runs: recipe after recipe, the last name swept varying fastest.
    """

    request: Request
    recipes: tuple[RecipeSource, ...]
    axes: tuple[Axis, ...]
    cells: tuple[Cell, ...]

    @property
    def rows(self) -> tuple[str, ...]:
        """The names swept that no mean goes over."""
        return tuple(axis.name for axis in self.axes if axis.name not in REPEATS)

    @property
    def repeats(self) -> int:
        """How many runs each mean is to be of."""
        return len(self.cells) // len({(cell.recipe.name, cell.row) for cell in self.cells})


def make_grid(request: Request) -> Grid:
    """Work out the runs, and check the configuration of each.

    Raises:
        ConfigError: Naming every problem: with what is swept, the recipes, and the settings.
    """
    problems: list[str] = []
    axes = _axes(request, problems)
    fixed = _fixed(request, axes, problems)
    recipes = _recipes(request, problems)
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
    """Write a value on one line, so that YAML reads it back.

    >>> as_text("vgg13"), as_text(True), as_text([1, 2])
    ('vgg13', 'true', '[1, 2]')
    """
    text = yaml.safe_dump(value, default_flow_style=True, width=_FLOW, allow_unicode=True)
    return text.removesuffix("...\n").strip()


# --- what is swept ---


def _axes(request: Request, problems: list[str]) -> tuple[Axis, ...]:
    axes = []
    for text in request.over:
        try:
            axes.append(_axis(text))
        except ConfigError as error:
            problems.append(str(error))
    if request.folds is not None:
        if request.folds < 2:
            problems.append(f"--folds {request.folds}: expected 2 or more parts")
        axes.append(Axis("fold", tuple(range(max(request.folds, 2)))))
    names = Counter(axis.name for axis in axes)
    for name in (name for name, count in names.items() if count > 1):
        clash = " (--folds sweeps it)" if name == "fold" and request.folds is not None else ""
        problems.append(f"--over {name}: given twice{clash}; write all its values in one --over")
    return tuple({axis.name: axis for axis in axes}.values())


def _axis(text: str) -> Axis:
    """Read `name=value,value`: YAML values, split at the commas outside of brackets and quotes."""
    name, equals, listed = text.partition("=")
    example = "e.g. --over backbone=vgg13,resnet18"
    if not (equals and name):
        raise ConfigError(f"--over {text}: expected name=value,value, {example}")
    if not listed.strip() or listed.rstrip().endswith(",") or listed.lstrip().startswith(","):
        raise ConfigError(f"--over {text}: a value is empty; expected name=value,value, {example}")
    try:
        values = yaml.safe_load(f"[{listed}]")
    except yaml.YAMLError:
        hint = "is a value empty, or does a bracket or a quote not end? Special characters need "
        raise ConfigError(f"--over {text}: cannot read the values: {hint}quotes") from None
    if name == SEED:
        _check_seeds(text, values)
    return Axis(name, tuple(values))


def _check_seeds(text: str, seeds: Iterable[object]) -> None:
    for seed in seeds:
        if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**63:
            found = as_text(seed)
            raise ConfigError(
                f"--over {text}: {found} is no seed; expected whole numbers from 0 to 2^63 - 1"
            )


def _fixed(request: Request, axes: Sequence[Axis], problems: list[str]) -> dict[str, object]:
    """Return the settings that all runs share."""
    swept = {axis.name for axis in axes}
    try:
        single = read_settings(request.settings)
    except ConfigError as error:
        problems.append(str(error))
        single = {}
    for pair in request.settings:
        if (name := pair.partition("=")[0]) in swept - {SEED}:
            problems.append(f"--set {pair}: {name!r} is swept, so it cannot be set as well")
        if name == "folds" and request.folds is not None:
            problems.append(f"--set {pair}: --folds {request.folds} sets it already")
    if request.seed is not None and SEED in swept:
        problems.append(f"--seed {request.seed}: the seed is swept, so it cannot be set as well")
    if request.folds is not None:
        single["folds"] = max(request.folds, 2)  # what is less has been told of
        if "folds" in swept:
            problems.append(f"--over folds: --folds {request.folds} sets it already")
    return overlaid(request.file, single)


# --- the recipes ---


def _recipes(request: Request, problems: list[str]) -> list[tuple[str, RecipeSource]]:
    """Load the recipes, each once."""
    found: list[tuple[str, RecipeSource]] = []
    for given in request.recipes:
        try:
            recipe = load_recipe(given)
        except ConfigError as error:
            problems.append(str(error))
            continue
        namesakes = [other for _, other in found if other.name == recipe.name]
        if not namesakes:
            found.append((given, recipe))
        elif namesakes[0].path.resolve() == recipe.path.resolve():
            problems.append(f"{given}: this recipe is given twice")
        else:
            problems.append(
                f"{given}: {namesakes[0].path} has the same name, and tables go by names: "
                "rename one of the files"
            )
    return found


# --- the runs ---


def _cells(
    request: Request,
    given: str,
    recipe: RecipeSource,
    axes: Sequence[Axis],
    fixed: Mapping[str, object],
    problems: list[str],
) -> Iterator[Cell]:
    """Yield the runs of a recipe; of those that do not fit, say each problem once."""
    known: set[str] = set()
    for values in product(*(axis.values for axis in axes)):
        chosen = {axis.name: value for axis, value in zip(axes, values, strict=True)}
        settings: dict[str, Any] = dict(fixed)
        try:
            for name, value in chosen.items():
                if name != SEED:
                    settings = overlaid(settings, read_settings([f"{name}={as_text(value)}"]))
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
    """Say which runs are one and the same, however differently their values are written."""
    first: dict[tuple[str, str], Cell] = {}
    for cell in cells:
        other = first.setdefault((cell.recipe.name, cell.content), cell)
        if other is not cell:
            yield f"{cell}: the same run as {other}; is a value given twice?"


def _pairs(chosen: Mapping[str, object]) -> list[str]:
    return [f"{name}={as_text(value)}" for name, value in chosen.items()]
