"""The unwrapped head: azimuth along the skin, and height.

s = RADIUS·azimuth is 0 on the nose and positive to the person's left; near the front it is about
the length along the skin in decimeters.
"""

import torch
from torch import Tensor

RADIUS, AXIS = 0.85, 0.55  # decimeters: the unwrapping cylinder's radius and the depth of its axis


def unwrap(points: Tensor) -> Tensor:
    """Place s along the unwrapped head (V,) of points (V, 3)."""
    return torch.atan2(points[:, 0], points[:, 2] - AXIS) * RADIUS
