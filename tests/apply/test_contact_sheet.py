import numpy as np
import pytest
from PIL import Image

from nvn.apply.contact_sheet import PAGE, Pair, beside, contact_sheet, small


@pytest.mark.parametrize("size", [(1, 1), (30, 20), (3000, 2000), (20000, 3), (3, 20000)])
def test_both_pictures_are_as_large_as_each_other(size: tuple[int, int]) -> None:
    before, after = Image.new("RGB", size, "red"), Image.new("RGB", (48, 48), "blue")
    sheet = np.asarray(beside(before, after))
    red, blue = ((sheet == color).all(axis=-1) for color in ((255, 0, 0), (0, 0, 255)))
    sides = [max(np.ptp(np.nonzero(color), axis=1) + 1) for color in (red, blue)]
    assert sides[0] == sides[1] == min(max(*size, 128), 1024)
    assert np.nonzero(red)[1].max() < np.nonzero(blue)[1].min()


def pairs(count: int, name: str = "a.png") -> list[Pair]:
    red, blue = (small(Image.new("RGB", (40, 30), color)) for color in ("red", "blue"))
    return [Pair(name, red, blue)] * count


@pytest.mark.parametrize("count", [1, 2, 3, 7, PAGE])
def test_every_pair_is_on_the_sheet_side_by_side(count: int) -> None:
    sheet = np.asarray(contact_sheet("title", pairs(count)))
    for color in ((255, 0, 0), (0, 0, 255)):
        assert (sheet == color).all(axis=-1).sum() == count * 160 * 120
    assert max(sheet.shape) < 2000


def test_rows_are_as_high_as_their_pictures() -> None:
    flat = [Pair("a", *(small(Image.new("RGB", (160, 10))) for _ in range(2)))]
    high = [Pair("a", *(small(Image.new("RGB", (10, 160))) for _ in range(2)))]
    assert contact_sheet("t", high).height - contact_sheet("t", flat).height == 150


def test_names_are_written_also_long_and_foreign_ones() -> None:
    plain = np.asarray(contact_sheet("t", pairs(1, "")))
    for name in ("b.png", "long" * 100, "日本.png", "\ufffd\n.png"):
        named = np.asarray(contact_sheet("t", pairs(1, name)))
        assert named.shape == plain.shape
        assert (named != plain).any()
        assert (named[:, -24:] == plain[:, -24:]).all()  # the margin stays free


def test_pictures_lie_in_the_middle_of_their_row() -> None:
    flat, high = (small(Image.new("RGB", size, "red")) for size in ((160, 10), (10, 160)))
    sheet = np.asarray(contact_sheet("t", [Pair("a", flat, high)]))
    left, right = (np.nonzero((part == (255, 0, 0)).all(axis=-1))[0] for part in halves(sheet))
    assert left.min() + left.max() == right.min() + right.max()


def halves(sheet: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    middle = sheet.shape[1] // 2
    return sheet[:, :middle], sheet[:, middle:]
