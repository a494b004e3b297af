"""Omniglot: what the sheet holds, who is tested on, and that writing gives the same back."""

import numpy as np
import pytest
import torch
from nvn_recipes.groupgan.data.drawings.omniglot import (
    OMNIGLOT,
    About,
    omniglot,
    read_about,
    write_sheet,
)
from nvn_recipes.groupgan.data.drawings.repairing import Repair
from nvn_recipes.groupgan.data.drawings.vectors import ASSETS

SMALL = About("a test", "MIT", side=9, people=3, alphabets={"A": 2, "B": 1})


@pytest.fixture(scope="module")
def drawings():
    return omniglot(32)


def test_what_the_sheet_holds(drawings):
    about = read_about()
    assert about.alphabets == {
        "Balinese": 24, "Early Aramaic": 22, "Greek": 24, "Japanese (katakana)": 47,
        "Korean": 40, "Latin": 26, "Sanskrit": 42, "Tagalog": 17,
    }  # fmt: skip
    assert drawings.classes == about.classes
    assert len(drawings.classes) == len(set(drawings.classes)) == 242
    assert drawings.pictures.shape == (4840, 1, 32, 32)
    assert drawings.label.bincount().tolist() == [20] * 242
    assert len(set(drawings.names)) == 4840
    assert OMNIGLOT.stat().st_size < 500_000


def test_its_license_and_numbers_are_told(drawings):
    assert read_about().license == "MIT"
    assert "Copyright (c) 2015 Brenden Lake" in (ASSETS / "LICENSE-omniglot.txt").read_text()
    row = next(
        line for line in (ASSETS / "README.md").read_text().splitlines()
        if line.startswith("| `omniglot.tif`")
    )  # fmt: skip
    assert "| 4840, " in row
    assert f"| 242 | {len(drawings.group.unique())} |" in row


def test_black_ink_on_white_paper_and_none_empty(drawings):
    ink = (drawings.pictures < 128).float().mean((1, 2, 3))
    assert 0 < float(ink.min()) < float(ink.max()) < 0.4
    assert int(drawings.pictures.amin((1, 2, 3)).max()) == 0
    assert float((drawings.pictures == 255).float().mean()) > 0.5


def test_drawings_of_a_character_are_alike(drawings):
    """Rows are characters: ink of the same one falls into the same places."""
    seen = torch.nn.functional.adaptive_avg_pool2d(255.0 - drawings.pictures, 8).flatten(1)
    seen = torch.nn.functional.normalize(seen - seen.mean(0))
    alike = seen @ seen.T
    same = drawings.label[:, None] == drawings.label
    assert float(alike[same].mean()) > float(alike[~same].mean()) + 0.2


def test_people_tested_on_were_not_learned_from(drawings):
    train, test = drawings.split(0, 5)
    assert not set(train.group.tolist()) & set(test.group.tolist())
    assert test.label.bincount().tolist() == [4] * 242
    group = drawings.group.view(242, 20)  # of a person: the drawings of one alphabet
    assert torch.equal(group[0], group[23])
    assert not set(group[23].tolist()) & set(group[24].tolist())


def test_characters_are_not_mirrored(drawings):
    few = drawings.take(torch.arange(64) * 20)
    batch = next(iter(Repair(lambda: few, 0, 2, mirrored=False).batches(24, seed=0)))
    originals = {_ink(picture) for picture in few.pictures.float() / 127.5 - 1}
    kept = sum(_ink(picture) in originals for picture in batch["whole"])
    assert kept > 18  # the others lose ink at the edge


def _ink(picture):
    """The ink of a drawing, wherever it stands."""
    rows, columns = (picture[0] < 0.99).nonzero(as_tuple=True)
    box = picture[0, rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    return box.contiguous().numpy().tobytes()


def test_writing_gives_the_same_back(tmp_path):
    paper = np.ones((3, 3, 9, 9), dtype=bool)
    for row, person in np.ndindex(3, 3):
        paper[row, person, 1 + row : 6, 2 + person] = False
    for name in ("once", "twice"):
        write_sheet(paper, SMALL, tmp_path / name)
    assert (tmp_path / "once").read_bytes() == (tmp_path / "twice").read_bytes()
    assert read_about(tmp_path / "once") == SMALL
    drawings = omniglot(9, tmp_path / "once")
    assert torch.equal(drawings.pictures.view(3, 3, 9, 9) == 255, torch.from_numpy(paper))
    assert drawings.classes == ("A 1", "A 2", "B 1")
    assert drawings.group.tolist() == [0, 1, 2, 0, 1, 2, 3, 4, 5]
    assert drawings.names[4] == "A 2, 2"
