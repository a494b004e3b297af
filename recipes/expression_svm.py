"""SVM: hand-crafted features and a linear support vector machine; what was done before networks.

The first rows of Table 3 of Niu, Zhang, Li, Luo (2022), "Four-player GroupGAN for weak expression
recognition via latent expression magnification", Knowledge-Based Systems 251.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.optim.lr_scheduler import CosineAnnealingLR

import nvn

from .groupgan.comparators.eoh import eoh
from .groupgan.comparators.lbp import lbp
from .groupgan.comparators.lpq import lpq
from .groupgan.comparators.machine import Machine, itself, mean, squared_hinge
from .groupgan.comparators.svm import Described, Reference
from .groupgan.fitting import Rate, Steps
from .groupgan.settings import Batches, PairsConfig

KINDS: Mapping[str, Callable[..., Tensor]] = {"lbp": lbp, "lpq": lpq, "eoh": eoh}


class Features(nvn.Config):
    """Settings of the features."""

    kind: Literal["lbp", "lpq", "eoh"] = Field(
        "lbp",
        description="local binary patterns, local phase quantization, edge orientation histograms",
    )
    cells: int = Field(
        6, ge=1, le=10, description="cells a side of the grid that histograms are made over"
    )


class Learning(Batches):
    """Settings of how the declared machine learns."""

    batch: int = Field(120, ge=2, le=100_000, description="pictures in a batch")
    steps: Steps = Field(1200, description="steps of phase main")
    lr: Rate = Field(3e-3, description="learning rate; it falls to zero")


class Config(PairsConfig):
    """Settings of the data, of the features and of the machine."""

    pairs_needed: ClassVar[bool] = False

    features: Features = Features()
    training: Learning = Learning()

    @classmethod
    def old_names(cls) -> Mapping[str, str]:
        """Return the old names of settings: `features` was the kind of features."""
        return {**super().old_names(), "features": "features.kind"}


def recipe(config: Config) -> nvn.Recipe:
    """Declare the machine that LIBLINEAR solves: see groupgan/comparators/machine.py."""
    wanted, training = config.features, config.training
    described = Described(config.pairs, partial(KINDS[wanted.kind], cells=wanted.cells))
    reference = Reference(described)

    game = nvn.Game("svm")
    features, label, hold = game.batch("features", "label", "hold")
    W = game.player("W", Machine(described.width, len(config.source.classes)))
    scores = W(features)
    norm = nvn.energy(itself, name="norm")(W.method("half_squared_norm")())
    hinge = nvn.energy(squared_hinge, name="squared_hinge")
    W.minimizes(hinge(scores, label) + nvn.value(mean)(hold) * norm)

    falling = partial(CosineAnnealingLR, T_max=training.steps)
    return nvn.Recipe(
        name="expression_svm",
        game=game,
        schedule=nvn.alternating(W),
        optimizers=nvn.Optimizer(partial(torch.optim.Adam, lr=training.lr), schedule=falling),
        data=reference.batches(training.batch, seed=1),
        steps=training.steps,
        evaluations=[
            nvn.Evaluation("recognition", Machines(described, reference, features, scores))
        ],
    )


@dataclass(frozen=True)
class Machines:
    """Accuracies (%) of scikit-learn's machine and of the declared one, on people never seen.

    Attributes:
        described: The features.
        reference: scikit-learn's machine.
        features: The game's features.
        scores: What the declared machine makes of them.
    """

    described: Described
    reference: Reference
    features: nvn.Value
    scores: nvn.Value

    def __call__(self, engine: nvn.Engine) -> Mapping[str, float]:
        """Measure."""
        test = self.described.test
        seen = self.reference.scaled(test)
        (scores,) = engine.values({str(self.features): seen}, [self.scores])
        found = {
            "accuracy (%)": self.reference.recognized(),
            "accuracy of the declared machine (%)": scores.argmax(dim=1).cpu(),
        }
        right = {name: (said == test.label).double().mean() for name, said in found.items()}
        return {
            **{name: 100 * share.item() for name, share in right.items()},
            "C": self.reference.C,
        }
