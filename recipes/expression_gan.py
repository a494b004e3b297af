"""Conventional GAN: one generator against one critic magnify weak expressions; C then looks.

Niu, Zhang, Li, Luo (2022), "Four-player GroupGAN for weak expression recognition via latent
expression magnification", Knowledge-Based Systems 251, section 2, (1)-(3), Fig. 2a: {G} v {D},
the column DCGAN of Table 1.
"""

from __future__ import annotations

import nvn

from .groupgan.magnifying import Magnifying, MagnifyingConfig, Toward
from .groupgan.play import Play
from .groupgan.rules import Conventional


class Config(MagnifyingConfig):
    """Settings of the game."""

    game: Conventional = Conventional()


def recipe(config: Config) -> nvn.Recipe:
    """Declare the game: what G makes of a weak face is like the peak, and passes for real."""
    faces = Magnifying.declared("gan", config)
    G = faces.game.player("G", config.generator())
    D = faces.game.player("D", config.critic())
    made = G(faces.weak).named("fake")
    objectives(config.game, faces, faces.play(made), G, D)
    return faces.recipe(
        "expression_gan", faces.moves([D], [G]), G=G, made=made, copied=G(faces.peak)
    )


def objectives(
    rules: Conventional,
    faces: Magnifying,
    play: Play,
    G: nvn.Player,
    D: nvn.Player,
    extractor: nvn.Player | None = None,
) -> Toward:
    """Declare (1)-(3), and return the energy of fooling D."""
    fool = play.fooling(D)
    D.minimizes(play.real_or_made(D))
    G.minimizes(faces.content(play.made, extractor) + rules.a * fool)
    return fool
