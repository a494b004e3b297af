"""The code that a recipe runs: its own file, and the modules of its own that it imports."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType

from nvn.errors import RunError
from nvn.files import content_of

__all__ = [
    "changed_code",
    "code_of",
    "commit_of",
    "digest",
    "kept_differs",
    "lies_inside",
    "require_outside",
]

_PACKAGES = {"site-packages", "dist-packages"}


def code_of(recipe: Path) -> dict[str, str]:
    """Return the files of a recipe that has been built, and the SHA-256 of each.

    They are the recipe's file and what has been imported from its folder, or from anywhere that
    packages are not installed in.

    Args:
        recipe: The recipe's file.
    """
    files = {recipe.resolve(), *_own_modules(recipe.resolve().parent)}
    return {str(path): found for path in sorted(files) if (found := digest(path)) is not None}


def changed_code(before: Mapping[str, str]) -> list[str]:
    """Return which files have changed, or are gone, since `code_of` returned their digests."""
    return [path for path, was in before.items() if digest(Path(path)) != was]


def commit_of(file: Path) -> str | None:
    """Return the git commit of a file's checkout, with "-dirty" if it has changes; None if none."""
    git, folder = shutil.which("git"), file.resolve().parent
    if git is None or _git(git, folder, "ls-files", "--error-unmatch", file.name) is None:
        return None
    return _git(git, folder, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")


def kept_differs(folder: Path, recipe: Path) -> bool:
    """Return whether a recipe's file is another than the one that a run kept in its folder.

    Where nothing was kept, it is: then nothing says whose code it would be that is run.
    """
    now = digest(recipe)
    return now is not None and now != digest(folder / "recipe.py")


def lies_inside(recipe: Path, folder: Path) -> bool:
    """Return whether a recipe is in a run's folder itself, which may be a stranger's."""
    return recipe.resolve().is_relative_to(folder.resolve())


def require_outside(file: Path, folder: Path, what: str = "recipe") -> None:
    """Refuse a recipe or plugin in the run's folder that names it: its code may be a stranger's.

    Raises:
        RunError: It lies there.
    """
    if lies_inside(file, folder):
        raise RunError(
            f"the {what} that the run {folder} names, {file}, lies in that folder itself, which "
            "may come from anybody, and its code would be run: read it, and give --trust, or "
            "nvn.trained(…, trust=True)"
        )


def digest(path: Path) -> str | None:
    """Return the SHA-256 of a file, or None if it cannot be read."""
    try:
        return hashlib.sha256(content_of(path)).hexdigest()
    except OSError:
        return None


def _own_modules(folder: Path) -> Iterator[Path]:
    installed = [Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib")]
    ours = Path(__file__).resolve().parents[1]  # of nvn, run.yaml has the version
    for module in [*sys.modules.values()]:
        path = _source(module)
        if path is None or path.is_relative_to(ours):
            continue
        # Wherever packages are installed: there may be several such folders.
        theirs = not _PACKAGES.isdisjoint(path.parts)
        theirs = theirs or any(path.is_relative_to(place) for place in installed)
        if path.is_relative_to(folder) or not theirs:
            yield path


def _source(module: ModuleType) -> Path | None:
    name = getattr(module, "__file__", None)
    if not isinstance(name, str) or not name.endswith(".py") or module.__name__ == "__main__":
        return None
    return Path(name).resolve()


def _git(git: str, folder: Path, *arguments: str) -> str | None:
    """Return the output of a git command, or None if it fails."""
    command = [git, "-C", str(folder), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return None if done.returncode else done.stdout.strip()
