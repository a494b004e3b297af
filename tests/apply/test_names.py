"""The names of results: no two alike, whatever the names of the inputs."""

import os
from pathlib import Path

from nvn.apply.names import places, spelled
from nvn.folders import PictureFile


def named(*names: str, application: str = "big") -> list[str]:
    found = [PictureFile(Path(str(number), name), Path(name)) for number, name in enumerate(names)]
    return [str(place) for place in places(found, application).values()]


def test_no_two_results_have_one_name() -> None:
    assert named("a.jpg", "a.png", "a.png", "A.JPG", "d/a.jpg") == [
        *("a-big", "a.png-big", "a_2-big", "A.JPG-big", "d/a-big"),
    ]
    assert named("x-big-compared.png", "x.png", application="big") == [
        "x-big-compared-big",
        "x-big",
    ]
    given = ["x.png", "x-a.png", "x-a-a.png"] * 3
    found = named(*given, application="a-compared")
    everything = [*found, *(f"{place}-compared" for place in found)]
    assert len({place.casefold() for place in everything}) == 2 * len(given)


def test_no_result_has_a_contact_sheets_name() -> None:
    assert named("contact.png", application="sheet") == ["contact.png-sheet"]
    assert named("contact-sheet.png", application="2") == ["contact-sheet.png-2"]
    assert named("d/contact.png", application="sheet") == ["d/contact-sheet"]


def test_long_names_are_cut() -> None:
    (place,) = named("ä" * 120 + ".png")
    assert len(f".{place}-compared.png.1234567.tmp".encode()) < 255


def test_no_result_has_the_name_of_a_folder_of_results() -> None:
    assert named("a.png", "a-big.png/b.png") == ["a.png-big", "a-big.png/b-big"]
    assert named("A-BIG-compared.png/deep/b.png", "a.png") == [
        *("A-BIG-compared.png/deep/b-big", "a.png-big"),
    ]


def test_no_folder_has_the_name_of_a_file_of_ours() -> None:
    assert named("applied.yaml/a.png", "Contact-Sheet-2.png/b.png", "d/applied.yaml/c.png") == [
        *("applied.yaml_/a-big", "Contact-Sheet-2.png_/b-big", "d/applied.yaml/c-big"),
    ]


def test_accents_are_the_same_however_encoded() -> None:
    first, second = named("\u00e9.png", "e\u0301.png")
    assert (first, second) == ("\u00e9-big", "e\u0301.png-big")


def test_no_two_paths_are_spelled_alike() -> None:
    names = [
        b"\r.png",
        b"\xe9.png",
        b"\xff.png",
        b"\\r.png",
        b"\\xe9.png",
        "\u00e9.png".encode(),
        b"a\x1b",
    ]
    found = [spelled(Path(os.fsdecode(name))) for name in names]
    assert len({*found}) == len(names)
    assert all(text.isprintable() for text in found)
    assert spelled(Path("photos/a b.png")) == "photos/a b.png"
