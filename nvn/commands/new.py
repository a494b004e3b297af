"""`nvn new`: a recipe of one's own that runs at once, and its test."""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from nvn.errors import ConfigError, RunError
from nvn.files import atomic_write

__all__ = ["new"]

_TEMPLATES = "nvn.commands.templates"
_BATCH = 32  # pictures, where there are so many
_VARIANT = '''"""TITLE: BASE, changed."""

from __future__ import annotations

import nvn

IMPORT


class Config(Base):
    """The settings of BASE. Give one another default by declaring it again; add your own."""


def recipe(config: Config) -> nvn.Recipe:
    """Declare the game of BASE, and change what is to be different."""
    before = base(config)
    # Anything of a recipe can be replaced: steps=, schedule=, optimizers=, data=, evaluations=, …
    # Players and values are at hand, too: before.game.players["D"].minimizes(…) adds an energy.
    return before.replace(name="NAME")
'''


def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The recipe's name, and its file's.")],
    base: Annotated[
        str | None,
        typer.Option("--from", metavar="RECIPE", help="A recipe to change: its file or its name."),
    ] = None,
    pictures: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Pictures of your own, to make more like them."),
    ] = None,
) -> None:
    """Write a recipe of your own, which runs at once, and a test of it."""
    if not name.isidentifier() or keyword.iskeyword(name):
        raise ConfigError(f"{name!r} is no name for a Python file: use letters, digits and _")
    if base is not None and pictures is not None:
        raise ConfigError("--from and --pictures: give one of them")
    folder, text, words = Path(), "", {"NAME": name, "TITLE": name, "SETTINGS": "{}"}
    if base is not None:
        folder, text, more = _variant(base)
        words |= more
    elif pictures is not None:
        text = _template("pictures.py")
        words["FOLDER"], found = _checked(pictures)
        # It runs at once, with a few pictures, too.
        text = text.replace("batch: int = Field(32,", f"batch: int = Field({_batch(found)},")
        words["SETTINGS"] = '{"size": 8, "batch": 2, "width": 2}'
    else:
        text = _template("points.py")
    file, test = folder / f"{name}.py", folder / f"test_{name}.py"
    there = [str(path) for path in (file, test) if path.exists()]
    if there:
        raise RunError(f"{' and '.join(there)}: there already, and nothing is overwritten")
    for path, content in ((file, text), (test, _template("test_template.py.txt"))):
        atomic_write(path, _filled(content, {**words, "FILE": path.as_posix()}).encode())
    _tell(file, test)


def _filled(text: str, words: Mapping[str, str]) -> str:
    """Return a template with its words in capitals replaced; what they become is left alone."""
    return re.sub(rf"\b({'|'.join(words)})\b", lambda found: words[found[0]], text)


def _template(name: str) -> str:
    return (files(_TEMPLATES) / name).read_text(encoding="utf-8")


def _batch(pictures: int) -> int:
    return max(2, min(_BATCH, pictures))


def _checked(pictures: Path) -> tuple[str, int]:
    """Return a folder of pictures, whole, as a recipe has it wherever it is run; and how many."""
    from nvn.folders import find_pictures

    found = find_pictures([pictures])  # that there are none is told now
    whole = pictures.resolve().as_posix()
    return whole.replace("\\", "\\\\").replace('"', '\\"'), len(found)


def _variant(base: str) -> tuple[Path, str, dict[str, str]]:
    """Return the folder that a recipe which changes another has to lie in, its text, and words."""
    from nvn.recipe.loading import importable, recipe_file

    file = recipe_file(base)
    module = importable(base)
    # Beside the other's file, so that both import its neighbors.
    folder = Path() if module else file.parent
    bare = f"from {module or file.stem} import Config as Base"
    lines = f"{bare}\nfrom {module or file.stem} import recipe as base"
    if "class Config" not in file.read_text(encoding="utf-8", errors="replace"):
        raise ConfigError(f"{file} has no class `Config`: only one with settings can be changed")
    return folder, _VARIANT, {"IMPORT": lines, "BASE": file.stem}


def _tell(file: Path, test: Path) -> None:
    from nvn.console import show

    show(f"recipe: {file}\ntest: {test}")
    show(f"train it: nvn run {file}\ntest it: python -m pytest {test}")
