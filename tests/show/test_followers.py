"""Averages and earlier selves, in every notation."""

import xml.etree.ElementTree as ET

import nvn
from nvn import energies as en
from nvn.show.mermaid import mermaid
from nvn.show.plan import explain
from nvn.show.plan_text import WIDTH, plan_text
from nvn.show.svg import svg
from nvn.show.text import text
from tests.small import linear

EMA = "average of G, half-life 10,000 samples"
OLD = "one of G's last 5 selves, kept every 100 steps"


def followed() -> nvn.Plan:
    game = nvn.Game("followed")
    x = game.batch("x")
    G = game.player("G", linear())
    game.average("G_ema", G, half_life=10_000)
    old = game.past("G_old", G, every=100, keep=5)
    G.minimizes(en.mse(G(x), old(x)))
    return nvn.plan(game, nvn.alternating(G))


def test_the_text_says_whom_they_follow() -> None:
    told = text(followed().graph)
    assert f"G_ema  Linear, 12 parameters, {EMA}" in told
    assert f"G_old  Linear, 12 parameters, {OLD}" in told


def test_mermaid_draws_an_arrow_from_whom_they_follow() -> None:
    lines = [line.strip() for line in mermaid(followed().graph).splitlines()]
    assert f'player_G -. "{EMA}" .-> player_G_ema' in lines
    assert f'player_G -. "{OLD}" .-> player_G_old' in lines


def test_the_picture_says_it_below_what_is_drawn() -> None:
    drawn = ET.fromstring(svg(followed().graph))
    places = {t.text: float(t.get("y", 0)) for t in drawn.iter("{http://www.w3.org/2000/svg}text")}
    boxes = [
        float(box.get("y", 0)) + float(box.get("height", 0))
        for box in drawn.iter("{http://www.w3.org/2000/svg}rect")
    ]
    lowest = max(y for y in boxes if y < float(drawn.get("height", 0)) - 40)
    legend = places["P maximizes it"]
    assert lowest < places[f"G_ema: {EMA}"] < places[f"G_old: {OLD}"] < legend


def test_a_plan_says_it() -> None:
    plan = followed()
    told = plan_text(explain(plan, {})).splitlines()
    assert f"G_ema: {EMA}" in told
    assert f"G_old: {OLD}" in told
    assert max(map(len, told)) <= WIDTH
    lines = str(plan).splitlines()
    assert f"G_ema: {EMA}" in lines
    assert "G_ema: 0 forward, 0 backward" not in lines


def test_half_lives_are_written_for_people() -> None:
    game = nvn.Game("written")
    G = game.player("G", linear())
    for name, half_life in (("a", 2_000_000), ("b", 1e6), ("c", 2.5)):
        game.average(name, G, half_life=half_life, unit="steps")
    said = [str(average).partition("half-life ")[2] for average in game.averages.values()]
    assert said == ["2,000,000 steps", "1,000,000 steps", "2.5 steps"]
