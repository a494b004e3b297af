"""Sketch repair: the game of GroupGAN restores drawings that were damaged by slashes.

Niu, Zhang, Li, Luo (2022), "Four-player GroupGAN for weak expression recognition via latent
expression magnification", Knowledge-Based Systems 251, section 4.6. The players are those of the
expressions: D tells real drawings from made ones, D′ whole ones from made and damaged ones; G
repairs, and in 2 v 2 E tells it what the drawing shows. Beside the game a copy of G learns by the
content energy alone (told the same by E, whom the game moves): it says what the game adds.
"""

from __future__ import annotations

import copy
from typing import Literal

from pydantic import Field
from torch import nn

import nvn
from nvn import energies as en

from .groupgan.applying import Changed
from .groupgan.data.drawings.pictures import light_on_dark
from .groupgan.evaluation.restoration import Restoration, Sketches
from .groupgan.networks import Classifier, Extractor
from .groupgan.play import Play
from .groupgan.restoring import SketchConfig
from .groupgan.settings import HEAVIEST

BEFORE = "pretraining"  # the phase in which classifiers learn


class Config(SketchConfig):
    """Settings of the game."""

    game: Literal["1v2", "2v2"] = Field(
        "2v2", description="with the extractor E for G and the critics, or without"
    )
    ae: float = Field(2e-3, ge=0, le=HEAVIEST, description="2v2: E's weight on fooling D")
    be: float = Field(2e-3, ge=0, le=HEAVIEST, description="2v2: E's weight on fooling D′")
    head: float = Field(
        0.3, ge=0, le=HEAVIEST, description="2v2: E's weight on the cross-entropy of its own head"
    )


def recipe(config: Config) -> nvn.Recipe:
    """Declare the game, what comes before it, and what is measured."""
    told = config.features if config.game == "2v2" else 0
    game = nvn.Game(f"sketch-repair-{config.game}")
    damaged, whole, label = game.batch("damaged", "whole", "label")
    modules: dict[str, nn.Module] = {"G": config.generator(told)}
    if config.game == "2v2":
        modules["E"] = config.network(Extractor)
    synthesis = game.team("synthesis", **modules)
    critics = game.team("critics", D=config.critic(told), Dp=config.critic(told))
    C, judge = (game.player(name, config.network(Classifier)) for name in ("C", "judge"))
    alone = game.player("alone", copy.deepcopy(modules["G"]))

    G, E = synthesis.G, synthesis.E if config.game == "2v2" else None
    f = () if E is None else (E(damaged),)
    made = G(damaged, *f).named("fake")
    play = Play(config.adversarial, damaged, whole, made, f)
    psi = (E or C).method("extract", training=False)
    content = play.content(config.content, psi)
    drawn = en.cross_entropy(C.method("forward", training=False)(made), label)
    objectives(config, play, content, drawn, critics, G)
    learned = en.cross_entropy(C(whole), label) + en.cross_entropy(judge(whole), label)
    if E is not None:
        own_head = en.cross_entropy(E.method("recognize")(*f), label)
        fooling = config.ae * play.fooling(critics.D) + config.be * play.fooling(critics.Dp)
        E.minimizes(drawn + fooling + config.head * own_head)
        learned += own_head

    # What the content energy alone makes of G: told the same, but nobody plays with it. Until the
    # game begins it is the same network as G.
    unplayed = alone(damaged, *(each.stop_gradient() for each in f)).named("by content alone")
    content_alone = Play(config.adversarial, damaged, whole, unplayed).content(config.content, psi)
    alone.minimizes(content_alone)

    learners = nvn.move(C, judge, *([] if E is None else [E]), toward=learned, optimizer=BEFORE)
    first = nvn.move(G, alone, toward=content + content_alone, optimizer="warmup")
    repair = config.repair
    shown = Sketches(repair, damaged, made, unplayed)
    return nvn.Recipe(
        name="sketch_repair",
        game=game,
        schedule=nvn.alternating(critics, (*synthesis, alone)),
        optimizers={
            **dict.fromkeys(("D", "Dp", "alone", *modules), config.in_play()),
            BEFORE: config.early(config.pretraining),
            "warmup": config.early(config.warmup),
        },
        data=lambda: repair.batches(config.batch, seed=1),
        steps=config.steps,
        phases=[
            nvn.Phase(BEFORE, nvn.alternating(learners), config.pretraining),
            nvn.Phase("warmup", nvn.alternating(first), config.warmup),
        ],
        evaluations=[
            nvn.Evaluation(
                "restoration", Restoration(repair, damaged, made, unplayed, judge(damaged))
            )
        ],
        previews=[nvn.Preview("sketches", shown, every=100)],
        application=nvn.Application(
            "repaired",
            Changed(damaged, made, config.size, "L", crisp=True, negative=light_on_dark),
        ),
    )


def objectives(
    config: Config,
    play: Play,
    content: nvn.Energy,
    drawn: nvn.Energy,
    critics: nvn.Team,
    G: nvn.Player,
) -> None:
    """Declare what D, D′ and G minimize, (4)-(6); D′ learns too that damaged is not whole."""
    D, Dp = critics
    D.minimizes(play.real_or_made(D))
    Dp.minimizes(play.wanted_or_not(Dp, also_given=True))
    fooling = config.a * play.fooling(D) + config.b * play.fooling(Dp)
    G.minimizes(content + fooling + config.c * drawn)
