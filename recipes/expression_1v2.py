"""GroupGAN 1 v 2: one generator against two critics, D (real or made?) and D′ (a peak or not?).

Niu, Zhang, Li, Luo (2022), "Four-player GroupGAN for weak expression recognition via latent
expression magnification", Knowledge-Based Systems 251, section 3.1. The generator also wants the
classifier C, which stands beside the game, to see the right expression in what it makes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal, TypeAlias

from pydantic import Field

import nvn

from . import expression_gan
from .groupgan.magnifying import Magnifying
from .groupgan.networks import Critic
from .groupgan.play import Play
from .groupgan.settings import HEAVIEST, Presets, extended

Term: TypeAlias = nvn.Energy | nvn.WeightedSum


class Config(expression_gan.Config):
    """Settings of the game."""

    presets: ClassVar[Presets] = extended(
        expression_gan.Config.presets,
        paper={"b": 2e-3, "c": 1.0},
        london={"b": 1e-2, "c": 2e-2},
    )
    b: float = Field(
        3e-3, ge=0, le=HEAVIEST, description="G's weight on the peak, as judged by D′ or C"
    )
    c: float = Field(3e-3, ge=0, le=HEAVIEST, description="G's weight on the cross-entropy of C")
    weak_negatives: bool = Field(False, description="D′ also learns that weak faces are no peaks")
    peakness: Literal["critic", "likelihood"] = Field(
        "critic", description="what judges peaks: D′, or the likelihood of the class by C"
    )

    def _problems(self) -> Iterator[str]:
        yield from super()._problems()
        if self.weak_negatives and self.peakness == "likelihood":
            yield "weak_negatives = true: D′ learns them, and with peakness = likelihood is no D′"

    def critics(self, features: int = 0) -> dict[str, Critic]:
        """Make D, and D′ where there is one."""
        names = ["D", "Dp"] if self.peakness == "critic" else ["D"]
        return {name: self.critic(features) for name in names}


def recipe(config: Config) -> nvn.Recipe:
    """Declare the game."""
    faces = Magnifying.declared("groupgan-1v2", config)
    G = faces.game.player("G", config.generator())
    critics = faces.game.team("critics", **config.critics())
    made = G(faces.weak).named("fake")
    objectives(config, faces, faces.play(made), G, critics)
    return faces.recipe(
        "expression_1v2", faces.moves([*critics], [G]), G=G, made=made, copied=G(faces.peak)
    )


def objectives(
    config: Config,
    faces: Magnifying,
    play: Play,
    G: nvn.Player,
    critics: nvn.Team,
    extractor: nvn.Player | None = None,
) -> tuple[Term, Term, Term]:
    """Declare (4)-(6), and return the three energies that an extractor would share with G."""
    D, Dp = (*critics, None)[:2]
    fool = expression_gan.objectives(config, faces, play, G, D, extractor)
    if Dp is not None:
        Dp.minimizes(play.wanted_or_not(Dp, also_given=config.weak_negatives))
    peaked = faces.doubt(play.made) if Dp is None else play.fooling(Dp)
    expression = faces.expression(play.made)
    G.minimizes(config.b * peaked + config.c * expression)
    return fool, peaked, expression
