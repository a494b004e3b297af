"""The documentation as a site: python -m sphinx -W -n docs site.

The pages are the Markdown files of this folder, as they are; the reference is made of docstrings.
"""

from __future__ import annotations

from typing import Any

from nvn.packages import version as nvn_version

project = "nvn"
author = "The nvn authors"
copyright = "the nvn authors, Apache-2.0"
version = release = nvn_version()

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
exclude_patterns = ["images"]

html_theme = "furo"
html_title = "nvn"
html_show_sphinx = False

# Headings can be linked to, as on GitHub.
myst_heading_anchors = 3

autodoc_typehints = "description"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
# The reference names things as users import them: nvn.Game, not nvn.game.game.Game.
add_module_names = False
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_attr_annotations = True

# Names of other packages, whose own documentation would have to be fetched, and types that only
# annotations use.
nitpick_ignore_regex = [
    (r"py:.*", r"(torch|PIL|numpy|np|lightning_fabric|pluggy|pydantic|nn|optim)\..*"),
    (r"py:.*", r"(collections|typing|pathlib|contextlib|abc|io)\..*"),
    (r"py:.*", r"(Tensor|Image|Path|Fabric|Any|Callable|Mapping|Sequence|Iterable|Iterator)"),
    (r"py:.*", r"(Collection|partial)"),
    # What is not public: types of attributes, and aliases that annotations name.
    (r"py:.*", r"nvn\.(callsite|engine|game|planner|recipe|records|data\.share)\..*"),
    (r"py:.*", r"(CallSite|Data|Fresh|Metrics|Mover|OnDivergence|Op|Optimizers|PullsEvery|Scalar)"),
    (r"py:.*", r"(TrainState|Transform|ColumnPath|NDArray|nvn\.metrics\._HasFolder)"),
]
# The two notes on bundled data lie beside them, outside of this folder.
suppress_warnings = ["myst.xref_missing"]


def _as_written(*arguments: Any) -> None:
    """Show the bars and stars of a docstring's formulas, which are no markup there."""
    lines = arguments[-1]
    for i, line in enumerate(lines):
        if not line.lstrip().startswith((">>>", "...", "|", ":", "..")):
            parts = line.split("`")
            parts[::2] = [part.replace("|", r"\|").replace("*", r"\*") for part in parts[::2]]
            lines[i] = "`".join(parts)


def setup(app: Any) -> None:
    """Add what this documentation needs to Sphinx."""
    app.connect("autodoc-process-docstring", _as_written, priority=100)  # before napoleon
