"""Every block of code in the documentation runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from nvn import WeightedSum
from nvn.recipe.build import eject_recipe, make_graph, make_plans
from nvn.recipe.loading import load_recipe
from nvn.show.plan import explain
from nvn.show.plan_text import plan_text
from nvn.show.text import text

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
        exec(compile(code, str(page), "exec", dont_inherit=True), names)


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name}: {target}"


README = (ROOT / "README.md").read_text()


def test_the_game_written_out_is_the_recipes() -> None:
    (shown,) = re.findall(
        r"the same game as the recipe's -->\n```python\n(.*?)```", README, re.DOTALL
    )
    names: dict[str, Any] = {}
    exec(compile(shown, "README", "exec"), names)
    source = load_recipe(str(ROOT / "recipes" / "expression_2v2.py"))
    recipe = source.build(source.config_class())
    declared, derived = (
        {name: _weights(player.objective) for name, player in game.players.items()}
        for game in (names["game"], recipe.game)
    )
    judge = derived.pop("judge")
    assert not judge  # it only measures
    assert declared == derived
    assert str(names["schedule"]) == str(recipe.schedule)
    for name, player in names["game"].players.items():
        sizes = [
            sum(map(Tensor.numel, p.module.parameters()))
            for p in (player, recipe.game.players[name])
        ]
        assert sizes[0] == sizes[1], name


def _weights(objective: WeightedSum) -> dict[str, float]:
    return {str(term.energy): pytest.approx(term.weight.factor) for term in objective.terms}


CHECKED = re.compile(r"\]\((?P<file>\.\./[^)]+\.py)\): `(?P<code>[^`]+)`")


def test_the_lines_of_the_paper_are_in_the_code() -> None:
    page = ROOT / "docs" / "paper.md"
    found = CHECKED.findall(page.read_text())
    assert len(found) > 10
    for file, code in found:
        text = " ".join((page.parent / file).read_text().split())
        assert " ".join(code.split()) in text, f"{file}: {code}"


def test_the_graph_shown_is_what_the_command_prints() -> None:
    pattern = r"printed by: nvn graph (.*?) -->\n```\n(.*?)\n```"
    ((path, shown),) = re.findall(pattern, README, re.DOTALL)
    source = load_recipe(str(ROOT / path))
    assert shown in text(make_graph(source.build(source.config_class())))


def test_the_plan_shown_is_what_the_command_prints() -> None:
    planning = (ROOT / "docs" / "planning.md").read_text()
    pattern = r"printed by: nvn plan (.*?) -->\n```\n(.*?)\n```"
    ((path, shown),) = re.findall(pattern, planning, re.DOTALL)
    source = load_recipe(str(ROOT / path))
    plan = make_plans(source.build(source.config_class()))["main"]
    assert shown in plan_text(explain(plan, {}))


def test_the_loop_shown_is_what_the_command_writes() -> None:
    page = (ROOT / "docs" / "eject.md").read_text()
    pattern = r"written by: nvn eject (.*?) -->\n```python\n(.*?)\n```"
    ((path, shown),) = re.findall(pattern, page, re.DOTALL)
    source = load_recipe(str(ROOT / path))
    assert shown in eject_recipe(source.build(source.config_class()))
