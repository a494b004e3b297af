"""Sketch repair: the game of GroupGAN restores drawings that were damaged by slashes.

Niu, Zhang, Li, Luo (2022), "Four-player GroupGAN for weak expression recognition via latent
expression magnification", Knowledge-Based Systems 251, section 4.6. The players are those of the
expressions: D tells real drawings from made ones, D′ whole ones from made and damaged ones; G
repairs, and in 2 v 2 E tells it what the drawing shows. Beside the game a copy of G learns by the
content energy alone: it says what the game adds.
"""

from __future__ import annotations

import copy
from typing import Literal

from pydantic import Field
from torch import nn

import nvn
from nvn import energies as en

from .groupgan.applying import Changed
from .groupgan.networks import Classifier, Extractor
from .groupgan.play import Play
from .groupgan.settings import HEAVIEST
from .groupgan.sketches.measuring import Restoration, Sketches
from .groupgan.sketches.settings import SketchConfig


class Config(SketchConfig):
    """Settings of the game."""

    game: Literal["1v2", "2v2"] = Field(
        "2v2", description="with E, who tells G and the critics what a drawing shows, or without"
    )
    ae: float = Field(2e-3, ge=0, le=HEAVIEST, description="E's weight on fooling D")
    be: float = Field(2e-3, ge=0, le=HEAVIEST, description="E's weight on fooling D′")
    head: float = Field(
        0.3, ge=0, le=HEAVIEST, description="E's weight on the class that its own head sees"
    )


def recipe(config: Config) -> nvn.Recipe:
    """Declare the game, what comes before it, and what is measured."""
    features = config.features if config.game == "2v2" else 0
    game = nvn.Game(f"sketch-repair-{config.game}")
    damaged, whole, label = game.batch("damaged", "whole", "label")
    modules: dict[str, nn.Module] = {"G": config.generator(features)}
    if config.game == "2v2":
        modules["E"] = config.network(Extractor)
    G, *extractors = synthesis = game.team("synthesis", **modules)
    D, Dp = critics = game.team("critics", D=config.critic(features), Dp=config.critic(features))
    C = game.player("C", config.network(Classifier))
    alone = game.player("alone", copy.deepcopy(modules["G"]))
    judge = game.player("judge", config.network(Classifier))

    f = tuple(E(damaged) for E in extractors)
    made = G(damaged, *f).named("fake")
    play = Play(config.adversarial, damaged, whole, made, f)
    seen = C.method("extract", training=False)
    fool, fool_p = play.fooling(D), play.fooling(Dp)
    drawn = en.cross_entropy(C.method("forward", training=False)(made), label)

    D.minimizes(play.real_or_made(D))
    Dp.minimizes(play.wanted_or_not(Dp, also_given=True))
    content = play.content(config.content, seen)
    G.minimizes(content + config.a * fool + config.b * fool_p + config.c * drawn)
    for E in extractors:
        own_head = en.cross_entropy(E.method("recognise")(*f), label)
        E.minimizes(drawn + config.ae * fool + config.be * fool_p + config.head * own_head)

    # What the content energy alone makes of G: told the same, but nobody plays with it.
    copied = alone(damaged, *(told.stop_gradient() for told in f)).named("by content alone")
    by_content = Play(config.adversarial, damaged, whole, copied).content(config.content, seen)
    alone.minimizes(by_content)

    learnt = en.cross_entropy(C(whole), label) + en.cross_entropy(judge(whole), label)
    for E in extractors:
        learnt += en.cross_entropy(E.method("recognise")(*f), label)
    learners = nvn.move(C, judge, *extractors, toward=learnt, optimizer="wholes")
    first = nvn.move(G, alone, toward=content + by_content, optimizer="warmup")
    repair = config.repair
    repaired = Changed(damaged, made, config.size, "L", crisp=True)
    restoration = Restoration(repair, damaged, made, copied, judge(damaged))
    return nvn.Recipe(
        name="sketch_repair",
        game=game,
        schedule=nvn.alternating(critics, (*synthesis, alone)),
        optimizers={
            **dict.fromkeys(("D", "Dp", "G", "alone", *modules), config.in_play()),
            "wholes": config.early(config.wholes),
            "warmup": config.early(config.warmup),
        },
        data=lambda: repair.batches(config.batch, seed=1),
        steps=config.steps,
        phases=[
            nvn.Phase("wholes", nvn.alternating(learners), config.wholes),
            nvn.Phase("warmup", nvn.alternating(first), config.warmup),
        ],
        evaluations=[
            nvn.Evaluation("restoration", restoration),
        ],
        previews=[nvn.Preview("sketches", Sketches(repair, damaged, made, copied), every=100)],
        application=nvn.Application("repaired", repaired),
    )
