"""E and C: a backbone, and its last layer.

Letters: N pictures of C channels and H×W pixels; F features of an expression; K classes.
"""

from __future__ import annotations

from torch import Tensor, nn

from .trunk import Trunk


class Extractor(nn.Module):
    """E: the backbone without its last layer, which it keeps for a head of its own."""

    def __init__(self, trunk: Trunk, classes: int) -> None:
        super().__init__()
        self.trunk = trunk
        self.dropout = nn.Dropout(trunk.dropout) if trunk.dropout else nn.Identity()
        self.head = nn.Linear(trunk.features, classes)

    def extract(self, pictures: Tensor) -> Tensor:
        """Return expression features (N, F) of pictures (N, C, H, W)."""
        features: Tensor = self.trunk(pictures)
        return features

    def forward(self, pictures: Tensor) -> Tensor:
        """Return expression features (N, F) of pictures (N, C, H, W)."""
        return self.extract(pictures)

    def recognize(self, features: Tensor) -> Tensor:
        """Return class logits (N, K) of features (N, F)."""
        logits: Tensor = self.head(self.dropout(features))
        return logits


class Classifier(Extractor):
    """C: the backbone, from a picture to classes."""

    def forward(self, pictures: Tensor) -> Tensor:
        """Return class logits (N, K) of pictures (N, C, H, W)."""
        return self.recognize(self.extract(pictures))
