"""An explained plan: what is computed and reused, the passes and why, on 80 columns."""

import json
from typing import Any

import nvn
from nvn import energies as en
from nvn.show.plan import WIDTH, explained, text
from tests.small import BATCH, gan, linear, mean, sgd


def team() -> dict[str, Any]:
    """Two makers judged by one critic, with proportional weights; the critic has a penalty."""
    game = nvn.Game("team")
    x = game.batch("x")
    G, E = game.team("makers", G=linear(), E=linear())
    D = game.player("D", linear(3, 1))
    fake = G(E(x)).named("fake")
    fool = mean(D(fake)).named("fool")
    D.minimizes(-fool + en.r1(D(x), x))
    G.minimizes(2 * fool + mean(fake).named("size"))
    E.minimizes(0.5 * fool)
    engine = nvn.Engine(nvn.plan(game, nvn.alternating(D, (G, E))), sgd)
    engine.check(BATCH)
    return explained(engine.plan, engine.costs(BATCH))


def test_what_is_computed_and_what_is_reused() -> None:
    critic, makers = team()["turns"]
    assert critic["computed"] == ["E(x)", "fake = G(E(x))", "D(fake)", "D(x)"]
    assert (makers["computed"], makers["reused"]) == (["D(fake)"], ["E(x)", "fake"])
    assert critic["gradients"] == [{"of": "D(x)", "by": "x", "through": ["D(x)"]}]


def test_the_passes_and_the_rows_that_they_come_from() -> None:
    _, makers = team()["turns"]
    through = {passed["call"]: passed for passed in makers["through"]}
    judged = through["D(fake)"]
    assert (judged["passes"], judged["rank"]) == (1, 1)
    assert judged["matrix"] == {"G": ["2"], "E": ["0.5"]}
    assert judged["made_of"] == {"G": {"G": "1"}, "E": {"G": "0.25"}}
    assert (through["fake"]["passes"], through["fake"]["energies"]) == (2, ["fool", "size"])
    assert through["E(x)"]["passes"] == 1


def test_the_costs_are_those_of_the_plan_and_of_a_loop_without_reuse() -> None:
    found = team()
    costs = found["costs"]
    assert costs["planned"]["flops"] < costs["from scratch"]["flops"]
    assert found["passes"] == found["passes_bound"]
    assert json.loads(json.dumps(found)) == found


def test_measuring_changes_nothing() -> None:
    engine = gan().engine()
    engine.check(BATCH)
    before = {name: t.clone() for name, t in engine.modules["D"].state_dict().items()}
    costs = [engine.costs(BATCH) for _ in range(2)]
    assert costs[0] == costs[1]
    assert all(t.equal(before[n]) for n, t in engine.modules["D"].state_dict().items())
    assert engine.step(BATCH).step == 1


def test_it_reads_well_on_80_columns() -> None:
    lines = text(team()).splitlines()
    assert max(map(len, lines)) <= WIDTH
    start = lines.index("2. (G, E)")
    assert lines[start : start + 14] == [
        "2. (G, E)",
        "   calls   D(fake)",
        "   reuses  E(x), fake",
        "   back    once through each, for E: E(x)",
        "   back    once through D(fake), for G and E: rank 1 of",
        "                  [1]",
        "               G    2   a pass of its own",
        "               E  0.5   = 0.25 × G",
        "               [1] fool",
        "   back    2 times through fake, for G and E: rank 2 of",
        "                  [1]  [2]",
        "               G    2    1   a pass of its own",
        "               E  0.5    0   a pass of its own",
        "               [1] fool",
    ]


def test_the_instructions_are_few_and_named() -> None:
    engine = gan().engine()
    engine.check(BATCH)
    assert explained(engine.plan, {})["instructions"] == [
        "batch = next batch",
        'x = batch["x"]',
        'z = noise "z" of (3,) like x',
        "G_z = G(z)",
        "G_z_const = G_z, detached",
        "D_G_z = D(G_z_const)",
        "fool = square(D_G_z)",
        "fool_value = record fool",
        "D_x = D(x)",
        "judge = square(D_x)",
        "judge_value = record judge",
        "backward from -1 fool, 1 judge to D",
        "step D",
        "requires_grad of D: False",
        "D_G_z_2 = D(G_z)",
        "fool_2 = square(D_G_z_2)",
        "fool_2_value = record fool_2",
        "backward from 1 fool_2 to G",
        "step G",
        "requires_grad of D: True",
    ]
