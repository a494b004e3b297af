"""CK+, Oulu-CASIA, their mix and folders of one's own."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from nvn_recipes.groupgan.data.pairs import Pairs
from nvn_recipes.groupgan.data.photographs.ckplus import CKPlus
from nvn_recipes.groupgan.data.photographs.folder import Folder
from nvn_recipes.groupgan.data.photographs.mix import Mix
from nvn_recipes.groupgan.data.photographs.oulu import OuluCasia
from nvn_recipes.groupgan.data.photographs.sequences import FilmSet
from nvn_recipes.groupgan.data.rendered.rig import EXPRESSIONS

from nvn.errors import ConfigError, DataError, NvnWarning
from tests.recipes.groupgan.data.photographs.trees import (
    ckplus_film,
    corrupt,
    film,
    oulu_film,
    picture,
)


def levels(pairs: Pairs, role: str) -> list[int]:
    """The levels of the pictures in a role: which frames they are."""
    return pairs.shown(role)[:, 0, 0, 0].tolist()  # type: ignore[arg-type]


# --- CK+ ---


def test_ckplus_gives_frames_6_to_8_with_the_first_and_the_last(tmp_path: Path) -> None:
    ckplus_film(tmp_path, "S005", "001", 11, "anger")
    ckplus_film(tmp_path, "S010", "002", 9, "contempt")
    pairs = CKPlus(tmp_path, 6, "center").read()
    assert levels(pairs, "neutral") == [1] * 6
    assert levels(pairs, "weak") == [6, 7, 8, 6, 7, 8]
    assert levels(pairs, "peak") == [11] * 3 + [9] * 3
    assert [pairs.classes[label] for label in pairs.label] == ["anger"] * 3 + ["contempt"] * 3
    assert pairs.subject.tolist() == [0, 0, 0, 1, 1, 1]
    assert pairs.pictures.shape == (10, 3, 6, 6)  # each once


def test_ckplus_has_seven_expressions(tmp_path: Path) -> None:
    source = CKPlus(tmp_path, 6, "center")
    assert source.classes == (*EXPRESSIONS, "contempt")
    for person, expression in enumerate(source.classes):
        ckplus_film(tmp_path, f"S{person:03}", "001", 9, expression)
    assert source.read().label[::3].tolist() == list(range(7))


def test_the_weak_frames_are_a_setting(tmp_path: Path) -> None:
    ckplus_film(tmp_path, "S005", "001", 5, "fear")
    pairs = CKPlus(tmp_path, 6, "center", first=2, last=4).read()
    assert levels(pairs, "weak") == [2, 3, 4]
    with pytest.raises(ConfigError, match="frame 1 is neutral"):
        CKPlus(tmp_path, 6, first=1)


def test_ckplus_names_what_it_leaves_out(tmp_path: Path) -> None:
    ckplus_film(tmp_path, "S005", "001", 9, "anger")
    ckplus_film(tmp_path, "S005", "002", 9, None)
    ckplus_film(tmp_path, "S006", "001", 9, "neutral")
    ckplus_film(tmp_path, "S007", "001", 8, "fear")
    corrupt(ckplus_film(tmp_path, "S008", "001", 9, "fear") / "S008_001_00000009.png")
    corrupt(ckplus_film(tmp_path, "S009", "001", 9, "fear") / "S009_001_00000007.png")
    (ckplus_film(tmp_path, "S011", "001", 9, "fear") / "notes.txt").touch()
    (tmp_path / "Emotion/S011/001/S011_001_00000009_emotion.txt").write_text("happy")
    with pytest.warns(NvnWarning) as told:
        pairs = CKPlus(tmp_path, 6, "center").read()
    assert len(told) == 1
    text = str(told[0].message)
    assert "3 without a label from 1 to 7: S005/002, S006/001, S011/001" in text.replace(
        "cohn-kanade-images/", ""
    )
    assert "1 too short (fewer than 9 frames): cohn-kanade-images/S007/001" in text
    assert "2 unreadable" in text
    assert "S008_001_00000009.png" in text
    assert levels(pairs, "weak") == [6, 7, 8, 6, 8]  # of S005, and what is left of S009
    assert pairs.subject.tolist() == [0, 0, 0, 1, 1]
    assert len(pairs.pictures) == 5 + 4  # nothing of S008


def test_spelling_and_a_folder_in_between_do_not_matter(tmp_path: Path) -> None:
    ckplus_film(tmp_path / "made here", "S005", "001", 9, "anger")
    (tmp_path / "made here/Emotion").rename(tmp_path / "made here/emotion")
    folder = tmp_path / "made here/cohn-kanade-images/S005/001"
    for path in folder.glob("*.png"):
        path.rename(path.with_suffix(".PNG"))
    assert len(CKPlus(tmp_path, 6, "center").read()) == 3


def test_links_are_followed(tmp_path: Path) -> None:
    ckplus_film(tmp_path / "disk", "S005", "001", 9, "anger")
    root = tmp_path / "root"
    root.mkdir()
    for name in ("cohn-kanade-images", "Emotion"):
        (root / name).symlink_to(tmp_path / "disk" / name, target_is_directory=True)
    assert len(CKPlus(root, 6, "center").read()) == 3


# --- Oulu-CASIA ---


def test_oulu_counts_its_frames_from_the_first(tmp_path: Path) -> None:
    oulu_film(tmp_path, "P001", "Anger", 20)
    oulu_film(tmp_path, "P002", "Happiness", 9)
    oulu_film(tmp_path.joinpath("unseen"), "P003", "Anger", 9)
    (tmp_path / "VL/Weak/P001/Anger").mkdir(parents=True)
    pairs = OuluCasia(tmp_path, 6, "center").read()
    assert levels(pairs, "weak")[:3] == [106, 107, 108]
    assert levels(pairs, "peak") == [120] * 3 + [109] * 3
    assert [pairs.classes[label] for label in pairs.label[::3]] == ["anger", "happiness"]


def test_oulu_names_what_it_leaves_out(tmp_path: Path) -> None:
    oulu_film(tmp_path, "P001", "Anger", 9)
    oulu_film(tmp_path, "P001", "Fear", 3)
    oulu_film(tmp_path, "P001", "Boredom", 9)
    with pytest.warns(NvnWarning) as told:
        OuluCasia(tmp_path, 6, "center").read()
    assert "1 too short (fewer than 9 frames): VL/Strong/P001/Fear" in str(told[0].message)
    assert "1 of no known expression: VL/Strong/P001/Boredom" in str(told[0].message)


# --- both ---


@pytest.fixture
def both(tmp_path: Path) -> Path:
    for person in ("S005", "S010", "S011"):
        ckplus_film(tmp_path / "CK+", person, "001", 9, "anger")
    ckplus_film(tmp_path / "CK+", "S005", "002", 9, "contempt")
    for person in ("P001", "P002"):
        oulu_film(tmp_path / "Oulu", person, "Surprise", 9)
    return tmp_path


def test_the_mix_has_the_six_expressions_of_both(both: Path) -> None:
    pairs = Mix(both, 6, "center").read()
    assert pairs.classes == EXPRESSIONS
    assert pairs.label.tolist() == [0] * 9 + [5] * 6  # no contempt
    assert pairs.subject.tolist() == [n for n in range(5) for _ in range(3)]


def test_folds_are_over_the_people_of_both(both: Path) -> None:
    pairs = Mix(both, 6, "center").read()
    tested = [pairs.split(fold, 2)[1].label.unique().tolist() for fold in range(2)]
    assert tested == [[0, 5], [0, 5]]


def test_people_of_the_two_sets_are_never_the_same(tmp_path: Path) -> None:
    ckplus_film(tmp_path, "P001", "001", 9, "anger")
    oulu_film(tmp_path, "P001", "Anger", 9)
    assert Mix(tmp_path, 6, "center").read().subject.unique().tolist() == [0, 1]


# --- a folder of one's own ---


def test_the_expressions_are_known_without_reading_pictures(tmp_path: Path) -> None:
    corrupt(picture(tmp_path / "ann" / "Fear" / "1.png"))
    assert Folder(tmp_path, 6).classes == ("fear",)
    with pytest.raises(DataError, match="no such folder"):
        _ = Folder(tmp_path / "gone", 6).classes


def test_a_film_is_sorted_as_people_count(tmp_path: Path) -> None:
    film(tmp_path / "Ann Lee" / "Joy", [f"frame {n}.JPG" for n in range(1, 13)])
    pairs = Folder(tmp_path, 6, "center").read()
    assert levels(pairs, "weak") == [6, 7, 8]
    assert levels(pairs, "peak") == [12] * 3
    assert pairs.classes == ("joy",)


def test_names_say_what_pictures_are(tmp_path: Path) -> None:
    names = ["Neutral.png", "weak 2.png", "weak 10.png", "peak.png", "other.png"]
    film(tmp_path / "ann" / "fear", names)
    pairs = Folder(tmp_path, 6, "center").read()
    assert levels(pairs, "neutral") == [1, 1]
    assert levels(pairs, "weak") == [2, 3]
    assert levels(pairs, "peak") == [4, 4]


def test_neutral_pictures_may_be_missing(tmp_path: Path) -> None:
    film(tmp_path / "ann" / "fear", ["weak.png", "peak.png"])
    film(tmp_path / "bob" / "fear", ["neutral.png", "weak.png", "peak.png"])
    pairs = Folder(tmp_path, 6, "center").read()
    assert pairs.neutral is None
    assert levels(pairs, "weak") == [1, 2]
    assert len(pairs.pictures) == 4


def test_an_expression_may_have_several_sequences(tmp_path: Path) -> None:
    for take in ("take 1", "take 2"):
        film(tmp_path / "ann" / "fear" / take, [f"{n}.png" for n in range(9)])
    film(tmp_path / "ann" / "disgust", [f"{n}.png" for n in range(9)])
    film(tmp_path / "bob" / "boredom", [f"{n}.png" for n in range(9)])
    pairs = Folder(tmp_path, 6, "center").read()
    assert pairs.classes == ("disgust", "fear", "boredom")
    assert pairs.label.tolist() == [0] * 3 + [1] * 6 + [2] * 3
    assert pairs.subject.tolist() == [0] * 9 + [1] * 3


def test_a_folder_names_what_it_leaves_out(tmp_path: Path) -> None:
    film(tmp_path / "ann" / "fear", ["weak.png", "peak.png"])
    film(tmp_path / "bob" / "fear", ["neutral.png", "peak.png"])
    film(tmp_path / "cyd" / "fear", ["1.png", "2.png"])
    (tmp_path / "dan" / "fear").mkdir(parents=True)
    with pytest.warns(NvnWarning) as told:
        Folder(tmp_path, 6, "center").read()
    text = str(told[0].message)
    assert "1 named neutral, weak or peak, but without a weak picture or a peak: bob/fear" in text
    assert "1 too short (fewer than 9 frames): cyd/fear" in text
    assert "1 without pictures: dan/fear" in text


# --- what lies in folders ---

LITTER = (
    *("__MACOSX/fear/1.png", "@eaDir/fear/1.png", "Thumbs.db", "desktop.ini", ".DS_Store"),
    *("ann/__MACOSX/1.png", "ann/@eaDir/1.png", "ann/fear/@eaDir/1.png", "ann/fear/._peak.png"),
)


def test_what_systems_leave_behind_is_nobody_and_no_expression(tmp_path: Path) -> None:
    film(tmp_path / "ann" / "fear", ["weak.png", "peak.png"])
    for name in LITTER:
        picture(tmp_path / name, 9)
    source = Folder(tmp_path, 6, "center")
    pairs = source.read()  # and nothing is said
    assert (pairs.classes, len(pairs), pairs.subject.tolist()) == (("fear",), 1, [0])


def test_what_is_passed_over_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    film(tmp_path / "ann" / "fear", ["weak.png", "peak.png"])
    film(tmp_path / "bob" / "fear", ["weak.png", "peak.png"])
    film(tmp_path / "closed" / "fear", ["weak.png", "peak.png"])
    (tmp_path / "ann" / "fear" / "notes.txt").touch()
    picture(tmp_path / "ann" / "stray.png")
    (tmp_path / "cyd").symlink_to(tmp_path / "bob")
    usual = Path.iterdir

    def refuse(self: Path) -> object:
        if self.name == "closed":
            raise PermissionError(13, "Permission denied")
        return usual(self)

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.warns(NvnWarning) as told:
        pairs = Folder(tmp_path, 6, "center").read()
    assert len(pairs.subject.unique()) == 2
    lines = [line.strip() for line in str(told[0].message).splitlines()[1:]]
    assert sorted(lines) == [
        "1 folders that cannot be read (Permission denied): closed",
        "1 links to what is read at its own place: cyd",
        "1 not pictures by their endings: ann/fear/notes.txt",
        "1 pictures where folders are expected: ann/stray.png",
    ]


def test_a_neutral_face_may_be_shared_by_links(tmp_path: Path) -> None:
    film(tmp_path / "ann" / "fear", ["neutral.png", "weak.png", "peak.png"])
    film(tmp_path / "ann" / "anger", ["weak.png", "peak.png"])
    (tmp_path / "ann/anger/neutral.png").symlink_to(tmp_path / "ann/fear/neutral.png")
    assert Folder(tmp_path, 6, "center").read().neutral is not None


def labeled(tmp_path: Path, content: bytes | None) -> Path:
    ckplus_film(tmp_path, "S001", "001", 9, "fear")
    label = next((tmp_path / "Emotion/S005/001").iterdir())
    label.unlink()
    if content is not None:
        label.write_bytes(content)
    return label


@pytest.mark.parametrize("kind", ["pipe", "zeros", "digits", "long", "folder"])
def test_a_label_of_any_kind_is_one_films_trouble(tmp_path: Path, kind: str) -> None:
    ckplus_film(tmp_path, "S005", "001", 9, "anger")
    content = {"digits": b"3" * 1000, "long": b" " * 1_000_000 + b"3"}.get(kind)
    label = labeled(tmp_path, content)
    if kind == "pipe":
        os.mkfifo(label)
    elif kind == "zeros":
        label.symlink_to("/dev/zero")
    elif kind == "folder":
        label.mkdir()
    with pytest.warns(NvnWarning, match=r"1 without a label from 1 to 7: .*S005/001"):
        assert len(CKPlus(tmp_path, 6, "center").read()) == 3


def test_a_mark_at_the_beginning_of_a_label_is_no_part_of_it(tmp_path: Path) -> None:
    ckplus_film(tmp_path, "S005", "001", 9, "anger")
    labeled(tmp_path, b"\xef\xbb\xbf   1.0000000e+00\r\n")
    assert len(CKPlus(tmp_path, 6, "center").read()) == 6


# --- all of them ---

SETS: list[Callable[..., FilmSet]] = [CKPlus, OuluCasia, Mix, Folder]


@pytest.mark.parametrize("kind", SETS)
def test_a_missing_root_says_what_is_expected_where(
    kind: Callable[..., FilmSet], tmp_path: Path
) -> None:
    source = kind(tmp_path / "gone", 6)
    with pytest.raises(DataError, match=r"(?s)gone.*no such folder.*ROOT/.*--set root=FOLDER"):
        source.read()
    with pytest.raises(DataError, match="no such folder"):
        source.sample(1)


@pytest.mark.parametrize("kind", SETS)
def test_another_layout_says_what_there_is(kind: Callable[..., FilmSet], tmp_path: Path) -> None:
    (tmp_path / "readme.txt").touch()
    (tmp_path / "images").mkdir()
    with pytest.raises(DataError, match=r"what is there is images/, readme.txt"):
        kind(tmp_path, 6).read()


@pytest.mark.parametrize("kind", SETS)
def test_a_file_is_no_root(kind: Callable[..., FilmSet], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="it is a file"):
        kind(picture(tmp_path / "a.png"), 6).find(None)  # type: ignore[arg-type]


def test_nothing_that_can_be_used_is_an_error(tmp_path: Path) -> None:
    ckplus_film(tmp_path, "S005", "001", 4, "anger")
    source = CKPlus(tmp_path, 6, "center")
    for read in (source.read, lambda: source.sample(3)):
        with pytest.raises(DataError, match=r"(?s)nothing of it.*1 too short.*S005/001.*ROOT/"):
            read()


def test_a_sample_is_of_the_first_films_and_silent(tmp_path: Path) -> None:
    corrupt(ckplus_film(tmp_path, "S001", "001", 9, "anger") / "S001_001_00000001.png")
    for person in range(2, 9):
        ckplus_film(tmp_path, f"S{person:03}", "001", 9, "anger")
    ckplus_film(tmp_path, "S999", "001", 3, "anger")
    source = CKPlus(tmp_path, 6, "center")
    assert 4 <= len(source.sample(4)) <= 9
    assert len(source.sample(10_000)) == 21
    with pytest.warns(NvnWarning):
        everything = source.read()
    assert torch.equal(source.sample(10_000).pictures, everything.pictures)
