"""An explained plan: what is computed and reused, the passes and why."""

import json
from dataclasses import asdict

from nvn.show.plan import ExplainedGradient, explain
from tests.show.small_plan import team
from tests.small import BATCH, gan


def test_what_is_computed_and_what_is_reused() -> None:
    critic, makers = team().turns
    assert critic.computed == ["E(x)", "fake = G(E(x))", "D(fake)", "D(x)"]
    assert (makers.computed, makers.reused) == (["D(fake)"], ["E(x)", "fake"])
    assert critic.gradients == [ExplainedGradient("D(x)", "x", ["D(x)"])]


def test_the_passes_and_the_rows_that_they_come_from() -> None:
    _, makers = team().turns
    through = {call.call: call for call in makers.through}
    judged = through["D(fake)"]
    assert (judged.passes, judged.rank) == (1, 1)
    assert judged.matrix == {"G": ["2"], "E": ["0.5"]}
    assert judged.made_of == {"G": {"G": "1"}, "E": {"G": "0.25"}}
    assert (through["fake"].passes, through["fake"].energies) == (2, ["fool", "size"])
    assert through["E(x)"].passes == 1


def test_the_costs_are_those_of_the_plan_and_of_a_loop_without_reuse() -> None:
    plan = team()
    assert plan.costs["planned"].flops < plan.costs["from scratch"].flops
    assert plan.passes == plan.passes_bound


def test_it_is_plain_data() -> None:
    data = asdict(team())
    assert json.loads(json.dumps(data)) == data
    assert [*data] == [
        *(
            "game",
            "schedule",
            "turns",
            "unshared",
            "followers",
            "counts",
            "passes",
            "passes_bound",
            "costs",
            "instructions",
        ),
    ]
    assert [*data["turns"][1]] == [
        *("move", "takes", "descends", "computed", "reused", "gradients", "values", "through"),
    ]
    assert [*data["turns"][1]["through"][0]] == [
        *("call", "player", "passes", "rank", "carried", "energies", "matrix", "made_of"),
    ]
    assert [*data["turns"][0]["gradients"][0]] == ["of", "by", "through"]
    assert [*data["costs"]["planned"]] == ["flops", "peak_bytes"]


def test_measuring_changes_nothing() -> None:
    engine = gan().engine()
    engine.check(BATCH)
    before = {name: t.clone() for name, t in engine.modules["D"].state_dict().items()}
    costs = [engine.costs(BATCH) for _ in range(2)]
    assert costs[0] == costs[1]
    assert all(t.equal(before[n]) for n, t in engine.modules["D"].state_dict().items())
    assert engine.step(BATCH).step == 1


def test_the_instructions_are_few_and_named() -> None:
    engine = gan().engine()
    engine.check(BATCH)
    assert explain(engine.plan, {}).instructions == [
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
