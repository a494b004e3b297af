"""GroupGAN 1 v 2: one generator against two critics, D (real or made?) and D′ (a peak or not?).

Niu, Zhang, Li, Luo (2022), "Four-player GroupGAN for weak expression recognition via latent
expression magnification", Knowledge-Based Systems 251, section 3.1. The generator also wants the
classifier C, which stands beside the game, to see the right expression in what it makes.
"""

from __future__ import annotations

import nvn

from . import expression_gan
from .groupgan.magnifying import Magnifying, MagnifyingConfig, Toward
from .groupgan.play import Play
from .groupgan.rules import OneVersusTwo


class Config(MagnifyingConfig):
    """Settings of the game."""

    game: OneVersusTwo = OneVersusTwo()


def recipe(config: Config) -> nvn.Recipe:
    """Declare the game."""
    faces = Magnifying.declared("groupgan-1v2", config)
    G = faces.game.player("G", config.generator())
    critics = faces.game.team("critics", **config.critics(config.game.critics))
    made = G(faces.weak).named("fake")
    objectives(config.game, faces, faces.play(made), G, critics)
    return faces.recipe(
        "expression_1v2", faces.moves([*critics], [G]), G=G, made=made, copied=G(faces.peak)
    )


def objectives(
    rules: OneVersusTwo,
    faces: Magnifying,
    play: Play,
    G: nvn.Player,
    critics: nvn.Team,
    extractor: nvn.Player | None = None,
) -> tuple[Toward, Toward, Toward]:
    """Declare (4)-(6), and return the three energies that an extractor would share with G."""
    D, Dp = (*critics, None)[:2]
    fool = expression_gan.objectives(rules, faces, play, G, D, extractor)
    if Dp is not None:
        Dp.minimizes(play.wanted_or_not(Dp, also_given=rules.weak_negatives))
    peaked = faces.doubt(play.made) if Dp is None else play.fooling(Dp)
    expression = faces.expression(play.made)
    G.minimizes(rules.b * peaked + rules.c * expression)
    return fool, peaked, expression
