"""Variation: pairs stay pairs, nothing varies at strength 0, and all varies above it."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
import torch
from nvn_recipes.groupgan.data.pairs import Augmented
from nvn_recipes.groupgan.data.varying import Variation
from torch import Tensor


def drawn(count: int, strength: float, seed: int = 0) -> Variation:
    return Variation.drawn(count, strength, torch.Generator().manual_seed(seed))


def pictures(count: int = 4, side: int = 16) -> Tensor:
    return 0.8 * (
        2 * torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(1)) - 1
    )


def test_nothing_varies_at_strength_0() -> None:
    shown = pictures()
    torch.testing.assert_close(drawn(4, 0.0)(shown), shown, atol=1e-4, rtol=0)


@pytest.mark.parametrize("strength", [0.5, 3.0])
def test_varied_pictures_are_pictures(strength: float) -> None:
    seen = drawn(4, strength)(pictures())
    assert seen.shape == (4, 3, 16, 16)
    assert seen.isfinite().all()
    assert -1 <= seen.min() < seen.max() <= 1


def test_each_trait_changes_a_picture_by_itself() -> None:
    shown, still = pictures(), drawn(4, 0.0)
    varied = drawn(4, 1.0)
    for trait in fields(Variation):
        if trait.name == "seed":  # of the noise, which does not vary without its strength
            continue
        only = replace(still, **{trait.name: getattr(varied, trait.name)})
        assert (only(shown) - still(shown)).abs().amax((1, 2, 3)).min() > 1e-3, trait.name


def test_each_picture_varies_in_its_own_way_and_the_same_way_again() -> None:
    same = pictures(1).expand(4, -1, -1, -1)
    seen = drawn(4, 1.0)(same)
    assert all((seen[i] - seen[0]).abs().max() > 0.05 for i in (1, 2, 3))
    assert torch.equal(seen, drawn(4, 1.0)(same))
    assert not torch.equal(seen, drawn(4, 1.0, seed=1)(same))


def test_pairs_vary_as_one() -> None:
    shown = ((pictures() + 1) * 127.5).to(torch.uint8)
    which = torch.arange(4)
    batch = {"weak": which, "peak": which, "label": which}
    seen = Augmented(shown, 16, 1.0)(torch.Generator().manual_seed(0), batch)
    assert torch.equal(seen["weak"], seen["peak"])
    plain = Augmented(shown, 16)(torch.Generator().manual_seed(0), batch)
    assert not torch.equal(seen["weak"], plain["weak"])
