"""The sets that ship: what they hold, how they are drawn, and that no twins are apart."""

import sys
from collections import Counter

import pytest
import torch
from nvn_recipes.groupgan.data.drawings.vectors import (
    ASSETS,
    FREEHAND,
    OPENMOJI,
    rasterized,
    read_vectors,
    shipped,
    write_vectors,
)

from nvn.errors import ConfigError

SETS = {"freehand": FREEHAND, "openmoji": OPENMOJI}


@pytest.fixture(scope="module", params=SETS)
def drawings(request):
    return shipped(SETS[request.param], 64)


@pytest.mark.parametrize(
    ("path", "license", "drawn", "classes", "groups"),
    [(FREEHAND, "CC-BY-4.0", 1000, 15, 901), (OPENMOJI, "CC-BY-SA-4.0", 581, 21, 548)],
)
def test_what_the_files_hold(path, license, drawn, classes, groups):
    vectors = read_vectors(path)
    assert vectors.license == license
    assert len(vectors) == len(vectors.names) == len(vectors.label) == len(vectors.group) == drawn
    assert len(vectors.classes) == classes
    assert set(vectors.group) == set(range(groups))
    assert path.stat().st_size < 2_000_000
    counts = Counter(vectors.label)
    assert set(counts) == set(range(classes))
    assert min(counts.values()) >= 15
    about = (ASSETS / "README.md").read_text()
    row = next(line for line in about.splitlines() if line.startswith(f"| `{path.name}`"))
    assert f"| {drawn}, " in row
    assert f"| {classes} | {groups} |" in row
    assert license.replace("-", " ", 1)[:5] in row


def test_variants_by_name_are_in_one_group():
    vectors = read_vectors(FREEHAND)
    group = dict(zip(vectors.names, vectors.group, strict=True))
    assert group["archive-drawer-1"] == group["archive-drawer-2"]
    assert group["file-code-css"] == group["file-code-html"]
    assert group["archive-box"] != group["archive-drawer-1"]


def test_shapes_and_types(drawings):
    count = len(drawings.names)
    assert drawings.pictures.shape == (count, 1, 64, 64)
    assert drawings.pictures.dtype == torch.uint8
    assert drawings.label.dtype == drawings.group.dtype == torch.int64
    assert drawings.label.shape == drawings.group.shape == (count,)


def test_black_ink_on_white_paper_and_none_empty(drawings):
    ink = (drawings.pictures < 128).float().mean((1, 2, 3))
    assert float(ink.min()) > 0.02
    assert float(ink.max()) < 0.45
    corners = drawings.pictures[..., [0, 0, -1, -1], [0, -1, 0, -1]].flatten()
    assert float((corners == 255).float().mean()) > 0.98
    darkest = drawings.pictures.amin((1, 2, 3))
    assert int(darkest.max()) < 40  # a second ink would be 95


def test_no_twins_stand_in_different_groups(drawings):
    """By another measure than the one they were packed by: pixels, not cells."""
    inked = (drawings.pictures < 128).flatten(1).float()
    both = inked @ inked.T
    either = inked.sum(1)[:, None] + inked.sum(1) - both
    apart = drawings.group[:, None] != drawings.group
    assert float((both / either)[apart].max()) < 0.7


def test_the_classes_are_even_in_all_folds(drawings):
    counts = torch.stack(
        [
            drawings.split(fold, 5)[1].label.bincount(minlength=len(drawings.classes))
            for fold in range(5)
        ]
    )
    assert int((counts.amax(0) - counts.amin(0)).max()) <= 2


def test_the_side_is_what_one_asks_for_and_writing_gives_the_same_back(tmp_path):
    vectors = read_vectors(OPENMOJI)
    write_vectors(vectors, tmp_path / "once.json.xz")
    write_vectors(vectors, tmp_path / "twice.json.xz")
    assert read_vectors(tmp_path / "once.json.xz") == vectors
    assert (tmp_path / "once.json.xz").read_bytes() == (tmp_path / "twice.json.xz").read_bytes()
    few = type(vectors)(**{
        name: value[:3] if name in ("names", "label", "group", "bodies") else value
        for name, value in vars(vectors).items()
    })  # fmt: skip
    small, large = rasterized(few, 24), rasterized(few, 48)
    assert small.shape == (3, 1, 24, 24)
    assert torch.equal(large, rasterized(few, 48))
    shrunk = torch.nn.functional.avg_pool2d(large.float(), 2)
    assert float((shrunk - small).abs().mean()) < 12


def test_without_resvg_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    with pytest.raises(ConfigError, match=r'resvg-py.*pip install -e "\.\[recipes\]" in '):
        shipped(OPENMOJI, 16)
