"""The board, as it is drawn: within its width, with whole numbers, calm without color."""

from __future__ import annotations

import io
import math
from dataclasses import replace

import pytest
from rich.console import Console

from nvn.console.board import Board, EnergyRow, PlayerRow, Stretch, TeamRow

FALLING = tuple(2.0 - 0.05 * i for i in range(30))
PULLS = (("l1(fake, peak)", 0.974), ("C", 0.0253), ("Dp", 0.00042))
G = PlayerRow("G", FALLING, 0.0741, 2e-4, PULLS)
E = PlayerRow("E", FALLING[::-1], 1.27, 2e-4)
D = PlayerRow("D", (*FALLING, -0.00123), 123.4, 1.234e-4)
BOARD = Board(
    (Stretch("main", 1500, 3000, 1512.0), Stretch("whole run", 2500, 4000, 1512.0)),
    ("1.04 steps/s", "66 samples/s", "24 min 2 s"),
    (TeamRow("synthesis", (G, E), -0.4), TeamRow("", (D,), 1.1, ahead=True)),
    tuple(EnergyRow(f"cross_entropy(E.recognize(f{i}), label)", FALLING) for i in range(5)),
)


def drawn(board: Board, width: int = 120, height: int = 40, **how: object) -> list[str]:
    paper = Console(file=io.StringIO(), width=width, height=height, **how)  # type: ignore[arg-type]
    paper.print(board)
    text: str = paper.file.getvalue()  # type: ignore[attr-defined]
    return text.splitlines()


@pytest.mark.parametrize("width", [48, 64, 80, 100, 120, 200])
def test_it_fits_and_its_numbers_are_whole(width: int) -> None:
    lines = drawn(BOARD, width)
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    for part in ("1500/3000", "2500/4000", "25 min 12 s left", "0.0741", "2e-4", "1.23e-4"):
        assert part in text
    for part in ("synthesis", "-0.00123", "123", "66 samples/s", "objective", "gradient"):
        assert part in text


def test_forty_characters_will_do() -> None:
    lines = drawn(BOARD, 40)
    assert max(map(len, lines)) <= 40
    text = "\n".join(lines)
    for part in ("1500/3000", "25 min 12 s left", "synthesis", "-0.00123", "0.0741", "gradient"):
        assert part in text
    assert "rate" not in text


def test_pulls_are_shown_where_there_is_room() -> None:
    (line,) = (line for line in drawn(BOARD, 120) if line.startswith("  G"))
    assert line.rstrip().endswith("97 % l1(fake, peak), 2.5 % C, 0.042 % Dp")
    (line,) = (line for line in drawn(BOARD, 80) if line.startswith("  G"))
    assert "  97 % l1(fake" in line  # the share, whatever is cut off
    assert "97 %" not in "\n".join(drawn(BOARD, 64))


def test_trends_are_arrows_where_there_is_little_room() -> None:
    assert any("↓" in line for line in drawn(BOARD, 48))
    assert any("▁" in line for line in drawn(BOARD, 80))


def test_who_is_ahead_is_green() -> None:
    lines = drawn(BOARD, force_terminal=True, color_system="standard")
    assert [line for line in lines if line.startswith("\x1b[1;32mD ")]
    assert not [line for line in lines if line.startswith("\x1b[1;32msynthesis")]


def test_without_color_it_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    text = "\n".join(drawn(BOARD, force_terminal=True))
    assert "\x1b[1mmain" in text
    assert "3" not in [code[:1] for code in text.split("\x1b[")[1:]]


def test_letters_alone_will_do() -> None:
    class Ascii(io.StringIO):
        encoding = "ascii"

    paper = Console(file=Ascii(), width=100)
    paper.print(replace(BOARD, stretches=BOARD.stretches[:1]))
    text = paper.file.getvalue()  # type: ignore[attr-defined]
    assert text.isascii()
    assert "1500/3000" in text


def test_a_low_window_shows_fewer_energies() -> None:
    many = replace(BOARD, energies=tuple(EnergyRow(f"e{i}", (1.0,)) for i in range(50)))
    text = "\n".join(drawn(many, height=24))
    assert "and 4" in text
    assert len(drawn(many, height=24)) <= 24


def test_the_start_has_nothing_to_show_yet() -> None:
    start = Board((Stretch("main", 0, 10),), (), (TeamRow("", (PlayerRow("G"),)),))
    text = "\n".join(drawn(start))
    assert "0/10" in text
    assert "left" not in text


def test_what_is_not_finite_is_shown() -> None:
    broken = replace(
        BOARD,
        teams=(TeamRow("", (PlayerRow("G", (1.0, math.nan), math.inf, 0.1),), math.nan),),
    )
    assert "nan" in "\n".join(drawn(broken))
