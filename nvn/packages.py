"""Packages: the one that nvn is installed as, and those that its extras bring."""

from __future__ import annotations

import importlib
import tomllib
from importlib import metadata
from pathlib import Path
from types import MappingProxyType
from typing import Any

from nvn.errors import ConfigError

__all__ = ["DISTRIBUTION", "how_to_install", "needed", "optional", "version"]

DISTRIBUTION = "nvn-games"  # on the package index, `nvn` is somebody else's

# Module → the package that has it, and the extra that brings it.
_OPTIONAL = MappingProxyType(
    {
        "av": ("av", "video"),
        "onnxruntime": ("onnxruntime", "onnx"),
        "onnxscript": ("onnxscript", "onnx"),
        "resvg_py": ("resvg-py", "recipes"),
        "skimage": ("scikit-image", "recipes"),
        "matplotlib": ("matplotlib", "recipes"),
        "sklearn": ("scikit-learn", "svm"),
        "tensorboard": ("tensorboard", "tensorboard"),
        "torchmetrics": ("torchmetrics", "recipes"),
    }
)


def version() -> str:
    """Return nvn's version: a checkout's own, whatever may be installed beside it.

    >>> version().count(".")
    2
    """
    if (project := _checkout()) is not None:
        return str(project["version"])
    try:
        return metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:  # its files were copied somewhere
        return "unknown"


def optional() -> dict[str, str]:
    """Return the packages that nvn's extras bring, by a module that each has.

    >>> optional()["skimage"]
    'scikit-image'
    """
    return {module: package for module, (package, _) in _OPTIONAL.items()}


def how_to_install(module: str) -> str:
    """Return how to install what has a module: "pip install …".

    >>> how_to_install("skimage.feature").startswith("pip install ")
    True
    """
    top = module.partition(".")[0]
    if top not in _OPTIONAL:
        return f"pip install the package that has it (often it has the same name, {top})"
    extra = _OPTIONAL[top][1]
    if _checkout() is None:
        return f'pip install "{DISTRIBUTION}[{extra}]"'
    return f'pip install -e ".[{extra}]" in {_root()}'


def needed(module: str, purpose: str) -> Any:
    """Import a module of a package that one of nvn's extras brings.

    Args:
        module: Its full name.
        purpose: What it is needed for, to be told where it is not installed.

    Raises:
        ConfigError: It cannot be imported; saying what to install.

    >>> needed("torchmetrics", "measuring an accuracy").__name__
    'torchmetrics'
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        top = module.partition(".")[0]
        package = _OPTIONAL.get(top, (top, ""))[0]
        raise ConfigError(
            f"{purpose}: this needs {package}, which cannot be imported ({error}): "
            f"{how_to_install(module)}"
        ) from error


def _root() -> Path:
    return Path(__file__).resolve().parents[1]


def _checkout() -> dict[str, Any] | None:
    """Return what the pyproject.toml beside nvn says of it; None where there is none of nvn's."""
    try:
        project = tomllib.loads((_root() / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    except (OSError, ValueError, KeyError):
        return None
    return project if project.get("name") == DISTRIBUTION else None
