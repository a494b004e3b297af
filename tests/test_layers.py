"""Imports run one way; what is slow to import is imported late; the public names are there."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import nvn

SOURCE = Path(nvn.__file__).parent

# The rooms, lowest first: a file imports only from its own room and from those on lines above it.
ROOMS = [
    ["errors", "callsite", "pytree", "pulls", "records", "streams", "folder_package"],
    ["files", "packages", "usage"],
    ["images", "lettering"],
    ["folders", "metrics"],
    ["data"],
    ["checkpoint"],
    ["game"],
    ["energies", "checks"],
    ["planner"],
    ["engine"],
    ["show", "ejection"],
    ["recipe"],
    ["report"],
    ["console"],
    ["training"],
    ["plugins"],
    ["apply"],
    ["sweep"],
    ["commands"],
    ["cli"],
    ["__main__"],
]
LEVEL = {name: level for level, names in enumerate(ROOMS) for name in names}
MODULES = sorted(path for path in SOURCE.rglob("*.py") if path != SOURCE / "__init__.py")
RECIPES_FOLDER = Path(__file__).parents[1] / "recipes"
RECIPES = sorted(RECIPES_FOLDER.rglob("*.py"))
PLUGINS = sorted((RECIPES_FOLDER.parent / "plugins").rglob("*.py"))
FOLDERS = sorted({path.parent for path in MODULES} - {SOURCE})


def room(path: Path) -> str:
    """The module or folder of nvn that a file belongs to."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported(path: Path) -> Iterator[list[str]]:
    """What a file imports of nvn when it runs, wherever in the file it does so: a module's path."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []  # never runs
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == "nvn":
            names = [f"nvn.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [f"{node.module}.{alias.name}" for alias in node.names]  # it may be a module
        else:
            continue
        yield from (name.split(".")[1:] for name in names if name.startswith("nvn."))


def test_every_module_has_its_room() -> None:
    assert {room(path) for path in MODULES} == set(LEVEL)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_run_one_way(path: Path) -> None:
    own = room(path)
    rooms = {name for name, *_ in imported(path)}
    wrong = [name for name in rooms if name != own and LEVEL[name] >= LEVEL[own]]
    assert not wrong, f"{own} imports {wrong}, which are not below it"


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: str(folder.relative_to(SOURCE)))
def test_no_room_has_a_circle(folder: Path) -> None:
    inside = folder.relative_to(SOURCE).parts
    uses = {
        path.stem: {
            name[len(inside)]
            for name in imported(path)
            if tuple(name[: len(inside)]) == inside and len(name) > len(inside)
        }
        & {other.stem for other in folder.iterdir()} - {path.stem}
        for path in folder.glob("*.py")
    }
    tuple(TopologicalSorter(uses).static_order())  # CycleError names the circle


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_nvn_never_imports_recipes(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        others = {"nvn_recipes", "recipes", "nvn_plugins"}
        assert others.isdisjoint(name.split(".")[0] for name in names)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_importing_a_module_does_nothing_else(path: Path) -> None:
    """A module's top level defines things; it calls nothing for its effect."""
    for node in ast.parse(path.read_text()).body:
        docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        assert docstring or not isinstance(node, ast.Expr | ast.For | ast.While | ast.With)


def loaded_by(code: str) -> set[str]:
    """The modules that a fresh Python has loaded after running some code."""
    code = f"import sys\n{code}\nprint('\\n' + ' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


HELP = """
import nvn.cli
sys.argv = ["nvn", "--help"]
try:
    nvn.cli.main()
except SystemExit as end:
    assert not end.code
"""


@pytest.mark.parametrize(
    "code",
    [
        "import nvn",
        HELP,
        HELP.replace('"--help"', '"recipes"'),
        "import nvn.game.graph",
        "import nvn.recipe.recipe, nvn.recipe.loading",
    ],
    ids=["import", "help", "recipes", "game", "loading"],
)
def test_torch_is_not_imported_without_need(code: str) -> None:
    slow = {"torch", "lightning_fabric", "numpy", "torchmetrics", "matplotlib"}
    assert not loaded_by(code) & slow


def public(path: str) -> bool:
    """Whether `nvn.a` or `nvn.a.b` is part of the contract: a name, or one of a public module."""
    first, *rest = path.split(".")[1:]
    if first not in nvn.__all__:
        return False
    return first not in nvn._SUBMODULES or not rest or rest[0] in getattr(nvn, first).__all__


def used(path: Path) -> Iterator[str]:
    """Every name of nvn that a file imports or reaches through `nvn.`, dotted."""
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names if alias.name.startswith("nvn."))
            case ast.ImportFrom(module=str(module), names=names, level=0):
                if module.split(".")[0] == "nvn":
                    yield from (f"{module}.{alias.name}" for alias in names)
            case ast.Attribute():
                if re.fullmatch(r"nvn(\.\w+)+", dotted := ast.unparse(node)):
                    yield dotted


@pytest.mark.parametrize(
    "path", [*RECIPES, *PLUGINS], ids=lambda path: str(path.relative_to(RECIPES_FOLDER.parent))
)
def test_recipes_and_plugins_use_public_names_only(path: Path) -> None:
    private = [name for name in used(path) if not public(name)]
    assert not private, f"make {private} public in nvn/__init__.py, or do without"


def test_the_public_names_are_there() -> None:
    assert set(nvn.__all__) == {*nvn._HOME, *nvn._SUBMODULES}
    assert set(nvn.__all__) <= set(dir(nvn))
    for name in nvn.__all__:
        assert getattr(nvn, name) is not None


def test_public_names_are_described() -> None:
    for name in nvn.__all__:
        assert getattr(nvn, name).__doc__, f"nvn.{name} has no docstring"


def test_the_names_of_the_contract() -> None:
    contract = [
        "Game",
        "Player",
        "Team",
        "Value",
        "Energy",
        "value",
        "energy",
        "gradient",
        "alternating",
        "simultaneous",
        "move",
        "Schedule",
        "plan",
        "Plan",
        "Engine",
        "Optimizer",
        "Plateau",
        "Record",
        "Config",
        "Recipe",
        "Phase",
        "Evaluation",
        "Preview",
        "train",
        "Run",
        "progress",
        "Metrics",
        "read_metrics",
        "Application",
        "Trained",
        "trained",
        "Bar",
        "OptimizerFactory",
        "NvnError",
        "ConfigError",
        "DataError",
        "GameError",
        "RunError",
        "NvnWarning",
        "GameWarning",
        "Problem",
        "data",
        "energies",
        "files",
        "images",
        "plugins",
    ]
    assert set(contract) <= set(nvn.__all__)


def test_the_function_train_is_not_hidden_by_a_module() -> None:
    import nvn.training.loop

    assert callable(nvn.train)
    assert callable(nvn.plan)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Gmae'"):
        nvn.Gmae  # noqa: B018
