"""The rooms of GroupGAN import one way: each only from those above it."""

from __future__ import annotations

import ast
from pathlib import Path

import nvn_recipes.groupgan
import pytest

FOLDER = Path(nvn_recipes.groupgan.__file__).parent
ROOMS = (
    "fitting",  # what settings have in common
    "data",
    "networks",
    "evaluation",
    "comparators",
    "applying",
    "play",  # the energies
    "rules",
    "settings",
    "magnifying",
    "restoring",
)


def room(path: Path) -> str:
    return path.relative_to(FOLDER).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """The rooms that a file imports from."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            place = path
            for _ in range(node.level):
                place = place.parent
            parts = [*place.relative_to(FOLDER).parts, *(node.module or "").split(".")]
            names = [parts[0]] if parts[0] else [alias.name for alias in node.names]
            found |= set(names)
    return found


def test_every_file_is_in_a_room() -> None:
    assert {room(path) for path in FOLDER.rglob("*.py")} == {*ROOMS, "__init__"}


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.py")), ids=lambda p: p.stem)
def test_rooms_import_from_those_above_them(path: Path) -> None:
    if path.parent != FOLDER or path.stem != "__init__":
        own = ROOMS.index(room(path))
        assert {name for name in imported(path) if ROOMS.index(name) > own} == set()
