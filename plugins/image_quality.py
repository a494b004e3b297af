"""How good generated pictures are: FID, KID, precision and recall, on features of any network.

    nvn run RECIPE --plugin image_quality:fake=fake,real=real,features=features.pt2

Nothing is downloaded: the network is a player of the game, or a file that `nvn export --to torch`
or torch.export has written. Numbers of different networks must not be compared.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

import nvn

__all__ = ["ImageQuality", "Settings", "plugin", "precision_and_recall", "quality"]

_BLOCK = 2048  # rows of a table of distances at once


class Settings(nvn.Config):
    """Settings of the plugin."""

    fake: str = Field(description="The value that is a batch of generated pictures, by its name.")
    real: str = Field(description="The entry of a batch that has real ones.")
    features: str = Field(description="A player of the game, or a .pt2 file of torch.export.")
    count: int = Field(1000, ge=4, description="How many pictures of either kind to compare.")
    every: int = Field(1000, ge=1, description="Steps between two evaluations.")


def quality(real: Tensor, fake: Tensor, *, nearest: int = 3) -> dict[str, float]:
    """Return FID, KID (times 1000), precision and recall of features.

    FID [1] compares means and covariances, with a bias that grows as pictures get fewer; KID [2]
    has none; precision is the share of generated pictures among the real ones, recall that of real
    ones among the generated [3].

    Args:
        real: Features of real pictures (N, d).
        fake: Features of generated ones (M, d).
        nearest: Which neighbor's distance is a picture's reach, for precision and recall.

    [1] Heusel et al., "GANs Trained by a Two Time-Scale Update Rule", 2017, eq. 6.
    [2] Bińkowski et al., "Demystifying MMD GANs", 2018, with their cubic kernel.
    [3] Kynkäänniemi et al., "Improved Precision and Recall Metric", 2019.

    >>> points = torch.randn(64, 2, generator=torch.Generator().manual_seed(0))
    >>> {name: round(value, 3) for name, value in quality(points, points).items()}["fid"]
    0.0
    """
    fid, kid = _metrics(real.shape[1], min(len(real), len(fake)))
    for metric in (fid, kid):
        metric.update(real, real=True)
        metric.update(fake, real=False)
    precision, recall = precision_and_recall(real, fake, nearest)
    return {
        "fid": float(fid.compute()),
        "kid": 1000 * float(kid.compute()[0]),
        "precision": precision,
        "recall": recall,
    }


def precision_and_recall(real: Tensor, fake: Tensor, nearest: int = 3) -> tuple[float, float]:
    """Return which share of `fake` lies within reach of `real`, and the other way round.

    Args:
        real: Features (N, d).
        fake: Features (M, d).
        nearest: A point reaches as far as its neighbor of this number.
    """
    return _within(fake, real, nearest), _within(real, fake, nearest)


def _within(points: Tensor, others: Tensor, nearest: int) -> float:
    # (A point is its own neighbor of number 0.)
    reach = torch.cat(
        [torch.cdist(part, others).kthvalue(nearest + 1).values for part in _parts(others)]
    )
    inside = [(torch.cdist(part, others) <= reach).any(dim=1) for part in _parts(points)]
    return float(torch.cat(inside).double().mean())


def _parts(points: Tensor) -> Iterator[Tensor]:
    return (points[start : start + _BLOCK] for start in range(0, len(points), _BLOCK))


class _Given(nn.Module):
    """Stands where a metric wants a network: it is given features already."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.num_features = count

    def forward(self, features: Tensor) -> Tensor:
        """Return them."""
        return features


def _metrics(features: int, samples: int) -> tuple[Any, Any]:
    fid = nvn.packages.needed("torchmetrics.image.fid", "measuring the quality of pictures")
    kid = nvn.packages.needed("torchmetrics.image.kid", "measuring the quality of pictures")
    given = _Given(features)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that features are kept
        return (
            fid.FrechetInceptionDistance(feature=given),
            kid.KernelInceptionDistance(
                feature=given, subsets=50, subset_size=max(2, samples // 2)
            ),
        )


@dataclass(frozen=True)
class ImageQuality:
    """An evaluation: `nvn.Evaluation("quality", ImageQuality(…), every=1000)`.

    Attributes:
        fake: The value that is a batch of generated pictures (N, …), or its name.
        real: The entry of a batch that has real ones (N, …).
        features: Returns the features of pictures: a network (N, …) → (N, …).
        data: Where real pictures are read, and what the generated are made from: the recipe's.
        count: How many of either kind to compare.
    """

    fake: nvn.Value | str
    real: str
    features: Callable[[Tensor], Tensor]
    data: nvn.data.Data
    count: int = 1000

    def __call__(self, engine: nvn.Engine) -> dict[str, float]:
        """Measure it."""
        real, fake = zip(*self._pairs(engine), strict=True)
        return quality(torch.cat(real)[: self.count], torch.cat(fake)[: self.count])

    def _pairs(self, engine: nvn.Engine) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield features of real and of generated pictures, batch by batch."""
        batches, seen, draw = nvn.data.batches(self.data), 0, 0
        while seen < self.count:
            batch = next(batches)
            if self.real not in batch:
                known = ", ".join(batch)
                raise nvn.ConfigError(f"a batch has no entry {self.real!r}. Entries: {known}")
            (fake,) = engine.values(batch, [self.fake], draw=draw)
            real = torch.as_tensor(batch[self.real]).to(fake)
            yield self._flat(real), self._flat(fake)
            seen, draw = seen + min(len(real), len(fake)), draw + 1

    def _flat(self, pictures: Tensor) -> Tensor:
        return self.features(pictures).flatten(1).float().cpu()


class _Plugin:
    """The plugin that adds the evaluation."""

    def __init__(self, settings: Settings) -> None:
        nvn.packages.needed("torchmetrics", "measuring the quality of pictures")
        self._settings = settings

    @nvn.plugins.hook
    def evaluations(self, recipe: nvn.Recipe) -> list[nvn.Evaluation]:
        """Add it."""
        s = self._settings
        measured = ImageQuality(s.fake, s.real, self._features(recipe), recipe.data, s.count)
        return [nvn.Evaluation("quality", measured, every=s.every)]

    def _features(self, recipe: nvn.Recipe) -> Callable[[Tensor], Tensor]:
        named = self._settings.features
        if named in recipe.game.players:
            return recipe.game.players[named].module
        if not Path(named).is_file():
            known = ", ".join(recipe.game.players)
            raise nvn.ConfigError(
                f"image_quality: features = {named!r}: there is no such player ({known}), and no "
                "such file"
            )
        loaded: Callable[[Tensor], Tensor] = torch.export.load(named).module()
        return loaded


def plugin(settings: Settings) -> object:
    """Make the plugin."""
    return _Plugin(settings)
