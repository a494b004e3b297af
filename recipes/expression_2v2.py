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


class Config(FaceConfig):
    """Settings of the game."""

    adversarial: Literal["minimax", "non_saturating", "hinge", "least_squares"] = Field(
        "non_saturating", description="the family of the adversarial energies"
    )
    a: float = Field(2e-4, ge=0, description="G's weight on fooling D")
    b: float = Field(2e-4, ge=0, description="G's weight on fooling D′")
    c: float = Field(1e-3, ge=0, description="G's weight on the class that C sees")
    ae: float = Field(2e-4, ge=0, description="E's weight on fooling D")
    be: float = Field(2e-4, ge=0, description="E's weight on fooling D′")
    head: float = Field(0.3, ge=0, description="E's weight on the class that its own head sees")
    weak_negatives: bool = Field(False, description="D′ also learns that weak faces are no peaks")
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
            "adversarial": "minimax",
            **dict.fromkeys(("a", "b", "ae", "be"), 2e-3),
            "c": 1.0,
            "head": 0.0,
            "pretraining": 10_000,
            "autoencode": True,
            "warmup": 10_000,
            "algorithm1": True,
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
    fool, fool_p = adv.fool(D(fake, f)), adv.fool(Dp(fake, f))
    content = en.mse(fake, peak)
    expression = en.cross_entropy(C.method("forward", training=False)(fake), label)
    own_head = config.head * en.cross_entropy(E.method("recognise")(f), label)

    D.minimizes(0.5 * adv.real(D(peak, f)) + 0.5 * adv.real(D(weak, f)) + adv.fake(D(fake, f)))
    Dp.minimizes(adv.real(Dp(peak, f)) + adv.fake(Dp(fake, f)))
    if config.weak_negatives:
        Dp.minimizes(adv.fake(Dp(weak, f)))
    G.minimizes(content + config.a * fool + config.b * fool_p + config.c * expression)
    E.minimizes(expression + config.ae * fool + config.be * fool_p + own_head)

    # Before the game, C learns peaks and E learns expressions. Beside it, two judges that the game
    # never meets learn to recognise real peaks and real weak pictures: they are what it is measured
    # with.
    judges = [game.player(f"{kind}_judge", config.network(Classifier)) for kind in ("peak", "weak")]
    told = [C(peak), E.method("recognise")(E(peak)), judges[0](peak), judges[1](weak)]
    classes = own_head + sum(en.cross_entropy(logits, label) for logits in told)
    first = en.mse(G(peak, E(peak)), peak) if config.autoencode else content

    pairs = config.pairs
    alone = nvn.alternating(D, Dp, G, E, fresh=True)
    return nvn.Recipe(
        name="expression_2v2",
        game=game,
        # D and D′ don't see each other: moving together is moving one after the other.
        schedule=alone if config.algorithm1 else nvn.alternating(critics, synthesis),
        optimizers={
            **dict.fromkeys(("G", "E", "D", "Dp"), config.in_play()),
            "classes": config.early(config.pretraining),
            "warmup": config.early(config.warmup),
        },
        data=pairs.batches(config.batch, seed=1),
        steps=config.steps,
        phases=[
            nvn.Phase(
                "pretraining",
                nvn.alternating(nvn.move(C, E, judges, toward=classes, optimizer="classes")),
                config.pretraining,
            ),
            nvn.Phase(
                "warmup",
                nvn.alternating(nvn.move(G, toward=first, optimizer="warmup")),
                config.warmup,
            ),
        ],
        evaluations=[
            nvn.Evaluation(
                "recognition",
                Recognition(
                    pairs,
                    weak,
                    fake,
                    peak_logits=judges[0](weak),
                    weak_logits=judges[1](weak),
                    own_logits=E.method("recognise")(f),
                    C_logits=C(weak),
                ),
            )
        ],
        previews=[nvn.Preview("faces", Faces(pairs, weak, fake), every=100)],
    )
