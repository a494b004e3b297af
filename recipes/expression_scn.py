"""SCN, the Self-Cure Network: learns less from pictures that it is unsure of, and corrects labels.

Wang, Peng, Yang, Lu and Qiao (2020), "Suppressing uncertainties for large-scale facial expression
recognition", CVPR, arXiv 2002.10392. A row of Table 3 of Niu et al. (2022), "Four-player GroupGAN".

What differs: the article overwrites the labels of its data set; here a doubted label is replaced
in each batch anew, and counts again as soon as the network is no longer sure of another class. The
article begins with that in its tenth epoch, here it is a share of the steps. The last layer has a
bias.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

import nvn
from nvn import energies as en

from .groupgan.comparators.selfcure import From, Ranks, Relabeling, SelfCuring, Until, weighted
from .groupgan.evaluation.confusion import Confusion
from .groupgan.evaluation.recognition import Recognition
from .groupgan.fitting import Share
from .groupgan.settings import ExpressionConfig


class Rules(nvn.Config):
    """Settings of the energies; β, γ and the margins are the article's."""

    share: float = Field(
        0.7, gt=0, lt=1, description="β, the part of a batch that counts as important"
    )
    rank_margin: Share = Field(0.15, description="δ1, by how much the important part is more so")
    rank_weight: Share = Field(
        0.5, description="γ, the weight of the ranks; 1 − γ is the expression's"
    )
    relabel_margin: Share = Field(
        0.2, description="δ2, by how much another class is to be likelier than the label"
    )
    relabel_after: Share = Field(
        0.5, description="the share of the steps after which doubted labels are replaced"
    )


class Config(ExpressionConfig):
    """Settings of the network."""

    pairs_needed: ClassVar[bool] = False

    game: Rules = Rules()


def recipe(config: Config) -> nvn.Recipe:
    """Declare γ L_RR + (1 − γ) L_WCE, with the labels as given first, later with corrected ones."""
    rules, training, pairs = config.game, config.training, config.pairs
    game = nvn.Game("scn")
    weak, label = game.batch("weak", "label")
    C = game.player("C", config.network(SelfCuring))
    x = C(weak)
    importance = C.method("importance")(x).named("importance")
    answer = nvn.value(weighted)(C.method("recognize")(x), importance).named("answer")
    relabeling = Relabeling(rules.share, rules.relabel_margin)
    told = answer.stop_gradient(), importance.stop_gradient()
    corrected = nvn.value(relabeling)(label, *told).named("corrected")

    ranks = nvn.energy(Ranks(rules.share, rules.rank_margin), name="ranks")(importance)
    begin = round(rules.relabel_after * training.steps)
    first, then = Until(begin), From(begin)
    expression = first * en.cross_entropy(answer, label)
    expression += then * en.cross_entropy(answer, corrected)
    C.minimizes(rules.rank_weight * ranks + (1 - rules.rank_weight) * expression)

    return nvn.Recipe(
        name="expression_scn",
        game=game,
        schedule=nvn.alternating(C),
        optimizers=training.early(training.steps),
        data=pairs.batches(training.batch, seed=1),
        steps=training.steps,
        evaluations=[nvn.Evaluation("recognition", Recognition(pairs, weak, answer))],
        previews=[nvn.Preview("confusion", Confusion(pairs, weak, answer))],
    )
