"""Pictures in folders: each found once, and what is passed over is told."""

import os
from pathlib import Path

import pytest
from PIL import Image

from nvn.errors import DataError, NvnWarning
from nvn.folders import MADE_BY_US, LeftOut, find_pictures, look_into, walk
from nvn.images import endings, read_picture


def touched(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_folders_are_walked_in_order(tmp_path: Path) -> None:
    touched(tmp_path, "b10.jpg", "b2.jpg", "a.PNG", "deep/er/c.tif", ".hidden.png", ".d/e.png")
    assert [str(found.place) for found in find_pictures([tmp_path])] == [
        "a.PNG",
        "b2.jpg",
        "b10.jpg",
        "deep/er/c.tif",
    ]


def test_what_is_no_picture_is_counted_and_named(tmp_path: Path) -> None:
    touched(tmp_path, "a.png", "notes.txt", "deep/film.mov")
    with pytest.warns(NvnWarning, match=r"2 not pictures by their endings: notes.txt, deep/film"):
        assert len(find_pictures([tmp_path])) == 1


LITTER = [
    *(".DS_Store", "._a.png", ".git/x.png", "__MACOSX/._a.png", "__MACOSX/a.png", "Thumbs.db"),
    *("desktop.ini", "@eaDir/a.png/SYNO.png", "$RECYCLE.BIN/x.png", "Icon\r", "lost+found/x.png"),
]


def test_what_systems_leave_behind_is_nothing(tmp_path: Path) -> None:
    touched(tmp_path, "a.png", *LITTER, *(f"deep/{name}" for name in LITTER))
    assert [str(found.place) for found in find_pictures([tmp_path])] == ["a.png"]  # and no warning


def test_of_every_ending_that_can_be_read_files_are_found(tmp_path: Path) -> None:
    touched(tmp_path, *(f"a{ending.upper()}" for ending in endings()))
    assert len(find_pictures([tmp_path])) == len(endings())
    assert {".avif", ".jfif", ".jp2", ".pgm", ".tga", ".heic"} <= endings()
    assert not {".eps", ".pdf", ".mpg", ".h5", ".txt"} & endings()


def test_a_file_that_is_named_is_taken_whatever_its_name(tmp_path: Path) -> None:
    touched(tmp_path, ".hidden", "a/x.png")
    found = find_pictures([tmp_path / ".hidden", tmp_path / "a" / "x.png", tmp_path / "gone.png"])
    assert [str(each.place) for each in found] == [".hidden", "x.png", "gone.png"]


def test_a_file_given_twice_is_taken_once(tmp_path: Path) -> None:
    touched(tmp_path, "a/x.png")
    found = find_pictures([tmp_path / "a" / "x.png", tmp_path, tmp_path / "a" / ".." / "a"])
    assert [str(each.place) for each in found] == ["x.png"]


def test_results_are_no_inputs(tmp_path: Path) -> None:
    touched(tmp_path, "a.png", f"out/{MADE_BY_US}", "out/a-magnified.png", "out/deep/b.png")
    assert [str(found.place) for found in find_pictures([tmp_path])] == ["a.png"]


def test_no_pictures_at_all_is_an_error(tmp_path: Path) -> None:
    touched(tmp_path, "notes.txt")
    with pytest.raises(DataError, match=r"there are no pictures: .*Expected files, or folders"):
        find_pictures([tmp_path])
    with pytest.raises(DataError, match="there are no pictures: .*gone.png"):
        find_pictures([tmp_path / "gone.png"])


def closed(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Let folders of a name be such as may not be read: that holds for root too."""
    usual = Path.iterdir

    def refuse(self: Path) -> object:
        if self.name == name:
            raise PermissionError(13, "Permission denied")
        return usual(self)

    monkeypatch.setattr(Path, "iterdir", refuse)


def test_a_folder_that_cannot_be_read_is_skipped_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touched(tmp_path, "closed/a.png", "open/b.png")
    closed(monkeypatch, "closed")
    with pytest.warns(NvnWarning, match=r"1 folders that .*read \(Permission denied\): closed"):
        assert [found.path.name for found in find_pictures([tmp_path])] == ["b.png"]
    with pytest.raises(DataError, match=r"(?s)no pictures.*1 folders that .*Permission denied"):
        find_pictures([tmp_path / "closed"])


@pytest.mark.skipif(os.name == "nt", reason="links")
def test_links_out_of_a_folder_are_passed_over_and_named(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "folder", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    Image.new("L", (2, 2)).save(folder / "a.png")
    Image.new("L", (2, 2)).save(elsewhere / "secret.png")
    (folder / "b.png").symlink_to("a.png")
    (folder / "c.png").symlink_to(elsewhere / "secret.png")
    with pytest.warns(NvnWarning, match=r"(?s)folder: .*links that lead out of it: c.png$"):
        found = find_pictures([folder])
    assert [picture.path.name for picture in found] == ["a.png"]
    assert len(find_pictures([folder / "c.png"])) == 1  # given by itself


@pytest.mark.skipif(os.name == "nt", reason="links")
def test_links_in_a_circle_are_no_pictures(tmp_path: Path) -> None:
    (tmp_path / "loop.png").symlink_to("loop.png")
    Image.new("L", (2, 2)).save(tmp_path / "a.png")
    found = find_pictures([tmp_path / "a.png", tmp_path / "loop.png"])
    assert len(found) == 2
    with pytest.raises(DataError):
        read_picture(tmp_path / "loop.png")


def test_a_name_that_is_too_long_is_no_traceback(tmp_path: Path) -> None:
    touched(tmp_path, "a.png")
    found = find_pictures([tmp_path, tmp_path / ("x" * 5000)])
    assert len(found) == 2
    with pytest.raises(DataError, match="File name too long"):
        read_picture(found[1].path)
    with pytest.raises(DataError, match="there are no pictures"):
        find_pictures([tmp_path / ("x" * 5000)])


# --- links ---


def linked(link: Path, target: Path) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(target)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with cats and dogs, and links of every kind."""
    folder = tmp_path / "root"
    touched(folder, "dogs/1.png", "dogs/2.png", ".pool/3.png")
    touched(tmp_path, "far/4.png")
    linked(folder / "cats" / "dog.png", folder / "dogs" / "1.png")
    linked(folder / "cats" / "pooled.png", folder / ".pool" / "3.png")
    linked(folder / "cats" / "circle.png", Path("circle.png"))
    linked(folder / "cats" / "back", folder)
    linked(folder / "birds", folder / "dogs")
    linked(folder / "fish", tmp_path / "far")
    linked(folder / "whales", tmp_path / "far")
    linked(tmp_path / "far" / "up", folder)
    return folder


def names(left_out: LeftOut) -> set[str]:
    return {line.strip() for line in str(left_out).splitlines()}


@pytest.mark.skipif(os.name == "nt", reason="links")
def test_no_picture_is_found_under_two_names(root: Path) -> None:
    left_out = LeftOut("root", root)
    found = [str(path.relative_to(root)) for path in walk(root, left_out.add, outward=True)]
    assert found == [
        *("cats/circle.png", "cats/pooled.png", "dogs/1.png", "dogs/2.png", "fish/4.png"),
    ]
    assert names(left_out) == {
        "4 links to what is read at its own place: birds, cats/back, cats/dog.png, fish/up",
        "1 folders that were looked into by another way: whales",
    }


@pytest.mark.skipif(os.name == "nt", reason="links")
def test_inside_a_folder_is_inside(root: Path) -> None:
    left_out = LeftOut("root", root)
    found = [str(path.relative_to(root)) for path in walk(root, left_out.add, outward=False)]
    assert found == ["cats/circle.png", "cats/pooled.png", "dogs/1.png", "dogs/2.png"]
    assert names(left_out) == {
        "3 links to what is read at its own place: birds, cats/back, cats/dog.png",
        "2 links that lead out of it: fish, whales",
    }


def test_the_same_is_told_once(tmp_path: Path) -> None:
    touched(tmp_path, "a.txt")
    left_out = LeftOut("a set", tmp_path)
    for _ in range(2):
        assert look_into(tmp_path, left_out.add).pictures == ()
    assert names(left_out) == {"1 not pictures by their endings: a.txt"}
