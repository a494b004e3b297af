"""GroupGAN 2 v 2: magnify weak facial expressions so that they can be recognised.

Niu, Zhang, Li, Luo (2022), "Four-player GroupGAN for weak expression recognition via latent
expression magnification", Knowledge-Based Systems 251, section 3.2: a generator G and a feature
extractor E play together against two critics, D (real or made?) and D′ (a peak or not?). A
classifier C says whether the expression that was made is the right one.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import ClassVar, Literal

import torch
from PIL import Image
from pydantic import Field
from torch.optim.lr_scheduler import OneCycleLR

import nvn
from nvn import energies as en

from .groupgan import evaluation as ev
from .groupgan.faces import FacesSpec, to_float
from .groupgan.networks import Classifier, Critic, Extractor, Generator, initialise_as_published
from .groupgan.pairs import FacePairs

FAMILIES = {
    "minimax": en.Minimax(),
    "non_saturating": en.NonSaturating(),
    "hinge": en.Hinge(),
    "least_squares": en.LeastSquares(),
}
CLASSES = 6


class Config(nvn.Config):
    """Settings of the game; the defaults are what trains well in minutes."""

    # data
    subjects: int = Field(200, ge=10, description="people rendered")
    size: int = Field(48, ge=16, multiple_of=16, description="side of a picture, in pixels")
    levels: int = Field(3, ge=1, description="weak pictures of each person and expression")
    folds: int = Field(5, ge=2, description="parts the people are split into, one for testing")
    fold: int = Field(0, ge=0, description="the part to test on")
    batch: int = Field(24, ge=2, description="pairs in a batch")
    # networks
    width: int = Field(16, ge=1, description="channels of G's first layer; C, D, E scale with it")
    features: int = Field(128, ge=1, description="features that E extracts")
    residual: bool = Field(True, description="G makes the difference to its input, with skips")
    # energies
    adversarial: Literal["minimax", "non_saturating", "hinge", "least_squares"] = Field(
        "non_saturating", description="the adversarial energies' family"
    )
    a: float = Field(2e-4, ge=0, description="G's weight on fooling D (alpha_G)")
    b: float = Field(2e-4, ge=0, description="G's weight on fooling D' (beta_G)")
    c: float = Field(1e-3, ge=0, description="G's weight on the class that C sees (gamma_G)")
    ae: float = Field(2e-4, ge=0, description="E's weight on fooling D (alpha_E)")
    be: float = Field(2e-4, ge=0, description="E's weight on fooling D' (beta_E)")
    head: float = Field(0.3, ge=0, description="E's weight on the class that its own head sees")
    weak_negatives: bool = Field(False, description="D' also learns that weak faces are no peaks")
    # training
    pretraining: int = Field(800, ge=1, description="steps of the classifiers' phase")
    warmup: int = Field(900, ge=1, description="steps of G's phase on the content alone")
    steps: int = Field(300, ge=1, description="steps of the game")
    lr: float = Field(2e-4, gt=0, description="learning rate in the game")

    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {}


def recipe(config: Config) -> nvn.Recipe:
    """Declare the game, its phases and what is measured."""
    pairs = FacePairs(
        FacesSpec(subjects=config.subjects, size=config.size, levels=config.levels),
        config.fold,
        config.folds,
    )
    stages = [(config.width * k, 1) for k in (1, 2, 4, 8)]
    backbone = (stages, config.features, config.size, CLASSES)

    game = nvn.Game("groupgan-2v2")
    weak, peak, label = game.batch("weak", "peak", "label")
    synthesis = G, E = game.team(
        "synthesis",
        G=Generator(config.width, config.features, residual=config.residual),
        E=Extractor(*backbone),
    )
    critics = D, Dp = game.team(
        "critics",
        D=Critic([config.width * k for k in (1, 2, 3, 3)], config.features, config.size),
        Dp=Critic([config.width * k for k in (1, 2, 3, 3)], config.features, config.size),
    )
    C = game.player("C", Classifier(*backbone))
    peak_judge = game.player("peak_judge", Classifier(*backbone))
    weak_judge = game.player("weak_judge", Classifier(*backbone))

    f = E(weak).named("f")
    fake = G(weak, f).named("fake")
    adv = FAMILIES[config.adversarial]
    content = en.mse(fake, peak)
    expression = en.cross_entropy(C.method("forward", training=False)(fake), label)
    own_head = en.cross_entropy(E.method("recognise")(f), label)

    D.minimizes(0.5 * adv.real(D(peak, f)) + 0.5 * adv.real(D(weak, f)) + adv.fake(D(fake, f)))
    Dp.minimizes(adv.real(Dp(peak, f)) + adv.fake(Dp(fake, f)))
    if config.weak_negatives:
        Dp.minimizes(adv.fake(Dp(weak, f)))
    fool, fool_p = adv.fool(D(fake, f)), adv.fool(Dp(fake, f))
    G.minimizes(content + config.a * fool + config.b * fool_p + config.c * expression)
    E.minimizes(expression + config.ae * fool + config.be * fool_p + config.head * own_head)

    classification = (
        en.cross_entropy(C(peak), label)
        + own_head
        + en.cross_entropy(E.method("recognise")(E(peak)), label)
        + en.cross_entropy(peak_judge(peak), label)
        + en.cross_entropy(weak_judge(weak), label)
    )
    adam = partial(torch.optim.Adam, lr=config.lr, betas=(0.5, 0.99))
    return nvn.Recipe(
        name="expression_2v2",
        game=game,
        schedule=nvn.alternating(critics, synthesis),
        optimizers={
            **dict.fromkeys(("G", "E", "D", "Dp", "C"), adam),
            "pretraining": once(3e-3, config.pretraining),
            "warmup": once(3e-3, config.warmup),
        },
        data=pairs.batches(config.batch, seed=1),
        steps=config.steps,
        phases=[
            nvn.Phase(
                "pretraining",
                nvn.alternating(
                    nvn.move(
                        C, E, peak_judge, weak_judge, toward=classification, optimizer="pretraining"
                    )
                ),
                config.pretraining,
            ),
            nvn.Phase(
                "warmup",
                nvn.alternating(nvn.move(G, toward=content, optimizer="warmup")),
                config.warmup,
            ),
        ],
        evaluations=[nvn.Evaluation("recognition", partial(recognition, pairs=pairs, fake=fake))],
        previews=[nvn.Preview("faces", partial(picture, pairs=pairs, fake=fake), every=100)],
    )


def once(lr: float, steps: int) -> nvn.Optimizer:
    """Return Adam with a learning rate that rises to `lr` and falls to nothing, once."""
    return nvn.Optimizer(
        partial(torch.optim.Adam, lr=lr, betas=(0.9, 0.99)),
        schedule=partial(OneCycleLR, max_lr=lr, total_steps=steps + 1, pct_start=0.2),
    )


def recognition(engine: nvn.Engine, pairs: FacePairs, fake: nvn.Value) -> dict[str, float]:
    """Measure accuracies and likeness on people never seen in training."""
    test = pairs.test
    weak, peak = to_float(test.weak), to_float(test.peak)

    def magnify(pictures: torch.Tensor) -> torch.Tensor:
        return engine.values({"weak": pictures}, [fake])[0]

    def seen_by(name: str, pictures: torch.Tensor) -> float:
        batch = fake.game.batch("weak")
        player = fake.game.players[name]
        logits = player(batch) if name != "E" else player.method("recognise")(player(batch))
        found = ev.in_parts(lambda x: engine.values({"weak": x}, [logits])[0], pictures)
        return 100 * ev.accuracy(found, test.label)

    made, stretched = ev.in_parts(magnify, weak), ev.extrapolated(test)
    return {
        "peak_judge_on_weak": seen_by("peak_judge", weak),
        "peak_judge_on_magnified": seen_by("peak_judge", made),
        "peak_judge_on_extrapolated": seen_by("peak_judge", stretched),
        "peak_judge_on_peak": seen_by("peak_judge", peak),
        "weak_judge_on_weak": seen_by("weak_judge", weak),
        "E_head_on_weak": seen_by("E", weak),
        "C_on_magnified": seen_by("C", made),
        "psnr_weak": ev.psnr(weak, peak),
        "psnr_magnified": ev.psnr(made, peak),
        "psnr_extrapolated": ev.psnr(stretched, peak),
    }


def picture(engine: nvn.Engine, pairs: FacePairs, fake: nvn.Value, rows: int = 5) -> Image.Image:
    """Show weak, magnified and real peak of each expression, for people never seen in training."""
    test = pairs.test
    middle = torch.arange(len(test)) % pairs.spec.levels == pairs.spec.levels // 2
    groups = []
    for number in range(CLASSES):
        chosen = ((test.label == number) & middle).nonzero().flatten()[:rows]
        weak, peak = to_float(test.weak[chosen]), to_float(test.peak[chosen])
        made = engine.values({"weak": weak}, [fake])[0].float().cpu()
        groups.append([weak, made, peak])
    return ev.blocks(groups)
