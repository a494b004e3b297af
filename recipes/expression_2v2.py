"""GroupGAN 2 v 2: magnify weak facial expressions so that they can be recognised.

Niu, Zhang, Li, Luo (2022), "Four-player GroupGAN for weak expression recognition via latent
expression magnification", Knowledge-Based Systems 251, section 3.2: a generator G and a feature
extractor E play together against two critics, D (real or made?) and D′ (a peak or not?). A
classifier C says whether the expression that was made is the right one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field

import nvn
from nvn import energies as en

from .groupgan.measuring import Faces, Recognition
from .groupgan.networks import Classifier, Extractor
from .groupgan.settings import FaceConfig

FAMILIES = {
    "minimax": en.Minimax(),
    "non_saturating": en.NonSaturating(),
    "hinge": en.Hinge(),
    "least_squares": en.LeastSquares(),
}
CONTENTS = {"l1": en.l1, "mse": en.mse}
HEAVIEST = 1e6  # of the weights of energies


class Config(FaceConfig):
    """Settings of the game."""

    content: Literal["l1", "mse"] = Field(
        "l1", description="how made peaks are compared with real ones"
    )
    adversarial: Literal["minimax", "non_saturating", "hinge", "least_squares"] = Field(
        "non_saturating", description="the family of the adversarial energies"
    )
    a: float = Field(3e-3, ge=0, le=HEAVIEST, description="G's weight on fooling D")
    b: float = Field(3e-3, ge=0, le=HEAVIEST, description="G's weight on fooling D′")
    c: float = Field(3e-3, ge=0, le=HEAVIEST, description="G's weight on the class that C sees")
    ae: float = Field(3e-3, ge=0, le=HEAVIEST, description="E's weight on fooling D")
    be: float = Field(3e-3, ge=0, le=HEAVIEST, description="E's weight on fooling D′")
    head: float = Field(
        0.3, ge=0, le=HEAVIEST, description="E's weight on the class that its own head sees"
    )
    weak_negatives: bool = Field(False, description="D′ also learns that weak faces are no peaks")
    e_learns_weak: bool = Field(True, description="before the game, E learns weak faces too")
    autoencode: bool = Field(False, description="before the game, G copies peaks: no magnifying")
    algorithm1: bool = Field(False, description="D, D′, G, E each move alone, on a fresh batch")

    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "paper": {  # section 4.2 and Algorithm 1
            "size": 128,
            "margin": 16,
            "batch": 4,
            "backbone": "vgg13",
            "features": 256,
            "width": 64,
            "residual": False,
            "published_init": True,
            "content": "mse",
            "adversarial": "minimax",
            **dict.fromkeys(("a", "b", "ae", "be"), 2e-3),
            "c": 1.0,
            "head": 0.0,
            "e_learns_weak": False,
            "autoencode": True,
            "algorithm1": True,
            "peaks": 10_000,
            "pretraining": 10_000,
            "warmup": 10_000,
            "steps": 50_000,
            "optimizer": "sgd",
            "lr": 1e-4,
            "early_lr": 1e-3,
        }
    }


def recipe(config: Config) -> nvn.Recipe:
    """Declare the game, what comes before it, and what is measured."""
    game = nvn.Game("groupgan-2v2")
    weak, peak, label = game.batch("weak", "peak", "label")
    G, E = synthesis = game.team("synthesis", G=config.generator(), E=config.network(Extractor))
    D, Dp = critics = game.team("critics", D=config.critic(), Dp=config.critic())
    C = game.player("C", config.network(Classifier))

    f = E(weak).named("f")
    fake = G(weak, f).named("fake")
    adv = FAMILIES[config.adversarial]
    likeness = CONTENTS[config.content]
    fool, fool_p = adv.fool(D(fake, f)), adv.fool(Dp(fake, f))
    content = likeness(fake, peak)
    expression = en.cross_entropy(C.method("forward", training=False)(fake), label)
    own_head = en.cross_entropy(E.method("recognise")(f), label)

    D.minimizes(0.5 * adv.real(D(peak, f)) + 0.5 * adv.real(D(weak, f)) + adv.fake(D(fake, f)))
    Dp.minimizes(adv.real(Dp(peak, f)) + adv.fake(Dp(fake, f)))
    if config.weak_negatives:
        Dp.minimizes(adv.fake(Dp(weak, f)))
    G.minimizes(content + config.a * fool + config.b * fool_p + config.c * expression)
    E.minimizes(expression + config.ae * fool + config.be * fool_p + config.head * own_head)

    # Before the game, C learns peaks, E learns expressions and G learns to magnify without critics.
    # Beside it, two judges that the game never meets learn real peaks and real weak faces: they are
    # what it is measured with.
    peak_judge = game.player("peak_judge", config.network(Classifier))
    weak_judge = game.player("weak_judge", config.network(Classifier))
    peaks = en.cross_entropy(C(peak), label) + en.cross_entropy(peak_judge(peak), label)
    own_heads = [en.cross_entropy(E.method("recognise")(E(peak)), label), own_head]
    expressions = sum(
        own_heads[: 1 + config.e_learns_weak], en.cross_entropy(weak_judge(weak), label)
    )
    first = likeness(G(peak, E(peak)), peak) if config.autoencode else content

    pairs = config.pairs
    alone = nvn.alternating(D, Dp, G, E, fresh=True)
    return nvn.Recipe(
        name="expression_2v2",
        game=game,
        # D and D′ don't see each other: moving together is moving one after the other.
        schedule=alone if config.algorithm1 else nvn.alternating(critics, synthesis),
        optimizers={
            **dict.fromkeys(("G", "E", "D", "Dp"), config.in_play()),
            "peaks": config.early(config.peaks),
            "pretraining": config.early(config.pretraining),
            "warmup": config.early(config.warmup),
        },
        data=pairs.batches(config.batch, seed=1),
        steps=config.steps,
        phases=[
            before("peaks", config.peaks, C, peak_judge, toward=peaks),
            before("pretraining", config.pretraining, E, weak_judge, toward=expressions),
            before("warmup", config.warmup, G, toward=first),
        ],
        evaluations=[
            nvn.Evaluation(
                "recognition",
                Recognition(
                    pairs,
                    weak,
                    fake,
                    peak_logits=peak_judge(weak),
                    weak_logits=weak_judge(weak),
                    own_logits=E.method("recognise")(f),
                    C_logits=C(weak),
                ),
            )
        ],
        previews=[nvn.Preview("faces", Faces(pairs, weak, fake), every=50)],
    )


def before(
    name: str, steps: int, *players: nvn.Player, toward: nvn.Energy | nvn.WeightedSum
) -> nvn.Phase:
    """Return a phase before the game, in which players step with the optimizer of its name."""
    move = nvn.move(*players, toward=toward, optimizer=name)
    return nvn.Phase(name, nvn.alternating(move), steps)
