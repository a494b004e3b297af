"""Imports run one way; what is slow to import is imported late; the public names are there."""

import ast
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import nvn

SOURCE = Path(nvn.__file__).parent

# A module imports only from modules above it (those on one line do not import each other).
LAYERS = [
    ["errors"],
    ["tree", "where"],
    ["values"],
    ["game"],
    ["energies", "schedule"],
    ["graph"],
    ["checks", "draw", "picture"],
    ["rows", "versions", "instructions"],
    ["pulling", "lifetimes"],
    ["attachments", "program"],
    ["writing"],
    ["compiler"],
    ["planner"],
    ["compilable", "explain", "records"],
    ["isolation", "placement"],
    ["frame", "operations", "costs"],
    ["interpreter", "passes"],
    ["executor"],
    ["dryrun", "optimizers"],
    ["state"],
    ["steppers", "supply"],
    ["engine"],
    ["data", "backlog", "stopping", "checkpoint", "devices", "config"],
    ["picturefiles", "contactsheet"],
    ["plugins"],
    ["recipe"],
    ["loading", "guard", "runfolder", "assembly"],
    ["training", "reloading"],
    ["console"],
    ["sweep", "applying"],
    ["cli"],
    ["__main__"],
]
# The same inside the folders. What a folder is for stands in its __init__, which comes last.
FOLDERS = {
    "checks": [["played"], ["values", "players", "schedules", "doubts"], ["objectives"]],
    "console": [["printing", "tracebacks"], ["bars", "listings"], ["reporter"]],
    "dryrun": [["tensors", "failures"], ["problems"], ["run"]],
    "energies": [
        ["_tensors"],
        ["adversarial", "classification", "penalties", "reconstruction"],
    ],
    "sweep": [
        ["grid", "locks", "places"],
        ["folder"],
        ["failures", "statistics"],
        ["running", "table"],
        ["showing", "writing"],
        ["sweeping"],
    ],
    "values": [["ops", "weights"], ["expressions", "sums"], ["value"]],
}
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
MODULES = sorted(path for path in SOURCE.rglob("*.py") if path != SOURCE / "__init__.py")


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


def test_every_module_has_its_layer() -> None:
    assert {room(path) for path in MODULES} == set(LEVEL)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_run_one_way(path: Path) -> None:
    own = room(path)
    rooms = {name for name, *_ in imported(path)}
    wrong = [name for name in rooms if name != own and LEVEL[name] >= LEVEL[own]]
    assert not wrong, f"{own} imports {wrong}, which are not above it"


def test_every_folder_has_its_layers() -> None:
    assert {path.parent.name for path in MODULES if path.parent != SOURCE} == set(FOLDERS)


@pytest.mark.parametrize("folder", FOLDERS)
def test_imports_inside_a_folder_run_one_way(folder: str) -> None:
    level = {name: level for level, names in enumerate(FOLDERS[folder]) for name in names}
    files = [path for path in sorted((SOURCE / folder).glob("*.py")) if path.stem != "__init__"]
    assert {path.stem for path in files} == set(level)
    for path in files:
        inside = [[*rest, "__init__"][0] for name, *rest in imported(path) if name == folder]
        wrong = [name for name in inside if level.get(name, len(level)) >= level[path.stem]]
        assert not wrong, f"{folder}/{path.name} imports {wrong}, which are not above it"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_nvn_never_imports_recipes(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        assert not any(name.split(".")[0] in ("nvn_recipes", "recipes") for name in names)


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
    ["import nvn", HELP, HELP.replace('"--help"', '"recipes"'), "import nvn.recipe, nvn.loading"],
    ids=["import", "help", "recipes", "loading"],
)
def test_torch_is_not_imported_without_need(code: str) -> None:
    slow = {"torch", "lightning_fabric", "numpy", "torchmetrics", "matplotlib"}
    assert not loaded_by(code) & slow


def test_help_answers_at_once() -> None:
    times = []
    for _ in range(3):  # the best of three: other work may be going on
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-m", "nvn", "--help"], capture_output=True, check=True)
        times.append(time.perf_counter() - begun)
    assert min(times) < 2


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
        "Application",
        "Trained",
        "trained",
        "NvnError",
        "GameError",
        "GameWarning",
        "energies",
        "data",
    ]
    assert set(contract) <= set(nvn.__all__)


def test_the_function_train_is_not_hidden_by_a_module() -> None:
    import nvn.training

    assert callable(nvn.train)
    assert callable(nvn.plan)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Gmae'"):
        nvn.Gmae  # noqa: B018
