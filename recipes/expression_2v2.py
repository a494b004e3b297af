"""GroupGAN 2 v 2: magnify weak facial expressions so that they can be recognized.

Niu, Zhang, Li, Luo (2022), "Four-player GroupGAN for weak expression recognition via latent
expression magnification", Knowledge-Based Systems 251, section 3.2: a generator G and a feature
extractor E play together against two critics, D (real or made?) and D′ (a peak or not?). A
classifier C says whether the expression that was made is the right one.
"""

from __future__ import annotations

import nvn
from nvn import energies as en

from . import expression_1v2
from .groupgan.magnifying import Magnifying, MagnifyingConfig
from .groupgan.networks import Extractor
from .groupgan.rules import TwoVersusTwo


class Config(MagnifyingConfig):
    """Settings of the game."""

    game: TwoVersusTwo = TwoVersusTwo()


def recipe(config: Config) -> nvn.Recipe:
    """Declare the game: 1 v 2, with G and both critics told F_exp, and E, who extracts it."""
    faces = Magnifying.declared("groupgan-2v2", config)
    weak, peak, label = faces.weak, faces.peak, faces.label
    told, rules = config.networks.features, config.game
    modules = {"G": config.generator(told), "E": config.network(Extractor)}
    G, E = synthesis = faces.game.team("synthesis", **modules)
    critics = faces.game.team("critics", **config.critics(rules.critics, told))

    f = E(weak).named("f")
    made = G(weak, f).named("fake")
    play = faces.play(made, f)
    fool, peaked, expression = expression_1v2.objectives(
        rules, faces, play, G, critics, extractor=E
    )
    recognize = E.method("recognize")
    own_head = en.cross_entropy(recognize(f), label)
    E.minimizes(expression + rules.ae * fool + rules.be * peaked + rules.head * own_head)

    return faces.recipe(
        "expression_2v2",
        faces.moves([*critics], [*synthesis]),
        G=G,
        extractor=E,
        made=made,
        copied=G(peak, E(peak)),
        pretrained={E: faces.learned(recognize(E(peak)), recognize(f))},
        others={"E's own head": recognize(f)},
        features={"E, of the weak face": f},
    )
