"""Sketch repair: the game of GroupGAN restores drawings that were damaged by slashes.

Niu, Zhang, Li, Luo (2022), "Four-player GroupGAN for weak expression recognition via latent
expression magnification", Knowledge-Based Systems 251, section 4.6. The players are those of the
expressions: D tells real drawings from made ones, D′ whole ones from made and damaged ones; G
repairs, and in 2 v 2 E tells it what the drawing shows. Beside the game a copy of G goes on by the
content energy alone (told the same by E, whom the game moves): it says what the game adds.
"""

from __future__ import annotations

import copy

from torch import nn

import nvn
from nvn import energies as en

from .groupgan.applying import Changed
from .groupgan.data.drawings.pictures import light_on_dark
from .groupgan.evaluation.restoration import Restoration, Sketches
from .groupgan.networks import Classifier, Extractor
from .groupgan.play import Play
from .groupgan.restoring import Rules, SketchConfig, TwoVersusTwo

BEFORE = "pretraining"  # the phase in which classifiers learn


class Config(SketchConfig):
    """Settings of the game."""


def recipe(config: Config) -> nvn.Recipe:
    """Declare the game, what comes before it, and what is measured."""
    rules, training = config.game, config.training
    extracting = isinstance(rules, TwoVersusTwo)
    told = config.networks.features if extracting else 0
    game = nvn.Game(f"sketch-repair-{rules.kind}")
    damaged, whole, label = game.batch("damaged", "whole", "label")
    modules: dict[str, nn.Module] = {"G": config.generator(told)}
    if extracting:
        modules["E"] = config.network(Extractor)
    synthesis = game.team("synthesis", **modules)
    critics = game.team("critics", D=config.critic(told), Dp=config.critic(told))
    C, judge = (game.player(name, config.network(Classifier)) for name in ("C", "judge"))
    alone = game.player("alone", copy.deepcopy(modules["G"]))

    G, E = synthesis.G, synthesis.E if extracting else None
    f = () if E is None else (E(damaged),)
    made = G(damaged, *f).named("fake")
    play = Play(rules.adversarial, damaged, whole, made, f)
    psi = (E or C).method("extract", training=False)
    content = play.content(rules.content, psi)
    drawn = en.cross_entropy(C.method("forward", training=False)(made), label)
    objectives(rules, play, content, drawn, critics, G)
    learned = en.cross_entropy(C(whole), label) + en.cross_entropy(judge(whole), label)
    if isinstance(rules, TwoVersusTwo) and E is not None:
        own_head = en.cross_entropy(E.method("recognize")(*f), label)
        fooling = rules.ae * play.fooling(critics.D) + rules.be * play.fooling(critics.Dp)
        E.minimizes(drawn + fooling + rules.head * own_head)
        learned += own_head

    # What the content energy alone makes of G: told the same, but nobody plays with it. It begins
    # the game as a copy of G.
    unplayed = alone(damaged, *(each.stop_gradient() for each in f)).named("by content alone")
    content_alone = Play(rules.adversarial, damaged, whole, unplayed).content(rules.content, psi)
    alone.minimizes(content_alone)

    learners = nvn.move(C, judge, *([] if E is None else [E]), toward=learned, optimizer=BEFORE)
    first = nvn.move(G, toward=content, optimizer="warmup")
    repair = config.data.repair
    shown = Sketches(repair, damaged, made, unplayed)
    return nvn.Recipe(
        name="sketch_repair",
        game=game,
        schedule=nvn.alternating(critics, (*synthesis, alone)),
        optimizers={
            **dict.fromkeys(("alone", *modules), training.in_play(training.lr)),
            **dict.fromkeys(("D", "Dp"), training.in_play(training.critics_lr)),
            BEFORE: training.early(training.pretraining),
            "warmup": training.early(training.warmup),
        },
        data=lambda: repair.batches(training.batch, seed=1),
        steps=training.steps,
        phases=[
            nvn.Phase(BEFORE, nvn.alternating(learners), training.pretraining),
            nvn.Phase("warmup", nvn.alternating(first), training.warmup, copies={"alone": "G"}),
        ],
        evaluations=[
            nvn.Evaluation(
                "restoration", Restoration(repair, damaged, made, unplayed, judge(damaged))
            )
        ],
        previews=[nvn.Preview("sketches", shown, every=100, early={"warmup": 300})],
        application=nvn.Application(
            "repaired",
            Changed(damaged, made, config.data.size, "L", crisp=True, negative=light_on_dark),
        ),
    )


def objectives(
    rules: Rules,
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
    fooling = rules.a * play.fooling(D) + rules.b * play.fooling(Dp)
    G.minimizes(content + fooling + rules.c * drawn)
