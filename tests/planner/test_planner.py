"""Plans: which terms a move descends, how many passes it takes, how it reads."""

import pytest
import torch

import nvn
from nvn import energies as en
from nvn.errors import GameError
from tests.small import gan, linear, mean


def test_a_move_descends_what_depends_on_its_players() -> None:
    small = gan()
    small.G.minimizes(3 * small.judge)  # does not depend on G
    critics, makers = small.plan.moves
    assert {p: [str(t.energy) for t in ts] for p, ts in critics.terms.items()} == {
        "D": ["judge", "fool"]
    }
    assert {p: [str(t.energy) for t in ts] for p, ts in makers.terms.items()} == {"G": ["fool"]}


def test_a_lazy_goal_is_multiplied_by_its_interval() -> None:
    small = gan()
    penalty = en.r1(small.D(small.x), small.x)
    plan = nvn.plan(
        small.game,
        nvn.alternating(small.D, nvn.move(small.D, toward=0.5 * penalty, every=16), small.G),
    )
    (term,) = plan.moves[1].terms["D"]
    assert (term.energy, term.weight.factor) == (penalty, 8.0)


def test_terms_whose_weight_is_zero_are_left_out() -> None:
    small = gan()

    def late(step: int) -> float:
        return float(step >= 2)

    content = mean(small.fake)
    small.G.minimizes(late * content)
    _, makers = small.plan.moves
    assert [t.energy for t in makers.active(1)["G"]] == [small.fool]
    assert [t.energy for t in makers.active(2)["G"]] == [small.fool, content]


def test_a_weight_that_is_always_zero_costs_nothing() -> None:
    small = gan()
    before = small.plan.counts
    C = small.game.frozen("C", linear())
    small.G.minimizes(0.0 * mean(C(small.fake)))
    small.D.minimizes(2 * small.fool - 2 * small.fool)
    assert small.plan.counts == {**before, "C": {"forward": 0, "backward": 0}}


def test_passes_are_counted() -> None:
    # D's move: x → D and z → G → D; back through both calls of D. G's: the same G(z) → D and back.
    assert gan().plan.counts == {
        "G": {"forward": 1, "backward": 1},
        "D": {"forward": 3, "backward": 3},
    }


def test_a_move_repeated_is_counted_as_often() -> None:
    small = gan()
    plan = nvn.plan(small.game, nvn.alternating(nvn.move(small.D, times=5), small.G))
    assert plan.counts["D"] == {"forward": 5 * 2 + 1, "backward": 5 * 2 + 1}


def test_players_who_move_together_share_the_way_forward() -> None:
    small = gan()
    plan = nvn.plan(small.game, nvn.simultaneous(small.D, small.G))
    # One energy, judged with opposite signs: one pass through D(G(z)) serves both.
    assert plan.counts == {"G": {"forward": 1, "backward": 1}, "D": {"forward": 2, "backward": 2}}


def test_a_penalty_goes_back_once_more() -> None:
    small = gan()
    before = small.plan.counts["D"]
    small.D.minimizes(en.r1(small.D(small.x), small.x))
    assert small.plan.counts["D"] == {
        "forward": before["forward"],  # D(x) is there already
        "backward": before["backward"] + 1,
    }


def test_frozen_players_are_passed_too() -> None:
    small = gan()
    C = small.game.frozen("C", linear())
    small.G.minimizes(mean(C(small.fake)))
    assert small.plan.counts["C"] == {"forward": 1, "backward": 1}


@pytest.mark.parametrize(
    ("moves", "batches"),
    [
        (lambda D, G: nvn.alternating(D, G), 1),
        (lambda D, G: nvn.alternating(D, G, fresh=True), 2),
        (lambda D, G: nvn.alternating(nvn.move(D, times=5, fresh=True), G), 5),
        (lambda D, G: nvn.alternating(nvn.move(D, times=5), G), 1),
        (lambda D, G: nvn.alternating(D, nvn.move(G, times=2, fresh=True)), 3),
        (lambda D, G: nvn.alternating(D, nvn.move(G, times=2, fresh="noise")), 1),
    ],
)
def test_an_iteration_takes_so_many_batches(moves: object, batches: int) -> None:
    small = gan()
    assert nvn.plan(small.game, moves(small.D, small.G)).batches_per_step == batches


def test_a_plan_reads_well() -> None:
    small = gan()
    penalty = en.r1(small.D(small.x), small.x).named("r1")
    plan = nvn.plan(
        small.game,
        nvn.alternating(
            nvn.move(small.D, times=5, fresh=True),
            nvn.move(small.D, toward=penalty, every=16, optimizer="slow"),
            nvn.move(small.G, fresh="noise", when=bool),
        ),
    )
    assert str(plan).splitlines() == [
        "gan: D → D → G",
        "1. D, 5 times, a new batch each time",
        "   D minimizes judge - fool",
        "2. D, once in 16 iterations, with the optimizer 'slow'",
        "   D minimizes 16 r1",
        "3. G, when its condition holds, new samples each time",
        "   G minimizes fool",
        "G: 6 forward, 1 backward",
        "D: 12 forward, 13 backward",
    ]


def test_planning_checks_the_structure() -> None:
    game = nvn.Game("game")
    G = game.player("G", linear())
    with pytest.raises(GameError, match="`G` has no objective"):
        nvn.plan(game, nvn.alternating(G))


def test_a_schedule_of_a_phase_may_leave_players_out() -> None:
    small = gan()
    with pytest.raises(GameError, match="`D` has an objective but never moves"):
        nvn.plan(small.game, nvn.alternating(small.G))
    plan = nvn.plan(small.game, nvn.alternating(small.G), partial=True)
    assert plan.counts["D"] == {"forward": 1, "backward": 1}


def test_planning_computes_nothing() -> None:
    class Untouchable(torch.nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise AssertionError("computed")

    small = gan(generator=Untouchable(3, 3))
    assert small.plan.counts["G"]["forward"] == 1
