"""The backbones: as many parameters as published, and shapes at every size that we train at."""

from __future__ import annotations

import re
from functools import partial
from typing import get_args

import pytest
import torch
from nvn_recipes.groupgan.networks import (
    PUBLISHED,
    SMALLEST,
    BackboneName,
    Classifier,
    Dimensions,
    Extractor,
    Trunk,
    backbone,
    initialize_as_published,
)
from nvn_recipes.groupgan.networks.resnet import RESNET18, RESNET34, RESNET50, Block, resnet
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

NAMES = list(PUBLISHED)
PLAIN = [name for name in NAMES if not name.startswith("resnet")]
RESNETS = {
    "resnet18": partial(resnet, RESNET18, "basic"),
    "resnet34": partial(resnet, RESNET34, "basic"),
    "resnet50": partial(resnet, RESNET50, "bottleneck"),
}
SLIM = Dimensions(size=32, features=12, share=1 / 16)


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def cells(trunk: Trunk, size: int, channels: int = 3) -> int:
    """The side of the last map."""
    maps = trunk.convolutions(torch.zeros(1, channels, size, size, device="meta"))
    assert maps.shape[2] == maps.shape[3]
    return maps.shape[2]


# --- published counts, with 1000 classes at 224 pixels ---


@pytest.mark.parametrize(
    ("name", "batch_norm", "published"),
    [
        ("alexnet", False, 61_100_840),
        ("vgg11", False, 132_863_336),
        ("vgg13", False, 133_047_848),
        ("vgg16", False, 138_357_544),
        ("vgg19", False, 143_667_240),
        ("vgg11", True, 132_868_840),
        ("vgg13", True, 133_053_736),
        ("vgg16", True, 138_365_992),
        ("vgg19", True, 143_678_248),
    ],
)
def test_plain_backbones_have_the_published_parameters(
    name: BackboneName, batch_norm: bool, published: int
) -> None:
    with torch.device("meta"):
        trunk = backbone(name, Dimensions(224, 4096, batch_norm=batch_norm))
        assert parameters(Classifier(trunk, 1000)) == published


@pytest.mark.parametrize(
    ("name", "published"),
    [("resnet18", 11_689_512), ("resnet34", 21_797_672), ("resnet50", 25_557_032)],
)
def test_resnets_have_the_published_parameters(name: str, published: int) -> None:
    with torch.device("meta"):
        trunk = RESNETS[name](Dimensions(224, 256), projected=False)
        assert parameters(Classifier(trunk, 1000)) == published


@pytest.mark.parametrize("features", [256, 512])
@pytest.mark.parametrize("name", PLAIN)
def test_a_cut_head_has_as_many_fewer_parameters(name: BackboneName, features: int) -> None:
    def dense(width: int) -> int:
        flat = 256 * 6 * 6 if name == "alexnet" else 512 * 7 * 7
        return (flat + 1) * width + (width + 1) * width + (width + 1) * 6

    with torch.device("meta"):
        published, cut = (
            parameters(Classifier(backbone(name, Dimensions(224, width)), 6))
            for width in (4096, features)
        )
    assert published - cut == dense(4096) - dense(features)


@pytest.mark.parametrize("features", [256, 512])
@pytest.mark.parametrize(
    ("name", "maps"), [("resnet18", 512), ("resnet34", 512), ("resnet50", 2048)]
)
def test_a_resnet_gets_one_dense_layer(name: BackboneName, maps: int, features: int) -> None:
    with torch.device("meta"):
        bare = RESNETS[name](Dimensions(224, features), projected=False)
        projected = backbone(name, Dimensions(224, features))
    assert bare.features == maps
    assert parameters(projected) - parameters(bare) == (maps + 1) * features


@pytest.mark.parametrize(
    ("name", "billions"),
    [
        ("alexnet", 0.71),
        ("vgg11", 7.61),
        ("vgg13", 11.31),
        ("vgg16", 15.47),
        ("vgg19", 19.63),
        ("resnet18", 1.81),
        ("resnet34", 3.66),
        ("resnet50", 4.09),
    ],
)
def test_the_published_multiplications(name: str, billions: float) -> None:
    """Strides and pools have no parameters: multiply-adds of a picture of 224 pixels tell them."""
    dimensions = Dimensions(224, 4096, batch_norm=False)
    with torch.device("meta"):
        bare = partial(RESNETS[name], projected=False) if name in RESNETS else PUBLISHED[name]
        classifier = Classifier(bare(dimensions), 1000)
        with FlopCounterMode(display=False) as counter:
            classifier(torch.empty(1, 3, 224, 224))
    assert counter.get_total_flops() / 2e9 == pytest.approx(billions, abs=0.006)


def test_a_block_may_lower_what_it_is_given() -> None:
    torch.manual_seed(0)
    for kind in ("basic", "bottleneck"):
        block = Block(32, 32 if kind == "basic" else 8, kind, stride=1)
        x = torch.rand(4, 32, 6, 6)
        assert (block(x) < x).any()


# --- sizes ---


@pytest.mark.parametrize("size", [32, 48, 64, 128])
@pytest.mark.parametrize("name", NAMES)
def test_backbones_learn_at_every_size(name: BackboneName, size: int) -> None:
    torch.manual_seed(0)
    trunk = backbone(name, Dimensions(size, features=12, share=1 / 16))
    classifier = Classifier(trunk, 6)
    logits = classifier(torch.rand(2, 3, size, size))
    assert logits.shape == (2, 6)
    logits.square().sum().backward()
    for parameter in classifier.parameters():
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all()
    assert any(parameter.grad.any() for parameter in trunk.convolutions[0].parameters())


@pytest.mark.parametrize("name", ["alexnet", "vgg11", "resnet18"])
def test_the_last_map_keeps_its_cells(name: BackboneName) -> None:
    def side(size: int) -> int:
        with torch.device("meta"):
            return cells(backbone(name, Dimensions(size, 8, share=1 / 16)), size)

    least = 1 if name.startswith("vgg") else side(96)
    assert all(side(size) >= least for size in range(SMALLEST, 96, 16))
    assert side(224) == (6 if name == "alexnet" else 7)


@pytest.mark.parametrize("name", ["alexnet", "resnet18"])
def test_from_96_pixels_on_the_layers_are_the_published(name: BackboneName) -> None:
    def layers(size: int) -> list[str]:
        with torch.device("meta"):
            return [str(layer) for layer in backbone(name, Dimensions(size, 8)).convolutions]

    for size in range(96, 257, 16):
        assert layers(size) == layers(224)
    assert layers(48) != layers(224)


@pytest.mark.parametrize("name", ["alexnet", "vgg11", "resnet18"])
def test_every_size_fits_its_dense_layers(name: BackboneName) -> None:
    for size in range(SMALLEST, 257, 16):
        with torch.device("meta"):
            trunk = backbone(name, Dimensions(size, 8, share=1 / 16)).eval()
            assert trunk(torch.rand(1, 3, size, size)).shape == (1, 8)


# --- what they promise ---


def test_every_name_makes_a_backbone() -> None:
    assert {"small", *PUBLISHED} == set(get_args(BackboneName))


@pytest.mark.parametrize("name", get_args(BackboneName))
def test_sketches_have_one_channel(name: BackboneName) -> None:
    trunk = backbone(name, Dimensions(32, 12, channels=1, share=1 / 16), width=4)
    assert trunk.eval()(torch.rand(2, 1, 32, 32)).shape == (2, 12)


@pytest.mark.parametrize("name", get_args(BackboneName))
def test_light_and_contrast_tell_nothing(name: BackboneName) -> None:
    torch.manual_seed(0)
    trunk = backbone(name, SLIM, width=4).double().eval()
    pictures = torch.rand(2, 3, 32, 32, dtype=torch.float64)
    assert torch.allclose(trunk(pictures), trunk(0.5 * pictures - 0.2), rtol=1e-2, atol=1e-3)


def test_a_share_of_the_channels_is_a_multiple_of_eight() -> None:
    wide = Dimensions(48, 8, share=0.3).wide
    assert [wide(published) for published in (64, 192, 512)] == [16, 56, 152]
    assert Dimensions(48, 8, share=1 / 16).wide(64) == 8
    assert [Dimensions(48, 8).wide(c) for c in (64, 192, 384)] == [64, 192, 384]


@pytest.mark.parametrize("name", NAMES)
def test_a_share_slims_every_convolution(name: BackboneName) -> None:
    def widths(share: float) -> list[int]:
        with torch.device("meta"):
            trunk = backbone(name, Dimensions(64, 8, share=share))
        return [m.out_channels for m in trunk.modules() if isinstance(m, nn.Conv2d)]

    assert [4 * width for width in widths(0.25)] == widths(1.0)


@pytest.mark.parametrize("name", PLAIN)
def test_without_batch_norm_the_signal_lasts(name: BackboneName) -> None:
    torch.manual_seed(0)
    trunk = backbone(name, Dimensions(64, 12, share=0.25, batch_norm=False)).eval()
    assert not any(isinstance(module, nn.BatchNorm2d) for module in trunk.modules())
    spread = trunk.convolutions(torch.randn(4, 3, 64, 64)).std().item()
    assert 0.1 < spread < 10


@pytest.mark.parametrize("name", NAMES)
def test_the_published_initialization_reaches_every_layer(name: BackboneName) -> None:
    classifier = Classifier(backbone(name, SLIM), 6).apply(initialize_as_published)
    for module in classifier.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            if module.weight.numel() > 1000:
                assert module.weight.std().item() == pytest.approx(0.01, rel=0.1)
            assert module.bias is None or (module.bias == 1).all()


@pytest.mark.parametrize("name", ["small", "vgg11", "resnet18"])
def test_an_extractor_recognizes_as_a_classifier_does(name: BackboneName) -> None:
    extractor, classifier = (
        kind(backbone(name, SLIM, width=4), 6).eval() for kind in (Extractor, Classifier)
    )
    classifier.load_state_dict(extractor.state_dict())
    pictures = torch.rand(2, 3, 32, 32)
    features = extractor(pictures)
    assert features.shape == (2, 12)
    assert torch.equal(features, classifier.extract(pictures))
    assert torch.equal(extractor.recognize(features), classifier(pictures))


def test_a_plain_head_drops_features_only_while_training() -> None:
    extractor = Extractor(backbone("vgg11", SLIM), 6)
    features = torch.ones(1, 12)
    assert not torch.equal(extractor.recognize(features), extractor.eval().recognize(features))
    assert re.search(r"Dropout\(p=0.5", str(extractor.dropout))
