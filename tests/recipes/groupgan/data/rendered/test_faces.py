"""The data set: pairs, splits, the same faces every time, and a cache that never breaks a run."""

import dataclasses
import multiprocessing
import os
from unittest.mock import MagicMock

import pytest
import torch
from nvn_recipes.groupgan.data.pairs import Pairs, to_float
from nvn_recipes.groupgan.data.rendered import faces as module
from nvn_recipes.groupgan.data.rendered.faces import FacesSpec, render_faces
from nvn_recipes.groupgan.data.rendered.rig import EXPRESSIONS
from nvn_recipes.groupgan.data.rendered.scenes import Nuisance
from nvn_recipes.groupgan.data.store import default_cache

from nvn.errors import NvnWarning

TINY = FacesSpec(subjects=1, size=16, levels=1)
STILL = Nuisance(drift=0.0)


def same(one: Pairs, two: Pairs) -> bool:
    parts = ("pictures", "neutral", "weak", "peak", "label", "subject", "intensity")
    return all(torch.equal(getattr(one, part), getattr(two, part)) for part in parts)


class Faces:
    """N weak frames, each with the neutral frame, the peak and the number of its sequence."""

    def __init__(self, pairs: Pairs) -> None:
        self.neutral, self.weak, self.peak = map(pairs.shown, ("neutral", "weak", "peak"))
        self.label, self.subject, self.classes = pairs.label, pairs.subject, pairs.classes
        self.sequence, self.intensity = pairs.neutral, pairs.intensity

    def __len__(self) -> int:
        return len(self.weak)


@pytest.fixture(scope="module")
def spec():
    return FacesSpec(subjects=5, size=32, levels=2, nuisance=STILL)


@pytest.fixture(scope="module")
def pairs(spec):
    return render_faces(spec)


@pytest.fixture(scope="module")
def faces(pairs):
    return Faces(pairs)


def test_shapes_and_types(faces):
    assert len(faces) == 5 * 6 * 2
    for pictures in (faces.neutral, faces.weak, faces.peak):
        assert pictures.shape == (60, 3, 32, 32)
        assert pictures.dtype == torch.uint8
    for numbers in (faces.label, faces.subject, faces.sequence, faces.intensity):
        assert numbers.shape == (60,)
    assert faces.classes == EXPRESSIONS
    assert faces.label.bincount().tolist() == [10] * 6
    assert faces.subject.bincount().tolist() == [12] * 5


def test_rendering_again_gives_the_same_faces(spec, pairs):
    assert same(render_faces(spec), pairs)


def test_a_person_is_the_same_in_a_larger_set(faces, spec):
    fewer = Faces(render_faces(dataclasses.replace(spec, subjects=2)))
    difference = (fewer.weak.int() - faces.weak[: len(fewer)].int()).abs()
    assert int(difference.max()) <= 2  # vector and scalar code round exp and pow differently
    assert float(difference.float().mean()) < 0.01


def test_another_seed_gives_other_people(spec, faces):
    other = Faces(render_faces(dataclasses.replace(spec, subjects=1, seed=1)))
    assert not torch.equal(other.neutral, faces.neutral[: len(other)])


def test_neutral_and_peak_share_the_background_of_their_weak_frame(faces):
    """The columns at the edge of a row are background in most pictures, and must not move."""
    edge = (slice(None), slice(None), slice(20, 26), slice(0, 1))
    for pictures in (faces.neutral, faces.peak):
        equal = (pictures[edge] == faces.weak[edge]).all(1).float().mean()
        assert equal > 0.6


def test_light_is_shared_within_a_sequence_and_not_between(faces):
    """Mean colors of a person differ far less within a sequence than between sequences."""
    neutral = faces.neutral.float().mean((2, 3)).view(5, 6, 2, 3)[:, :, 0]
    peak = faces.peak.float().mean((2, 3)).view(5, 6, 2, 3)[:, :, 0]
    within = (neutral - peak).abs().mean()
    between = (neutral - neutral.roll(1, 1)).abs().mean()
    assert within < 0.4 * between


def test_samples_of_a_sequence_share_neutral_and_peak(faces):
    first, second = faces.neutral[0::2], faces.neutral[1::2]
    assert torch.equal(first, second)
    assert torch.equal(faces.peak[0::2], faces.peak[1::2])
    assert torch.equal(faces.sequence[0::2], faces.sequence[1::2])


def test_intensity_is_in_the_range_asked_for_and_ascends(faces):
    assert float(faces.intensity.min()) >= 0.10
    assert float(faces.intensity.max()) <= 0.40
    assert (faces.intensity[1::2] > faces.intensity[0::2]).all()
    assert len(faces.intensity.unique()) == len(faces)


def test_the_stronger_the_further_from_neutral(faces):
    neutral = to_float(faces.neutral)
    weak, peak = (
        (to_float(pictures) - neutral).square().mean((1, 2, 3)).sqrt()
        for pictures in (faces.weak, faces.peak)
    )
    assert weak[0::2].mean() < weak[1::2].mean() < peak.mean()
    assert (weak < peak).float().mean() > 0.95


def test_a_weak_frame_is_not_a_blend_of_neutral_and_peak(faces):
    share = faces.intensity[:, None, None, None]
    blend = torch.lerp(faces.neutral.float(), faces.peak.float(), share)
    moved = (faces.weak.float() - faces.neutral.float()).square().mean().sqrt()
    missed = (faces.weak.float() - blend).square().mean().sqrt()
    assert missed > 0.4 * moved


@pytest.mark.parametrize(
    "wrong", [{"subjects": 0}, {"size": 8}, {"weak": (0.5, 0.2)}, {"levels": 0}]
)
def test_a_spec_that_makes_no_sense_is_an_error(wrong):
    with pytest.raises(ValueError, match=r"faces|pixels"):
        FacesSpec(**wrong)


def test_every_field_is_part_of_the_key():
    changed = [
        TINY, FacesSpec(2, 16, 1), FacesSpec(1, 17, 1), FacesSpec(1, 16, 2),
        dataclasses.replace(TINY, weak=(0.2, 0.3)), dataclasses.replace(TINY, seed=1),
    ]  # fmt: skip
    changed += [
        dataclasses.replace(TINY, nuisance=dataclasses.replace(Nuisance(), **{f.name: 0.5}))
        for f in dataclasses.fields(Nuisance)
    ]
    assert len({spec.key() for spec in changed}) == len(changed)


def test_progress_ends_at_the_total(monkeypatch):
    bar, opened = MagicMock(), MagicMock()
    opened.return_value.__enter__.return_value = bar
    monkeypatch.setattr("nvn.progress", opened)
    render_faces(TINY)
    assert opened.call_args.args == ("rendering faces", 18)
    assert sum(call.args[0] for call in bar.advance.call_args_list) == 18


def refuse(*_):
    raise AssertionError("rendered although it was in the cache")


def test_the_second_time_comes_from_the_cache(tmp_path, monkeypatch):
    first = render_faces(TINY, tmp_path)
    monkeypatch.setattr(module, "_render", refuse)
    assert same(render_faces(TINY, tmp_path), first)
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("damage", ["torn", "empty", "flipped", "foreign"])
def test_a_damaged_file_is_noticed_and_rendered_again(tmp_path, damage):
    first = render_faces(TINY, tmp_path)
    (file,) = tmp_path.iterdir()
    data = bytearray(file.read_bytes())
    if damage == "flipped":
        data[len(data) // 2] ^= 0xFF
    elif damage == "foreign":
        other = tmp_path / "other"
        render_faces(dataclasses.replace(TINY, size=17), other)
        data = bytearray(next(other.iterdir()).read_bytes())
    file.write_bytes({"torn": data[: len(data) // 2], "empty": b""}.get(damage, bytes(data)))
    with pytest.warns(NvnWarning, match="again"):
        assert same(render_faces(TINY, tmp_path), first)
    assert same(render_faces(TINY, tmp_path), first)


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.warns(NvnWarning, match="without a cache"):
        first = render_faces(TINY, blocked / "faces")
    assert same(first, render_faces(TINY))


def test_a_full_disk_leaves_nothing_behind(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.warns(NvnWarning, match="No space left"):
        render_faces(TINY, tmp_path)
    assert list(tmp_path.iterdir()) == []


def render_into(folder, queue):
    torch.set_num_threads(1)
    queue.put(render_faces(TINY, folder).pictures.long().sum().item())


def test_two_processes_may_render_into_one_cache(tmp_path):
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    runs = [context.Process(target=render_into, args=(tmp_path, queue)) for _ in range(2)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
        assert run.exitcode == 0
    sums = [queue.get() for _ in runs]
    assert sums[0] == sums[1] == render_faces(TINY, tmp_path).pictures.long().sum().item()
    assert [file.suffix for file in tmp_path.iterdir()] == [".npz"]


def test_the_default_cache_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("NVN_CACHE", str(tmp_path))
    assert default_cache() == tmp_path / "faces"
    monkeypatch.delenv("NVN_CACHE")
    assert default_cache().parts[-3:] == (".cache", "nvn", "faces")
