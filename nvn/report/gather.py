"""What a run's folder says, read: its files only, which may be torn, old, or a stranger's."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nvn.errors import ConfigError, RunError
from nvn.files import read_regular
from nvn.metrics import Metrics, read_metrics
from nvn.recipe.config import read_yaml
from nvn.recipe.groups import leaves

__all__ = ["Frame", "Notice", "Pictures", "RunShown", "gather", "picture_of", "text_of"]

_MOST_TEXT = 2**22  # bytes of a plan, a loop or the game's picture
_MOST_PICTURE = 2**25
_PICTURE = re.compile(r"(?P<name>.+)-(?P<step>\d{6,18})\.png")
_GAME = "main"


@dataclass(frozen=True)
class Frame:
    """One picture.

    Attributes:
        phase: The phase that was played.
        step: The step, within the phase.
        path: Its file.
    """

    phase: str
    step: int
    path: Path


@dataclass(frozen=True)
class Pictures:
    """The pictures of a preview, in the order of time."""

    name: str
    frames: Sequence[Frame]


@dataclass(frozen=True)
class Notice:
    """A warning that was given while a run went on.

    Attributes:
        phase: The phase that was played; "" before the first step.
        step: The step, within the phase.
        text: What was said.
    """

    phase: str
    step: int
    text: str


@dataclass(frozen=True)
class RunShown:
    """All that is shown of a run.

    Attributes:
        folder: Its folder.
        about: What run.yaml says.
        settings: The settings of its recipe, and the seed, as texts by name.
        metrics: What it has recorded.
        notices: The warnings that were given on the way.
        pictures: Its pictures, by preview.
        game: The game's picture, as SVG; empty if there is none.
        plan: The explained plans.
        source: The loops, as the engine runs them.
    """

    folder: Path
    about: Mapping[str, Any]
    settings: Mapping[str, str]
    metrics: Metrics
    notices: Sequence[Notice] = ()
    pictures: Sequence[Pictures] = ()
    game: bytes = b""
    plan: str = ""
    source: str = ""

    @property
    def recipe(self) -> str:
        """The recipe's name."""
        return text_of(self.about.get("recipe")) or self.folder.name

    @property
    def outcome(self) -> str:
        """How it ended."""
        return text_of(self.about.get("outcome")) or "unknown"

    @property
    def results(self) -> dict[tuple[str, str], float]:
        """The final evaluations' numbers, by evaluation and metric."""
        found = self.about.get("metrics")
        return {
            (str(evaluation), str(name)): float(x)
            for evaluation, own in (found.items() if isinstance(found, Mapping) else ())
            if isinstance(own, Mapping)
            for name, x in own.items()
            if isinstance(x, int | float)
        }


def gather(folder: Path) -> RunShown:
    """Read all that is shown of a run.

    Raises:
        RunError: It is no run's folder.
    """
    try:
        about = read_yaml(folder / "run.yaml")
    except ConfigError as error:
        raise RunError(
            f"{folder} is not a run's folder: {error}. Expected one that nvn run wrote"
        ) from None
    there = (folder / "metrics.jsonl").is_file()
    return RunShown(
        folder=folder,
        about=about,
        settings=_settings(folder, about),
        metrics=read_metrics(folder) if there else _nothing(),
        notices=[*dict.fromkeys(_notices(folder / "warnings.jsonl"))],  # (gone on with: told twice)
        pictures=[*_pictures(folder / "images", _phases(about))],
        game=_content(folder / "game.svg"),
        plan=_content(folder / "plan.txt").decode("utf-8", "replace"),
        source=_content(folder / "loop.py").decode("utf-8", "replace"),
    )


def text_of(value: object) -> str:
    """Return a value of a YAML file as a person writes it; "" for none.

    >>> text_of(True), text_of(0.5), text_of(None), text_of([1, "a"])
    ('true', '0.5', '', '1, a')
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ", ".join(map(text_of, value))
    return str(value)


# --- helpers --------------------------------------------------------------------------------------


def _settings(folder: Path, about: Mapping[str, Any]) -> dict[str, str]:
    """Return the recipe's settings, with what `nvn run` was told that decides what is trained."""
    own: Mapping[str, Any] = {}
    if (folder / "config.yaml").is_file():
        try:
            own = read_yaml(folder / "config.yaml")
        except ConfigError:  # torn: the rest can be shown all the same
            own = {}
    given = {name: about.get(name) for name in ("seed", "max_steps", "precision")}
    found = {**leaves(own), **{name: x for name, x in given.items() if x is not None}}
    return {str(name): text_of(value) for name, value in found.items()}


def _notices(path: Path) -> Iterator[Notice]:
    for line in _content(path).splitlines():
        try:
            found = json.loads(line)
            yield Notice(str(found["phase"]), int(found["step"]), str(found["warning"]))
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
            continue  # it is torn


def _phases(about: Mapping[str, Any]) -> list[str]:
    found = about.get("phases")
    return [*map(str, found)] if isinstance(found, Mapping) else [_GAME]


def _pictures(folder: Path, phases: Sequence[str]) -> Iterator[Pictures]:
    found: dict[str, list[Frame]] = {}
    for path in sorted(folder.glob("*.png")) if folder.is_dir() else ():
        match = _PICTURE.fullmatch(path.name)
        if match is None:
            continue
        name, phase = match["name"], _GAME
        for other in phases:
            if other != _GAME and name.endswith(f"-{other}") and name != f"-{other}":
                name, phase = name.removesuffix(f"-{other}"), other
        found.setdefault(name, []).append(Frame(phase, int(match["step"]), path))
    order = {phase: number for number, phase in enumerate(phases)}
    for name, frames in found.items():
        yield Pictures(name, sorted(frames, key=lambda f: (order.get(f.phase, 0), f.step)))


def _content(path: Path) -> bytes:
    try:
        return read_regular(path, "text", _MOST_TEXT)
    except RunError:  # it is not there, or cannot be shown
        return b""


def _nothing() -> Metrics:
    return Metrics({"phase": np.array([], dtype=str), "step": np.array([], dtype=np.int64)})


def picture_of(path: Path) -> bytes:
    """Return a PNG file; b"" if it is none, or cannot be read."""
    try:
        content = read_regular(path, "picture", _MOST_PICTURE)
    except RunError:
        return b""
    return content if content[:8] == b"\x89PNG\r\n\x1a\n" and len(content) > 33 else b""
