"""The networks of GroupGAN (Niu et al. 2022, section 3.3), at any width."""

from .backbones import PUBLISHED, SMALLEST, BackboneName, backbone
from .critic import Critic, PatchCritic, critic_widths
from .extractor import Classifier, Extractor
from .generator import FineGenerator, Generator, ResidualBlock
from .initialization import initialize_as_published, laid_out
from .pictures import CHANNELS, moved, standardized
from .trunk import Dimensions, Trunk

__all__ = [
    "CHANNELS",
    "PUBLISHED",
    "SMALLEST",
    "BackboneName",
    "Classifier",
    "Critic",
    "Dimensions",
    "Extractor",
    "FineGenerator",
    "Generator",
    "PatchCritic",
    "ResidualBlock",
    "Trunk",
    "backbone",
    "critic_widths",
    "initialize_as_published",
    "laid_out",
    "moved",
    "standardized",
]
