"""CNN: a backbone that recognizes weak expressions as they are; no game, the baseline.

Niu, Zhang, Li, Luo (2022), "Four-player GroupGAN for weak expression recognition via latent
expression magnification", Knowledge-Based Systems 251, section 4.3, first column of Table 1.
"""

from __future__ import annotations

from pydantic import Field

import nvn
from nvn import energies as en

from .groupgan.evaluation.confusion import Confusion
from .groupgan.evaluation.differences import Differences
from .groupgan.evaluation.recognition import Recognition
from .groupgan.networks import Classifier
from .groupgan.settings import ExpressionConfig, Training


class Learning(Training):
    """Settings of how C learns."""

    learns_peaks: bool = Field(
        False, description="train C on real peaks too, as in the games: a fairer baseline"
    )


class Config(ExpressionConfig):
    """Settings of the baseline."""

    training: Learning = Learning()

    @property
    def pairs_needed(self) -> bool:
        """Whether peaks are looked at."""
        return self.training.learns_peaks


def recipe(config: Config) -> nvn.Recipe:
    """Declare that C learns weak faces by cross-entropy, (11)."""
    game = nvn.Game("cnn")
    weak, label = game.batch("weak", "label")
    C = game.player("C", config.network(Classifier))
    C.minimizes(en.cross_entropy(C(weak), label))
    if config.training.learns_peaks:
        C.minimizes(en.cross_entropy(C(game.batch("peak")), label))
    pairs, training = config.pairs, config.training
    return nvn.Recipe(
        name="expression_cnn",
        game=game,
        schedule=nvn.alternating(C),
        optimizers=training.early(training.steps),
        data=pairs.batches(training.batch, seed=1),
        steps=training.steps,
        evaluations=[nvn.Evaluation("recognition", Recognition(pairs, weak, C(weak)))],
        previews=[
            nvn.Preview("confusion", Confusion(pairs, weak, C(weak))),
            nvn.Preview("differences", Differences(pairs, weak, {"C": C.method("extract")(weak)})),
        ],
    )
