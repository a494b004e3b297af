"""LSEMSW: no pairs, no people, and peaks that somebody has to choose."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from nvn_recipes.groupgan.data.photographs.easy import easiest, partners, read_scores, write_scores
from nvn_recipes.groupgan.data.photographs.lsemsw import Lsemsw
from nvn_recipes.groupgan.data.photographs.stills import CLASSES

from nvn.errors import ConfigError, DataError, NvnWarning
from tests.recipes.groupgan.data.photographs.trees import corrupt, picture

EACH = {"train": 5, "val": 2, "test": 2}
CLASS = ("happy", "thinking")


def level(part: str, kind: int, number: int) -> int:
    return 100 * kind + 20 * list(EACH).index(part) + number


def tree(root: Path) -> Path:
    for part, count in EACH.items():
        for kind, name in enumerate(CLASS):
            for number in range(count):
                path = root / part / name.capitalize() / f"a still {number}.JPG"
                picture(path, level(part, kind, number))
    (root / "train" / "Happy" / ".DS_Store").touch()
    return root


def scores(file: Path, part: str = "train") -> Path:
    """Scores by which the first two pictures of each class are the easiest."""
    lines = ["path,confidence"]
    for name in CLASS:
        lines += [
            f"{part}/{name.capitalize()}/a still {n}.JPG,{0.9 - n / 10}" for n in range(EACH[part])
        ]
    file.write_text("\n".join(lines))
    return file


@pytest.fixture
def source(tmp_path: Path) -> Lsemsw:
    return Lsemsw(tree(tmp_path / "set"), 6, peaks=scores(tmp_path / "peaks.csv"), easy=0.4)


def shown(source: Lsemsw, role: str) -> list[int]:
    return source.read().shown(role)[:, 0, 0, 0].tolist()  # type: ignore[arg-type]


def test_each_picture_has_an_easy_one_of_its_class(source: Lsemsw) -> None:
    pairs = source.read()
    assert len(pairs.classes) == 13
    assert len(pairs) == 14  # train and test
    peaks = pairs.shown("peak")[:, 0, 0, 0]
    of_class = {CLASSES.index("happy"): {0, 1}, CLASSES.index("thinking"): {100, 101}}
    for label, peak in zip(pairs.label.tolist(), peaks.tolist(), strict=True):
        assert peak in of_class[label]
    assert (pairs.weak != pairs.peak).all()
    assert pairs.neutral is None
    assert pairs.intensity is None


def test_the_test_part_is_what_is_tested_on(source: Lsemsw) -> None:
    for fold in (0, 3):
        train, test = source.read().split(fold, 5)
        assert sorted(test.shown("weak")[:, 0, 0, 0].tolist()) == [40, 41, 140, 141]
        assert len(train) == 10


def test_partners_depend_on_the_seed_alone(source: Lsemsw) -> None:
    other = Lsemsw(source.root, 6, peaks=source.peaks, easy=1.0, seed=5)
    same = Lsemsw(source.root, 6, peaks=source.peaks, easy=1.0)
    assert shown(same, "peak") == shown(same, "peak")
    assert shown(same, "peak") != shown(other, "peak")


def test_peaks_may_come_from_the_validation_part(source: Lsemsw, tmp_path: Path) -> None:
    file = scores(tmp_path / "of validation.csv", "val")
    chosen = Lsemsw(source.root, 6, peaks=file, peaks_from="validation", easy=0.5)
    assert set(shown(chosen, "peak")) == {20, 120}
    assert not {20, 120} & set(shown(chosen, "weak"))


def test_lists_are_read_as_well(source: Lsemsw, tmp_path: Path) -> None:
    picture(tmp_path / "lists/images/one still.png", 3)
    picture(tmp_path / "lists/images/2.png", 4)
    elsewhere = picture(tmp_path / "elsewhere.png", 5)
    (tmp_path / "lists/train.txt").write_text(
        f"images/one still.png Happy\nimages/2.png\t12\n\n{elsewhere} sad\n"
        "images/2.png bored\nhappy\n/gone.png sad\n"
    )
    unpaired = Lsemsw(tmp_path / "lists", 6, paired=False)
    with pytest.warns(NvnWarning) as told:
        pairs = unpaired.read()
    assert "2 of no known expression: images/2.png bored, happy" in str(told[0].message)
    assert "1 unreadable: /gone.png" in str(told[0].message)
    assert pairs.shown("weak")[:, 0, 0, 0].tolist() == [3, 4, 5]
    assert [pairs.classes[label] for label in pairs.label] == ["happy", "questioning", "sad"]


def listed(root: Path, content: bytes) -> Lsemsw:
    picture(root / "a b.png", 7)
    (root / "train.txt").write_bytes(content)
    return Lsemsw(root, 6, paired=False)


def test_a_mark_at_the_beginning_of_a_list_is_no_part_of_it(tmp_path: Path) -> None:
    assert len(listed(tmp_path, b"\xef\xbb\xbfa b.png happy\r\n").read()) == 1


def test_a_list_of_nothing_known_is_told_as_such(tmp_path: Path) -> None:
    lines = [b"a b.png glad", b"a b.png " + b"1" * 5000, b"a b.png 13", b"alone"]
    with pytest.raises(DataError, match=r"(?s)nothing of it can be used.*4 of no known expression"):
        listed(tmp_path, b"\n".join(lines)).read()


@pytest.mark.parametrize("target", ["pipe", "/dev/zero"])
def test_a_list_that_is_no_regular_file_is_refused(tmp_path: Path, target: str) -> None:
    source = listed(tmp_path, b"")
    (tmp_path / "train.txt").unlink()
    if target == "pipe":
        os.mkfifo(tmp_path / "train.txt")
    else:
        (tmp_path / "train.txt").symlink_to(target)
    with pytest.raises(DataError, match="train.txt cannot be read: .*is no regular file"):
        source.read()


def test_a_still_is_of_one_class(source: Lsemsw) -> None:
    link = source.root / "train/Happy/other.png"
    link.symlink_to(source.root / "train/Thinking/a still 0.JPG")
    with pytest.warns(NvnWarning, match=r"1 links to what is .*: train/Happy/other.png"):
        assert len(source.read()) == 14


def test_scores_are_written_whole_and_never_through_a_link(tmp_path: Path) -> None:
    victim, file = tmp_path / "victim", tmp_path / "scores.csv"
    victim.write_text("mine")
    file.symlink_to(victim)
    write_scores(
        file, ["a.png"], torch.zeros(1, 3, 2, 2), torch.tensor([0]), lambda x: x[:, :2, 0, 0]
    )
    assert victim.read_text() == "mine"
    assert read_scores(file) == {"a.png": 0.5}


def test_unpaired_each_picture_is_its_own_peak(source: Lsemsw) -> None:
    pairs = Lsemsw(source.root, 6, paired=False).read()
    assert torch.equal(pairs.weak, pairs.peak)
    assert len(pairs) == 14


def test_without_scores_it_says_how_to_make_them(source: Lsemsw) -> None:
    for ask in (Lsemsw(source.root, 6).read, lambda: Lsemsw(source.root, 6).sample(2)):
        with pytest.raises(ConfigError, match=r"peaks_file=FILE.*docs/data.md"):
            ask()


def test_a_classifiers_scores_choose_the_peaks(source: Lsemsw, tmp_path: Path) -> None:
    names, pictures, label = source.stills("train")

    def classifier(pictures: torch.Tensor) -> torch.Tensor:  # is sure of high levels
        right = pictures[:, 0, 0, 0].float() % 100
        return torch.nn.functional.one_hot(label, 13) * right[:, None]

    write_scores(tmp_path / "new" / "scores.csv", names, pictures, label, classifier)
    read = read_scores(tmp_path / "new" / "scores.csv")
    assert list(read) == names
    assert read[names[0]] == pytest.approx(1 / 13, abs=1e-6)
    chosen = Lsemsw(source.root, 6, peaks=tmp_path / "new" / "scores.csv", easy=0.2)
    peaks = set(shown(chosen, "peak"))
    assert peaks == {4, 104}


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("name,score\na,1", "line 1: expected the columns path, confidence"),
        ("path,confidence\na,0.5\nb,high", "line 3: a confidence is from 0 to 1, not 'high'"),
        ("path,confidence\na", "line 2: a confidence"),
        ("path,confidence\na,nan", "line 2: a confidence"),
        ("path,confidence\nelsewhere.jpg,1", "none of its 1 paths"),
        ("path,confidence\ntrain/Happy/a still 0.JPG,1", "no peak of thinking"),
    ],
)
def test_scores_that_are_wrong_are_refused(
    source: Lsemsw, tmp_path: Path, text: str, match: str
) -> None:
    file = tmp_path / "wrong.csv"
    file.write_text(text)
    with pytest.raises(DataError, match=match):
        Lsemsw(source.root, 6, peaks=file).read()


def test_scores_that_are_missing_are_said_to_be(source: Lsemsw, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone.csv cannot be read"):
        Lsemsw(source.root, 6, peaks=tmp_path / "gone.csv").read()


def test_what_is_broken_is_named(source: Lsemsw) -> None:
    corrupt(source.root / "train/Happy/a still 0.JPG")  # a peak, too
    with pytest.warns(NvnWarning, match=r"1 unreadable: train/Happy/a still 0.JPG"):
        pairs = source.read()
    assert len(pairs) == 13
    assert 0 not in pairs.shown("peak")[:, 0, 0, 0]


def test_a_sample_is_of_several_classes_and_silent(source: Lsemsw) -> None:
    corrupt(source.root / "train/Happy/a still 4.JPG")
    assert {*CLASS} == {CLASSES[label] for label in source.sample(4).label}
    for count in (1, 4, 9, 1000):
        pairs = source.sample(count)
        assert min(count, 9) <= len(pairs) <= 10
        assert not pairs.reserved.any()  # type: ignore[union-attr]


def test_a_missing_root_or_another_layout_says_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"(?s)no such folder.*ROOT/train/happy/.*ROOT/train.txt"):
        Lsemsw(tmp_path / "gone", 6, paired=False).read()
    with pytest.raises(DataError, match="that folder is empty"):
        Lsemsw(tmp_path, 6, paired=False).read()


def test_the_easiest_are_chosen_in_each_class() -> None:
    confidence = torch.tensor([0.1, 0.9, 0.5, 0.3, 0.2, 0.9])
    label = torch.tensor([0, 0, 0, 1, 1, 2])
    assert easiest(confidence, label, 0.5).tolist() == [False, True, True, True, False, True]
    assert easiest(confidence, label, 0.0).sum() == 3  # one of each


def test_a_partner_is_somebody_else_if_there_is_anybody() -> None:
    label, own = torch.tensor([0, 0, 0, 1]), torch.tensor([7, 8, 9, 5])
    for seed in range(20):
        drawn = partners(label, own, label, own, torch.Generator().manual_seed(seed))
        assert (drawn[:3] != own[:3]).all()
        assert drawn[3] == 5
