"""The networks of GroupGAN (Niu et al. 2022, section 3.3), at any width.

Letters: N pictures of C=3 channels and H×W pixels, in [-1, 1]; F features of an expression; K
classes. The generator's sides H, W are multiples of 8.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

CHANNELS = 3
FLOW = 2


def small_stages(width: int) -> list[tuple[int, int]]:
    """Return a backbone of four stages that trains in seconds."""
    return [(width * k, 1) for k in (1, 2, 4, 8)]


VGG13 = [(64, 2), (128, 2), (256, 2), (512, 2), (512, 2)]  # Simonyan and Zisserman 2015, B


class Trunk(nn.Module):
    """VGG-like: stages of 3×3 convolutions, each halved by pooling, then F features.

    A picture is first standardised, so that light and contrast tell nothing.
    """

    def __init__(self, stages: Sequence[tuple[int, int]], features: int, size: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = CHANNELS
        for width, convolutions in stages:
            for _ in range(convolutions):
                layers += [nn.Conv2d(channels, width, 3, padding=1, bias=False)]
                layers += [nn.BatchNorm2d(width), nn.ReLU()]
                channels = width
            layers += [nn.MaxPool2d(2)]
        side = size // 2 ** len(stages)
        self.convolutions = nn.Sequential(*layers)
        self.dense = nn.Sequential(
            nn.Flatten(), nn.Dropout(0.3), nn.Linear(channels * side * side, features), nn.ReLU()
        )

    def forward(self, pictures: Tensor) -> Tensor:
        """Return features (N, F) of pictures (N, C, H, W)."""
        features: Tensor = self.dense(self.convolutions(standardised(pictures)))
        return features


class Extractor(nn.Module):
    """E: the backbone without its last layer, which it keeps for a head of its own."""

    def __init__(
        self, stages: Sequence[tuple[int, int]], features: int, size: int, classes: int
    ) -> None:
        super().__init__()
        self.trunk = Trunk(stages, features, size)
        self.head = nn.Linear(features, classes)

    def forward(self, pictures: Tensor) -> Tensor:
        """Return expression features (N, F) of pictures (N, C, H, W)."""
        features: Tensor = self.trunk(pictures)
        return features

    def recognise(self, features: Tensor) -> Tensor:
        """Return class logits (N, K) of features (N, F)."""
        logits: Tensor = self.head(features)
        return logits


class Classifier(Extractor):
    """C: the backbone, from a picture to classes."""

    def forward(self, pictures: Tensor) -> Tensor:
        """Return class logits (N, K) of pictures (N, C, H, W)."""
        return self.recognise(self.trunk(pictures))


class Generator(nn.Module):
    """G: four convolutions (7, 5, 3, 3), each with a residual block; four transposed ones back.

    The first three halve the picture. The features of the expression enter at the bottleneck.

    With `residual=True` the network edits its input instead of painting a picture: it moves pixels
    along a flow, as muscles do, and adds what no moving can bring forth, such as teeth. Its decoder
    then sees the encoder's outputs (skips), and at the start it changes nothing.
    """

    def __init__(self, width: int, features: int, *, residual: bool) -> None:
        super().__init__()
        widths = [width, 2 * width, 4 * width, 8 * width]
        self.residual = residual
        self.encoder = nn.ModuleList(
            nn.Sequential(_convolution(a, b, kernel, stride), ResidualBlock(b))
            for a, b, kernel, stride in zip(
                [CHANNELS, *widths], widths, (7, 5, 3, 3), (2, 2, 2, 1), strict=False
            )
        )
        outs = [4 * width, 2 * width, width, width]
        skipped = [0, 4 * width, 2 * width, width] if residual else [0, 0, 0, 0]
        ins = [8 * width + features, *outs[:3]]
        self.decoder = nn.ModuleList(
            _transposed(a + skip, b, stride)
            for a, skip, b, stride in zip(ins, skipped, outs, (1, 2, 2, 2), strict=True)
        )
        self.last = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, CHANNELS + FLOW if residual else CHANNELS, 3, padding=1),
        )
        if residual:
            for parameter in self.last[-1].parameters():
                nn.init.zeros_(parameter)

    def forward(self, pictures: Tensor, features: Tensor | None = None) -> Tensor:
        """Return pictures (N, C, H, W), made from pictures and features (N, F) of an expression."""
        encoded = [pictures]
        for stage in self.encoder:
            encoded.append(stage(encoded[-1]))
        x = encoded.pop()
        if features is not None:
            x = torch.cat([x, features[:, :, None, None].expand(-1, -1, *x.shape[2:])], dim=1)
        for number, stage in enumerate(self.decoder):
            if self.residual and number > 0:
                x = torch.cat([x, encoded.pop()], dim=1)
            x = stage(x)
        x = self.last(x)
        if not self.residual:
            return torch.tanh(x)
        change, flow = x.split([CHANNELS, FLOW], dim=1)
        edited: Tensor = moved(pictures, flow) + change
        return edited


class ResidualBlock(nn.Module):
    """x + f(x), f two 3×3 convolutions (He et al. 2016)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.change = nn.Sequential(
            _convolution(channels, channels, 3, 1),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return a tensor of the shape of `x` (N, channels, H, W)."""
        return torch.relu(x + self.change(x))


class Critic(nn.Module):
    """D, D′: VGG-like, strided convolutions then dense layers; features are a condition."""

    def __init__(self, widths: Sequence[int], features: int, size: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for a, b in zip([CHANNELS, *widths], widths, strict=False):
            layers += [nn.Conv2d(a, b, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        side = size // 2 ** len(widths)
        self.convolutions = nn.Sequential(*layers, nn.Flatten())
        self.dense = nn.Sequential(
            nn.Linear(widths[-1] * side * side + features, 128),
            nn.LeakyReLU(0.2),
            nn.Linear(128, 1),
        )

    def forward(self, pictures: Tensor, features: Tensor | None = None) -> Tensor:
        """Return logits (N, 1) of pictures (N, C, H, W), given features (N, F): high for real."""
        x = self.convolutions(pictures)
        logits: Tensor = self.dense(x if features is None else torch.cat([x, features], dim=1))
        return logits


def moved(pictures: Tensor, flow: Tensor) -> Tensor:
    """Return pictures (N, C, H, W), each pixel taken from where its flow (N, 2, H, W) points.

    A flow of 1 is half a picture, to the right or down; beyond the edge, the edge goes on.
    """
    height, width = pictures.shape[2:]
    down, right = (
        torch.linspace(-1 + 1 / n, 1 - 1 / n, n, dtype=flow.dtype, device=flow.device)
        for n in (height, width)
    )
    here = torch.stack(torch.meshgrid(right, down, indexing="xy"), dim=-1)
    there = here + flow.permute(0, 2, 3, 1)
    return nn.functional.grid_sample(pictures, there, padding_mode="border", align_corners=False)


def standardised(pictures: Tensor) -> Tensor:
    """Return pictures (N, C, H, W), each with mean 0 and variance 1."""
    return nn.functional.layer_norm(pictures, pictures.shape[1:])


def initialise_as_published(module: nn.Module) -> None:
    """Draw weights from N(0, 0.01²) and set biases to 1 (section 4.2); for `module.apply`."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.normal_(module.weight, std=0.01)
        if module.bias is not None:
            nn.init.ones_(module.bias)


def _convolution(ins: int, outs: int, kernel: int, stride: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(ins, outs, kernel, stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outs),
        nn.ReLU(),
    )


def _transposed(ins: int, outs: int, stride: int) -> nn.Module:
    kernel = 4 if stride == 2 else 3
    return nn.Sequential(
        nn.ConvTranspose2d(ins, outs, kernel, stride, padding=1, bias=False),
        nn.BatchNorm2d(outs),
        nn.ReLU(),
    )
