"""What users install: the packages, and (slow) the wheel by itself."""

import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def packages(folder: str, name: str) -> set[str]:
    """The packages in a folder, under the name it is installed as."""
    top = ROOT / folder
    found = {path.parent.relative_to(top) for path in top.rglob("__init__.py")}
    return {".".join([name, *path.parts]) for path in found}


def direct_dependencies() -> set[str]:
    """What the metadata name, the extras included."""
    project = PROJECT["project"]
    extras = project["optional-dependencies"].values()
    wanted = [*project["dependencies"], *(each for extra in extras for each in extra)]
    return {Requirement(each).name for each in wanted} - {"nvn-games"}


def test_every_package_is_installed() -> None:
    wanted = packages("nvn", "nvn") | packages("recipes", "nvn_recipes")
    wanted |= packages("plugins", "nvn_plugins")
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == wanted


def test_every_direct_dependency_is_constrained() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = {Requirement(line).name for line in lines if line and not line.startswith("#")}
    assert direct_dependencies() <= pinned


def test_what_is_left_out_on_purpose_is_not_constrained() -> None:
    assert "torchvision" not in (ROOT / "constraints.txt").read_text()


def test_the_constraints_are_inside_the_metadata() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    allowed = {r.name: r.specifier for r in map(Requirement, PROJECT["project"]["dependencies"])}
    for pin in pins:
        (version,) = (specifier.version for specifier in pin.specifier)
        assert pin.name not in allowed or allowed[pin.name].contains(version)


def test_every_dependency_is_explained() -> None:
    text = (ROOT / "docs" / "dependencies.md").read_text()
    for name in direct_dependencies():
        assert name in text


def test_no_machines_paths_are_in_the_project() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    places = ["/work" + "/main", "/root" + "/", "/opt" + "/pypi"]
    for path in (ROOT / name for name in listed.stdout.splitlines()):
        if path.suffix in {".py", ".md", ".toml", ".txt", ".yaml", ""} and path.is_file():
            text = path.read_text(errors="ignore")
            assert not any(place in text for place in places), path


def test_above_a_checkout_called_nvn_it_is_not_an_empty_package(tmp_path: Path) -> None:
    (tmp_path / "nvn").symlink_to(ROOT)
    code = "import nvn, nvn.cli; print(nvn.Problem.__module__, nvn.cli.__file__)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.split() == ["nvn.errors", str(tmp_path / "nvn" / "nvn" / "cli.py")], done


# --- slow: built as users get them ---


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and the wheel built from it."""
    folder = tmp_path_factory.mktemp("dist")
    source = tmp_path_factory.mktemp("source") / "nvn"
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for name in listed.stdout.splitlines():  # a copy: building leaves files behind
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "-m", "build", "--outdir", str(folder), str(source)]
    subprocess.run(command, check=True, capture_output=True)
    return folder


@pytest.mark.slow
def test_the_wheel_holds_what_it_should(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    for wanted in (
        "nvn/py.typed",
        "nvn/energies/__init__.py",
        "nvn_recipes/gaussians.py",
        "nvn_recipes/groupgan/data/rendered/assets/face_rig.npz",
    ):
        assert wanted in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not any(name.startswith(("tests/", "tools/", "recipes/", "plugins/")) for name in names)


@pytest.mark.slow
def test_the_sdist_can_be_built_from(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "LICENSE", "README.md", "nvn/py.typed"} <= names
    assert "recipes/groupgan/data/rendered/assets/face_rig.npz" in names
    assert {"CHANGELOG.md", "constraints.txt", "docs/recipes.md", "tests/conftest.py"} <= names


@pytest.mark.slow
def test_the_wheel_alone_trains(built: Path, tmp_path: Path) -> None:
    (wheel,) = built.glob("*.whl")
    # The dependencies are those of this environment; nvn itself must come from the wheel.
    home = tmp_path / "venv"
    venv.create(home, with_pip=True)
    python = home / "bin" / "python"
    install = [python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel]
    subprocess.run(install, check=True, capture_output=True)
    borrowed = [path for path in sys.path if path.endswith("site-packages")]
    (site,) = (home / "lib").glob("python*/site-packages")
    # A .pth file adds folders to the path without running *their* .pth files, so this checkout,
    # installed in them as editable, stays out of sight.
    (site / "borrowed.pth").write_text("\n".join(borrowed))

    def nvn(*arguments: str) -> str:
        command = [home / "bin" / "nvn", *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    where = "import nvn, nvn_recipes; print(nvn.__file__, nvn_recipes.__file__)"
    found = subprocess.run([python, "-c", where], cwd=tmp_path, capture_output=True, text=True)
    assert found.stdout.count(str(home)) == 2, found
    assert "gaussians" in nvn("recipes")
    assert "finished" in nvn("run", "gaussians", "--max-steps", "20", "--accelerator", "cpu")
