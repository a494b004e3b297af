"""Every block of code in the documentation runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nvn import draw, explain
from nvn.assembly import make_graph, make_plans
from nvn.loading import load_recipe

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
SKIPPED = "<!-- not run"  # on the line before a block
BLOCK = re.compile(r"(?P<before>[^\n]*)\n```python\n(?P<code>.*?)```", re.DOTALL)


def blocks(page: Path) -> list[str]:
    found = BLOCK.finditer(page.read_text())
    return [m["code"] for m in found if not m["before"].startswith(SKIPPED)]


def test_there_are_blocks_to_run() -> None:
    assert sum(len(blocks(page)) for page in PAGES) > 5


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_code_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": page.stem}
    for code in blocks(page):
        exec(compile(code, str(page), "exec"), names)


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name}: {target}"


README = (ROOT / "README.md").read_text()


def test_the_declaration_shown_is_the_recipes() -> None:
    (shown,) = re.findall(r"word for word -->\n```python\n(.*?)```", README, re.DOTALL)
    recipe = (ROOT / "recipes" / "expression_2v2.py").read_text().splitlines()
    place = 0
    for line in filter(None, shown.splitlines()):
        place = recipe.index(f"    {line}", place)  # the same lines, in the same order


def test_the_graph_shown_is_what_the_command_prints() -> None:
    pattern = r"printed by: nvn graph (.*?) -->\n```\n(.*?)\n```"
    ((path, shown),) = re.findall(pattern, README, re.DOTALL)
    source = load_recipe(str(ROOT / path))
    assert shown in draw.text(make_graph(source.build(source.config_class())))


def test_the_plan_shown_is_what_the_command_prints() -> None:
    planning = (ROOT / "docs" / "planning.md").read_text()
    pattern = r"printed by: nvn plan (.*?) -->\n```\n(.*?)\n```"
    ((path, shown),) = re.findall(pattern, planning, re.DOTALL)
    source = load_recipe(str(ROOT / path))
    plan = make_plans(source.build(source.config_class()))["main"]
    assert shown in explain.text(explain.explained(plan, {}))
