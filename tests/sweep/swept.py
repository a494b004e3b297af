"""Recipes that are only configured, never built, and results that nobody measured."""

from pathlib import Path

from nvn.sweep.grid import Grid, Request, make_grid
from nvn.sweep.results import Result

FILE = '''
"""A recipe of settings."""

from typing import ClassVar, Literal

from pydantic import Field

import nvn


class Inner(nvn.Config):
    """A group."""

    size: int = Field(1, ge=0, description="size")


class Config(nvn.Config):
    """Settings."""

    presets: ClassVar = {"large": {"width": 9}}
    backbone: Literal["vgg", "resnet"] = Field("vgg", description="network")
    width: int = Field(1, ge=1, description="channels")
    widths: tuple[int, ...] = Field((), description="several")
    lr: float = Field(0.1, gt=0, description="learning rate")
    note: str | None = Field(None, description="a text")
    inner: Inner = Inner()
    folds: int = Field(3, ge=2, description="parts")
    fold: int = Field(0, ge=0, description="part")


def recipe(config):
    """Never called."""
'''


def write(folder: Path, *names: str) -> list[str]:
    """Write recipes of some names, and return their paths."""
    paths = [folder / f"{name}.py" for name in names]
    for path in paths:
        path.write_text(FILE)
    return [str(path) for path in paths]


def grid_of(folder: Path, *over: str, recipes: tuple[str, ...] = ("mine",), **more) -> Grid:
    return make_grid(Request(write(folder, *recipes), over, **more))


def finished(**metrics: float) -> Result:
    return Result("finished", {"score": metrics})
