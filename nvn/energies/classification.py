"""Classification losses."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from nvn.callsite import call_site
from nvn.energies._tensors import precise
from nvn.energies.formula import formula
from nvn.errors import GameError, Problem
from nvn.game import Energy, Value, energy


def cross_entropy(logits: Value, labels: Value, *, label_smoothing: float = 0.0) -> Energy:
    """Return −E Σ_c P(c) log Q(c), in nats, Q the softmax of the logits over C classes.

    Shannon 1948; with ε = `label_smoothing`, P is (1 − ε)·label + ε/C (Szegedy et al. 2016, section
    7, arXiv 1512.00567), and the energy cannot fall to zero. A uniform guess costs log C.

    Args:
        logits: (N, C), or (N, C, …) for one classification per position.
        labels: Classes 0 … C − 1, integers (N,) or (N, …); or probabilities P, of the logits'
            shape. Labels of −100 are ignored.
        label_smoothing: ε, from 0 to 1.

    Raises:
        GameError: `label_smoothing` is not from 0 to 1.

    A uniform guess over four classes, in nats:

    >>> import torch
    >>> round(mean_cross_entropy(torch.zeros(2, 4), torch.tensor([0, 3])).item(), 4)
    1.3863
    >>> from nvn import Game
    >>> logits, label = Game("toy").batch("logits", "label")
    >>> print(cross_entropy(logits, label, label_smoothing=0.1))
    cross_entropy(logits, label, label_smoothing=0.1)
    """
    if not 0.0 <= label_smoothing <= 1.0:
        found = f"cross_entropy(…, label_smoothing={label_smoothing!r})"
        edit = "0.1 is the usual smoothing"
        raise GameError([Problem(str(call_site()), found, "a number from 0 to 1", edit)])
    option = {"label_smoothing": float(label_smoothing)} if label_smoothing else {}
    return energy(mean_cross_entropy, name="cross_entropy")(logits, labels, **option)


@formula(
    "F.cross_entropy(logits, labels)",
    label_smoothing="F.cross_entropy(logits, labels, label_smoothing=label_smoothing)",
)
def mean_cross_entropy(logits: Tensor, labels: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Return the mean cross-entropy of logits (N, C, …) against labels (N, …) or (N, C, …).

    Raises:
        ValueError: the shapes don't fit; both are named.
    """
    soft = labels.is_floating_point()
    wanted = logits.shape if soft else (*logits.shape[:1], *logits.shape[2:])
    if logits.ndim < 2 or labels.shape != wanted:
        found = f"logits {tuple(logits.shape)} and {'soft' if soft else 'integer'} labels"
        expected = "logits (N, C, …) with integers (N, …), or with probabilities (N, C, …)"
        raise ValueError(f"cross_entropy: found {found} {tuple(labels.shape)}; expected {expected}")
    scores = precise(logits)
    truth = labels.to(scores.dtype) if soft else labels.long()
    return F.cross_entropy(scores, truth, label_smoothing=label_smoothing)
