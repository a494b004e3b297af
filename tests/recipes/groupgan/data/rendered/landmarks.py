"""Where on the rig a face is measured."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from nvn_recipes.groupgan.data.rendered.rig import SKIN, Rig
from torch import Tensor


@dataclass(frozen=True)
class Landmarks:
    """Vertices that measure a face: indices, or pairs (left, right) of indices."""

    mouth_corners: tuple[int, int]
    upper_lip: int
    lower_lip: int
    inner_brows: tuple[int, int]
    outer_brows: tuple[int, int]
    upper_lids: tuple[int, int]
    chin: int


def find_landmarks(rig: Rig) -> Landmarks:
    """Landmarks by where they lie and by which unit moves them most."""
    x, y, z = rig.base.unbind(1)

    def most(score: Tensor, among: Tensor) -> int:
        return int(torch.where(among, score, -torch.inf).argmax())

    def moved(name: str, side: int) -> int:
        size = rig.units[:, rig.unit_names.index(name)].view(-1, 3).norm(dim=1)
        return most(size, (rig.part == SKIN) & (side * x > 0.02))

    lip = rig.lip > 0.5
    middle = lip & (x.abs() < 0.03)
    center = float(y[middle].mean())
    return Landmarks(
        mouth_corners=(most(x, lip), most(-x, lip)),
        upper_lip=most(z, middle & (y > center)),
        lower_lip=most(z, middle & (y < center)),
        inner_brows=(moved("browInnerUp", 1), moved("browInnerUp", -1)),
        outer_brows=(moved("browOuterUpLeft", 1), moved("browOuterUpRight", -1)),
        upper_lids=(moved("eyeBlinkLeft", 1), moved("eyeBlinkRight", -1)),
        chin=most(z - 2 * y, (x.abs() < 0.03) & (z > 0.9) & (y < center - 0.25)),
    )
