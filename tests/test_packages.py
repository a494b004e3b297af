"""What nvn is installed as, and how its extras are told of."""

import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from nvn import packages
from nvn.errors import ConfigError

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """nvn as an installed package: nothing of a checkout lies beside it."""
    monkeypatch.setattr(packages, "__file__", str(tmp_path / "nvn" / "packages.py"))
    return tmp_path


def test_a_checkout_has_its_own_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "version", lambda name: "9.9.9")  # of an older installation
    assert packages.version() == PROJECT["version"]


def test_an_installed_version_is_that_of_the_distribution(
    installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metadata, "version", {"nvn-games": "9.9.9", "nvn": "6.6.6"}.__getitem__)
    assert packages.version() == "9.9.9"
    # A stranger's project that nvn's files were copied into.
    (installed / "pyproject.toml").write_text('[project]\nname = "theirs"\nversion = "7"\n')
    assert packages.version() == "9.9.9"


def test_copied_files_have_no_version(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", unknown)
    assert packages.version() == "unknown"


def test_what_to_install_depends_on_where_nvn_came_from(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setitem(sys.modules, "skimage.feature", None)
    here = Path(__file__).parents[1]
    with pytest.raises(ConfigError) as error:
        packages.needed("skimage.feature", "finding faces")
    assert str(error.value).startswith("finding faces: this needs scikit-image")
    assert f'pip install -e ".[recipes]" in {here}' in str(error.value)
    request.getfixturevalue("installed")
    with pytest.raises(ConfigError, match=r'pip install "nvn-games\[recipes\]"'):
        packages.needed("skimage.feature", "finding faces")


def test_a_package_of_no_extra_is_named() -> None:
    with pytest.raises(ConfigError, match="this needs nothing_of_this_name"):
        packages.needed("nothing_of_this_name.part", "a test")


def test_the_extras_bring_what_they_are_said_to() -> None:
    extras = {
        name: {Requirement(line).name for line in lines}
        for name, lines in PROJECT["optional-dependencies"].items()
        if name not in ("dev", "docs")  # which nvn itself never imports
    }
    said: dict[str, set[str]] = {}
    for package, extra in packages._OPTIONAL.values():
        said.setdefault(extra, set()).add(package)
    assert said == extras


def test_nobody_elses_package_is_recommended() -> None:
    root = Path(__file__).parents[1]
    files = [path for place in ("nvn", "recipes", "docs") for path in (root / place).rglob("*")]
    texts = {p: p.read_text() for p in [*files, root / "README.md"] if p.suffix in {".py", ".md"}}
    assert not [path for path, text in texts.items() if '"nvn[' in text or "install nvn " in text]


@pytest.mark.parametrize("version", ["2.6.2", "2.6.3"])
def test_versions_that_were_tampered_with_are_excluded(version: str) -> None:
    (fabric,) = (r for r in map(Requirement, PROJECT["dependencies"]) if "fabric" in r.name)
    assert version not in fabric.specifier
    assert "2.6.6" in fabric.specifier
