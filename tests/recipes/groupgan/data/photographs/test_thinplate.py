"""The thin plate: what it meets, what it leaves alone, and how templates are read."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from nvn_recipes.groupgan.data.photographs.reading import UnreadableError
from nvn_recipes.groupgan.data.photographs.thinplate import bending, landmarks, plate, spread

DOUBLE = torch.float64


def some_places(count: int = 12) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return 0.2 + 0.6 * torch.rand(count, 2, generator=generator, dtype=DOUBLE)


def on(
    places: torch.Tensor, known: torch.Tensor, values: torch.Tensor, smoothing: float
) -> torch.Tensor:
    weights, plane = plate(known, values, smoothing)
    return bending(places, known) @ weights + plane[0] + places @ plane[1:]


def test_without_smoothing_all_values_are_met() -> None:
    known, values = some_places(), torch.randn(12, 2, dtype=DOUBLE)
    torch.testing.assert_close(on(known, known, values, 0.0), values)


def test_a_plane_stays_flat_however_smooth() -> None:
    known, elsewhere = some_places(), torch.rand(30, 2, dtype=DOUBLE)
    tilted = torch.tensor([[0.3, -0.2], [0.1, 0.5]], dtype=DOUBLE)
    found = on(elsewhere, known, 0.7 + known @ tilted, 0.5)
    torch.testing.assert_close(found, 0.7 + elsewhere @ tilted)


def test_what_bends_is_smoothed() -> None:
    known, values = some_places(), torch.randn(12, 1, dtype=DOUBLE)
    flat = on(known, known, values, 1e6)
    closer = on(known, known, values, 1e-2)
    assert (closer - values).norm() < 0.9 * (flat - values).norm()
    assert (closer - values).norm() > 0


def test_the_motion_is_that_of_the_places_and_ends_at_the_edges() -> None:
    places = torch.tensor([[0.5, 0.45], [0.5, 0.55], [7.0, 7.0]], dtype=DOUBLE)
    motion = torch.tensor([[0.0, 0.04], [0.0, 0.04], [9.0, 9.0]], dtype=DOUBLE)
    found = spread(places, motion, 32)
    assert found.shape == (2, 32, 32)
    assert found[1, 16, 16] == pytest.approx(0.04, rel=0.05)
    assert found[1].max() < 0.041
    assert found[0].abs().max() < 1e-6
    edge = torch.cat([found[:, 0], found[:, -1], found[:, :, 0], found[:, :, -1]], dim=1)
    assert edge.abs().max() < 0.005


def test_places_that_coincide_and_disagree_meet_in_the_middle() -> None:
    places = torch.tensor([[0.5, 0.5], [0.5, 0.5]], dtype=DOUBLE)
    found = spread(places, torch.tensor([[0.03, 0.02], [-0.03, 0.02]], dtype=DOUBLE), 33)
    assert found[0, 16, 16].abs() < 1e-6
    assert found[1, 16, 16] > 0.002


def test_landmarks_are_rows_and_columns(tmp_path: Path) -> None:
    file = tmp_path / "001_03.tem"
    file.write_text("3\n10.5\t20\n30\t40.25\n1 2\n2\n0\n3\n0 1 2\n")
    assert landmarks(file).tolist() == [[20, 10.5], [40.25, 30], [2, 1]]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "many\n1\t2\n",
        "3\n1\t2\n3\t4\n",
        "3\n1\t2\n3\t4\n5\n",
        "3\n1\tnan\n3\t4\n5\t6\n",
        "2\n1\t2\n3\t4\n",
        "-1\n",
        "3\nx\ty\n3\t4\n5\t6\n",
    ],
)
def test_other_files_are_no_templates(tmp_path: Path, text: str) -> None:
    file = tmp_path / "001_03.tem"
    file.write_text(text)
    with pytest.raises(UnreadableError, match=r"001_03\.tem"):
        landmarks(file)


def test_a_template_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match=r"gone\.tem"):
        landmarks(tmp_path / "gone.tem")
