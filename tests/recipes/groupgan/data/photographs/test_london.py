"""The London set: weak smiles between two photographs. On real ones where NVN_LONDON names them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import torch
from nvn_recipes.groupgan.data.pairs import Pairs
from nvn_recipes.groupgan.data.photographs import london, smiles
from nvn_recipes.groupgan.data.photographs.cropping import Cropper
from nvn_recipes.groupgan.data.photographs.london import London
from nvn_recipes.groupgan.data.photographs.reading import decode
from PIL import Image, ImageDraw

from nvn.errors import ConfigError, DataError, NvnWarning
from tests.recipes.groupgan.data.photographs.trees import (
    corrupt,
    drawn_face,
    london_set,
    with_landmarks,
)

pytest.importorskip("skimage")


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("NVN_CACHE", str(folder))
    return folder


def test_pairs_are_weak_smiles_and_calm_faces(tmp_path: Path) -> None:
    pairs = London(london_set(tmp_path), 32, "center", levels=2).read()
    assert pairs.classes == ("neutral", "happiness")
    assert pairs.label.tolist() == [1, 1, 0, 0] * 2
    assert pairs.subject.tolist() == [0] * 4 + [1] * 4
    assert pairs.pictures.shape == (12, 3, 32, 32)
    assert pairs.neutral is not None
    assert torch.equal(pairs.peak[2:4], pairs.neutral[2:4])  # of a calm face
    assert (pairs.peak[:2] != pairs.neutral[:2]).all()


def test_intensities_rise_within_their_range(tmp_path: Path) -> None:
    intensity = London(london_set(tmp_path), 32, "center", weak=(0.2, 0.5)).read().intensity
    assert intensity is not None
    of_sequences = intensity.view(-1, 3)
    assert (of_sequences.diff(dim=1) > 0).all()
    assert 0.2 <= of_sequences.min() < of_sequences.max() <= 0.5
    assert torch.equal(of_sequences[0], of_sequences[1])  # smiles and calm faces of a person
    assert not torch.equal(of_sequences[1], of_sequences[2])  # another person


def rows(pairs: Pairs, role: str, label: int) -> torch.Tensor:
    return pairs.take(pairs.label == label).shown(role).float()  # type: ignore[arg-type]


def test_a_weak_smile_is_between_the_two_photographs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smiles, "DRIFT", (0.0, 0.0, 0.0))
    pairs = London(london_set(tmp_path, people=1), 48, "center", levels=1, weak=(0.5, 0.5)).read()
    mouth = (slice(None), slice(None), slice(27, 40), slice(12, 36))
    neutral, weak, peak = (rows(pairs, role, 1)[mouth] for role in ("neutral", "weak", "peak"))
    whole = (peak - neutral).abs().mean()
    assert 0.1 * whole < (weak - neutral).abs().mean() < 0.9 * whole
    assert (weak - peak).abs().mean() < 0.95 * whole
    calm, still = rows(pairs, "weak", 0), rows(pairs, "neutral", 0)
    assert (calm - still).abs().max() <= 1


def test_the_head_of_the_peak_is_held_as_in_the_neutral_picture(tmp_path: Path) -> None:
    root = london_set(tmp_path, people=1)
    pairs = London(root, 48, "center").read()
    eyes = (slice(None), slice(16, 22), slice(12, 36))
    neutral, peak = (pairs.shown(role)[0].float()[eyes] for role in ("neutral", "peak"))
    box = Cropper("center").choose(decode(root / "smiling_front/001_08.jpg"))[0]
    unaligned = box.cut(decode(root / "smiling_front/001_08.jpg"), 48).float()[eyes]
    assert (peak - neutral).abs().mean() < 0.4 * (unaligned - neutral).abs().mean()


def test_around_the_face_nothing_moves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smiles, "DRIFT", (0.0, 0.0, 0.0))
    pairs = London(london_set(tmp_path, people=1), 48, "center", levels=1, weak=(0.5, 0.5)).read()
    neutral, weak = rows(pairs, "neutral", 1), rows(pairs, "weak", 1)
    assert (weak - neutral)[..., :4].abs().max() <= 1
    assert (weak - neutral)[..., 44:, :].abs().max() <= 1


def test_it_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = London(london_set(tmp_path), 32, "center")
    first = source.read()
    monkeypatch.setattr(smiles, "make", None)
    again = source.read()
    assert torch.equal(first.pictures, again.pictures)
    assert torch.equal(first.weak, again.weak)


def test_the_same_photographs_give_the_same_pictures_whoever_else_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = london_set(tmp_path / "all")
    both = London(root, 32, "center").read()
    monkeypatch.setenv("NVN_CACHE", str(tmp_path / "another"))
    for folder in ("neutral_front", "smiling_front"):
        next((root / folder).glob("001*.jpg")).unlink()
    alone = London(root, 32, "center").read()
    assert torch.equal(alone.shown("weak"), both.take(both.subject == 1).shown("weak"))
    other = London(root, 32, "center", seed=1).read()
    assert not torch.equal(alone.shown("weak"), other.shown("weak"))


def test_changed_photographs_are_not_taken_from_the_cache(tmp_path: Path) -> None:
    source = London(london_set(tmp_path, people=1), 32, "center")
    before = source.read()
    drawn_face(tmp_path / "smiling_front/001_08.jpg", smile=2)
    assert not torch.equal(before.pictures, source.read().pictures)


def test_a_damaged_cache_is_made_again(tmp_path: Path, cache: Path) -> None:
    source = London(london_set(tmp_path, people=1), 32, "center")
    first = source.read()
    (kept,) = cache.rglob("*.npz")
    kept.write_bytes(kept.read_bytes()[:-200])
    with pytest.warns(NvnWarning, match="making it again"):
        again = source.read()
    assert torch.equal(first.pictures, again.pictures)


def test_what_is_left_out_is_named(tmp_path: Path) -> None:
    root = london_set(tmp_path, people=4)
    corrupt(root / "smiling_front/002_08.jpg")
    (root / "smiling_front/003_08.jpg").unlink()
    with pytest.warns(NvnWarning) as told:
        pairs = London(root, 32, "center").read()
    text = str(told[0].message)
    assert "1 unreadable: smiling_front/002_08.jpg" in text
    assert "1 without a partner: neutral_front/003_03.jpg" in text
    assert pairs.subject.unique().tolist() == [0, 1]


def test_whatever_one_person_is_like_the_others_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = london_set(tmp_path, people=3)
    (root / "neutral_front/003_03.jpg").unlink()
    os.mkfifo(root / "neutral_front/003_03.jpg")
    drawn_face(root / "neutral_front/002_04.jpg", smile=0)
    usual = smiles.make

    def fails(neutral: Path, *rest: object) -> smiles.Smile:
        if neutral.stem.startswith("001"):
            raise ValueError("no motion at all")
        return usual(neutral, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(smiles, "make", fails)
    with pytest.warns(NvnWarning) as told:
        pairs = London(root, 32, "center").read()
    assert pairs.subject.unique().tolist() == [0]
    text = str(told[0].message)
    assert "1 of which no smile can be made: neutral_front/001_03.jpg" in text
    assert "1 unreadable: neutral_front/003_03.jpg" in text
    assert "1 of somebody who has another: neutral_front/002_03.jpg" in text


def test_a_face_that_is_not_found_is_counted_from_the_cache_too(tmp_path: Path) -> None:
    root = london_set(tmp_path, people=1)
    for name in ("neutral_front/001_03.jpg", "smiling_front/001_08.jpg"):
        Image.effect_noise((64, 64), 30).convert("RGB").save(root / name)
    for _ in range(2):
        with pytest.warns(NvnWarning, match="1 without a face that is found"):
            London(root, 32, "face").read()


def test_a_sample_is_of_the_first_people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = london_set(tmp_path, people=4)
    corrupt(root / "neutral_front/001_03.jpg")
    made = []
    monkeypatch.setattr(london, "smile_of", lambda n, *a: made.append(n) or smiles.smile_of(n, *a))
    pairs = London(root, 32, "center").sample(7)
    assert len(pairs) == 12
    assert len(made) == 3


def test_a_missing_root_or_another_layout_says_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"(?s)no such folder.*ROOT/neutral_front/001_03.jpg"):
        London(tmp_path / "gone", 32).read()
    (tmp_path / "neutral_front").mkdir()
    with pytest.raises(DataError, match=r"what is there is neutral_front/"):
        London(tmp_path, 32).read()
    (tmp_path / "smiling_front").mkdir()
    with pytest.raises(DataError, match="nothing of it can be used"):
        London(tmp_path, 32).sample(3)


def test_by_landmarks_a_mouth_moves_and_shows_no_teeth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smiles, "DRIFT", (0.0, 0.0, 0.0))
    root = with_landmarks(london_set(tmp_path, people=1))
    smiling = Image.open(root / "smiling_front/001_08.jpg")
    ImageDraw.Draw(smiling).rectangle((66, 100, 90, 106), fill=(255, 255, 255))
    smiling.save(root / "smiling_front/001_08.jpg")
    mouth = (slice(None), slice(None), slice(27, 40), slice(12, 36))

    def brightest(by: smiles.Making) -> tuple[float, float]:
        pairs = London(root, 48, "center", levels=1, weak=(0.5, 0.5), by=by).read()
        neutral, weak = (rows(pairs, role, 1)[mouth] for role in ("neutral", "weak"))
        lips = neutral[:, 1] < 100  # where there are lips in the neutral picture
        return weak[:, 1][lips].max().item(), (weak - neutral).abs().max().item()

    bent, moved = brightest("landmarks")
    blended, _ = brightest("motion")
    assert moved > 20
    assert bent < blended


def test_landmarks_that_change_are_seen_and_those_that_are_missing_are_named(
    tmp_path: Path,
) -> None:
    root = with_landmarks(london_set(tmp_path, people=3))
    source = London(root, 32, "center", by="landmarks")
    before = source.read()
    file = root / "neutral_front/001_03.tem"
    file.write_text("\n".join(["4", *file.read_text().splitlines()[1:5]]))
    assert not torch.equal(before.pictures, source.read().pictures)
    (root / "neutral_front/002_03.tem").unlink()
    (root / "neutral_front/003_03.tem").write_text("three\n")
    with pytest.warns(NvnWarning, match=r"2 unreadable: neutral_front/002_03\.tem"):
        assert len(source.read()) == len(before) // 3


def test_intensities_that_cannot_be_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no weak smiles"):
        London(tmp_path, 32, weak=(0.5, 0.2))


# --- the photographs themselves ---

REAL = Path(os.environ.get("NVN_LONDON", "no folder is named"))
needs_them = pytest.mark.skipif(not REAL.is_dir(), reason="NVN_LONDON is not set to the London set")


@needs_them
def test_every_face_is_found() -> None:
    finder = Cropper("face")
    shown = sorted(path for path in REAL.rglob("*.jpg"))[::6]
    assert len(shown) > 20
    assert all(finder.choose(decode(path))[1] for path in shown)


@needs_them
def test_real_smiles_are_between(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smiles, "DRIFT", (0.0, 0.0, 0.0))
    for folder in ("neutral_front", "smiling_front"):
        (tmp_path / folder).mkdir()
        for path in sorted((REAL / folder).glob("*.jpg"))[:3]:
            shutil.copy(path, tmp_path / folder)
    pairs = London(tmp_path, 48, "face", levels=1).read()
    assert len(pairs) == 6
    mouth = (..., slice(27, 42), slice(14, 34))
    neutral, weak, peak = (rows(pairs, role, 1)[mouth] for role in ("neutral", "weak", "peak"))
    far, farther = ((one - peak).square().mean((1, 2, 3)) for one in (weak, neutral))
    assert (far < farther).all()
