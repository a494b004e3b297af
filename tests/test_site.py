"""The documentation is a site without a broken reference, and has every public name."""

import subprocess
import sys
from pathlib import Path

import nvn

ROOT = Path(__file__).parents[1]


def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "-n", "docs", str(tmp_path / "site")]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    pages = [page.read_text() for page in (tmp_path / "site").glob("reference-*.html")]
    assert len(pages) == 3
    # Modules are there with all that is in them; the others by their own name.
    missing = [
        name
        for name in nvn.__all__
        if not any(
            f'id="nvn.{name}"' in page or f'id="module-nvn.{name}"' in page for page in pages
        )
        and not any(f'id="nvn.errors.{name}"' in page for page in pages)
    ]
    assert not missing


def test_every_page_is_in_the_contents() -> None:
    listed = (ROOT / "docs" / "index.md").read_text().split()
    listed += (ROOT / "docs" / "reference.md").read_text().split()
    pages = {page.stem for page in (ROOT / "docs").glob("*.md")} - {"index"}
    assert pages <= {*listed}, pages - {*listed}
