"""Parity with GroupGAN's Algorithm 1 (Niu et al. 2022; paper.md), its 2 v 2 written by hand.

Each iteration updates D, then D', then G, then E, each with its own fresh batch and newly
synthesized fakes. V_D and V_D' judge real and made, V_G = ‖fake − peak‖² + α log(1 − D) +
β log(1 − D') + γ Φ_C, V_E = Φ_C + α_E log(1 − D) + β_E log(1 − D'), Φ_C the cross-entropy of the
frozen C on the fake. By the book: every loss goes backward through everything, one optimizer steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import nvn
from nvn import energies as en
from tests.parity import comparing
from tests.parity.comparing import ITERATIONS, Networks, each_dtype_and_habit, each_optimizer
from tests.parity.groupgan import CLASSES, FEATURES, Critic, Generator, extractor

pytestmark = pytest.mark.filterwarnings("error")

SAMPLES = 4
ALPHA, BETA, GAMMA, ALPHA_E, BETA_E = 0.2, 0.3, 0.5, 0.1, 0.05
MOVERS = ("D", "Dp", "G", "E")


def networks() -> Networks:
    classifier = extractor(CLASSES).requires_grad_(False)
    return {
        "G": Generator(),
        "E": extractor(FEATURES),
        "D": Critic(),
        "Dp": Critic(),
        "C": classifier.eval(),
    }


def batches(dtype: torch.dtype) -> Iterator[dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(3)
    while True:
        yield {
            "weak": comparing.random(generator, dtype, SAMPLES, 1, 6, 6),
            "peak": comparing.random(generator, dtype, SAMPLES, 1, 6, 6),
            "label": torch.randint(CLASSES, (SAMPLES,), generator=generator),
        }


# --- declared -----------------------------------------------------------------------------------


def declared(nets: Networks, schedule: Callable[..., nvn.Schedule]) -> nvn.Plan:
    """The game, declared."""
    game = nvn.Game("groupgan-2v2")
    weak, peak, label = game.batch("weak", "peak", "label")
    G, E = game.team("synthesis", G=nets["G"], E=nets["E"])
    D, Dp = game.team("critics", D=nets["D"], Dp=nets["Dp"])
    C = game.frozen("C", nets["C"])
    f = E(weak)
    fake = G(weak, f)
    adv = en.Minimax()
    ce = en.cross_entropy(C(fake), label)
    on_d, on_dp = D(fake, f), Dp(fake, f)
    D.minimizes(0.5 * adv.real(D(peak, f)) + 0.5 * adv.real(D(weak, f)) + adv.fake(on_d))
    Dp.minimizes(adv.real(Dp(peak, f)) + adv.fake(on_dp))
    G.minimizes(en.mse(fake, peak) + ALPHA * adv.fool(on_d) + BETA * adv.fool(on_dp) + GAMMA * ce)
    E.minimizes(ce + ALPHA_E * adv.fool(on_d) + BETA_E * adv.fool(on_dp))
    return nvn.plan(game, schedule(D, Dp, G, E))


def play(
    nets: Networks,
    optimizer: Any,
    dtype: torch.dtype,
    schedule: Callable[..., nvn.Schedule],
) -> None:
    """Play the game as declared."""
    engine = nvn.Engine(declared(nets, schedule), optimizer)
    supply = batches(dtype)
    for _ in range(ITERATIONS):
        engine.step(supply)


def algorithm_1(D: nvn.Player, Dp: nvn.Player, G: nvn.Player, E: nvn.Player) -> nvn.Schedule:
    return nvn.alternating(D, Dp, G, E, fresh=True)


def synthesis_together(D: nvn.Player, Dp: nvn.Player, G: nvn.Player, E: nvn.Player) -> nvn.Schedule:
    return nvn.alternating(D, Dp, (G, E))


# --- by hand ------------------------------------------------------------------------------------


def log_d(logits: Tensor) -> Tensor:
    """−log D."""
    return -F.logsigmoid(logits).mean()


def log_not_d(logits: Tensor) -> Tensor:
    """−log(1 − D)."""
    return -F.logsigmoid(-logits).mean()


def losses(nets: Networks, batch: dict[str, Tensor]) -> dict[str, Callable[[], Tensor]]:
    """All four objectives on newly synthesized fakes; each is computed when called."""
    weak, peak = batch["weak"], batch["peak"]
    f = nets["E"](weak)
    fake = nets["G"](weak, f)

    def v_d() -> Tensor:
        d = nets["D"]
        judged = d(fake, f)
        return 0.5 * log_d(d(peak, f)) + 0.5 * log_d(d(weak, f)) + log_not_d(judged)

    def v_dp() -> Tensor:
        judged = nets["Dp"](fake, f)
        return log_d(nets["Dp"](peak, f)) + log_not_d(judged)

    def v_g() -> Tensor:
        ce, on_d, on_dp = shared()
        content = (fake - peak).square().mean()
        return content - ALPHA * on_d - BETA * on_dp + GAMMA * ce

    def v_e() -> Tensor:
        ce, on_d, on_dp = shared()
        return ce - ALPHA_E * on_d - BETA_E * on_dp

    def shared() -> tuple[Tensor, Tensor, Tensor]:
        ce = F.cross_entropy(nets["C"](fake), batch["label"])
        return ce, log_not_d(nets["D"](fake, f)), log_not_d(nets["Dp"](fake, f))

    return {"D": v_d, "Dp": v_dp, "G": v_g, "E": v_e}


def by_the_book(nets: Networks, optimizer: Any, dtype: torch.dtype, habit: Any) -> None:
    """Algorithm 1 as it stands; `habit` says what becomes of the others' statistics."""
    steps = comparing.optimizers_of({name: nets[name] for name in MOVERS}, optimizer)
    supply = batches(dtype)
    for _ in range(ITERATIONS):
        for name in MOVERS:
            with habit(*(nets[other] for other in MOVERS if other != name)):
                for step in steps.values():
                    step.zero_grad()
                losses(nets, next(supply))[name]().backward()
                steps[name].step()


def together(nets: Networks, optimizer: Any, dtype: torch.dtype, habit: Any) -> None:
    """One batch an iteration; G and E from one point: both gradients, then both steps."""
    steps = comparing.optimizers_of({name: nets[name] for name in MOVERS}, optimizer)
    supply = batches(dtype)
    for _ in range(ITERATIONS):
        batch = next(supply)
        for name in ("D", "Dp"):
            with habit(*(nets[other] for other in MOVERS if other != name)):
                steps[name].zero_grad()
                losses(nets, batch)[name]().backward()
                steps[name].step()
        with habit(nets["D"], nets["Dp"]):
            found = {}
            for name in ("G", "E"):
                # G's and E's statistics advance once in their common move.
                with comparing.resting(*(nets[n] for n in MOVERS * (name == "G"))):
                    loss = losses(nets, batch)[name]()
                    found[name] = torch.autograd.grad(loss, [*nets[name].parameters()])
            for name, gradients in found.items():
                for parameter, gradient in zip(nets[name].parameters(), gradients, strict=True):
                    parameter.grad = gradient
                steps[name].step()


@each_optimizer
@each_dtype_and_habit
def test_algorithm_1(optimizer: Any, dtype: torch.dtype, habit: Any) -> None:
    """A fresh batch and new fakes for every move: equal to the bit."""
    ours, theirs = comparing.twice(networks, dtype)
    play(ours, optimizer, dtype, algorithm_1)
    by_the_book(theirs, optimizer, dtype, habit)
    _assert_parity(ours, theirs, habit)


@each_optimizer
@pytest.mark.parametrize("habit", [comparing.resting, comparing.as_usual])
def test_the_synthesis_team_moves_together(optimizer: Any, habit: Any) -> None:
    """`nvn.alternating(D, Dp, (G, E))` on one batch, to 1e-10 in float64.

    G and E share one pass through each opponent, so the sums are rounded in another order.
    """
    ours, theirs = comparing.twice(networks, torch.float64)
    play(ours, optimizer, torch.float64, synthesis_together)
    together(theirs, optimizer, torch.float64, habit)
    _assert_parity(ours, theirs, habit, comparing.assert_close)


def _assert_parity(
    ours: Networks, theirs: Networks, habit: Any, compare: Any = comparing.assert_equal
) -> None:
    rested = habit is comparing.resting
    comparing.assert_moved(ours, networks, *MOVERS)
    compare(ours, theirs, buffers=rested)
    comparing.assert_equal({"C": ours["C"]}, theirs, buffers=True)
    assert comparing.statistics_differ(ours, theirs, *MOVERS) is not rested
