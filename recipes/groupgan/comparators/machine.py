"""The linear support vector machine as a player: what it is, and what it minimizes.

It is the one that scikit-learn's LinearSVC solves by default, a machine for each class against all
others: Fan, Chang, Hsieh, Wang and Lin (2008), "LIBLINEAR: a library for large linear
classification", JMLR 9. With the rows w_k of W for K classes, the constant 1 among the features,
and y_k = 1 for the class of x and −1 for all others, it minimizes over N samples

    Σ_k ½ ‖w_k‖² + C Σ_x Σ_k max(0, 1 − y_k w_kᵀx)²;

divided by C·N, that is the mean of the squared hinges plus 1/(C·N) times half the squared norm.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Machine(nn.Linear):
    """A zero-initialized linear machine: at W = 0 all classes have the same score."""

    def reset_parameters(self) -> None:
        """Set all weights to zero."""
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)

    def half_squared_norm(self) -> Tensor:
        """Return ½ Σ_k ‖w_k‖², a scalar; the bias is the weight of the feature that is always 1."""
        return 0.5 * (self.weight.square().sum() + self.bias.square().sum())


def squared_hinge(scores: Tensor, label: Tensor) -> Tensor:
    """Return the mean over samples of Σ_k max(0, 1 − y_k s_k)², a scalar.

    Args:
        scores: s, (N, K).
        label: (N,) integers from 0 to K − 1: y_k is 1 for the label, −1 for the others.
    """
    sides = 2 * F.one_hot(label, scores.shape[1]).to(scores.dtype) - 1
    return (1 - sides * scores).clamp(min=0).square().sum(dim=1).mean()


def itself(x: Tensor) -> Tensor:
    """Return a scalar as it is."""
    return x


def mean(x: Tensor) -> Tensor:
    """Return the mean of a column (N,), a scalar."""
    return torch.mean(x)
