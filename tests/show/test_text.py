"""The game as text."""

from nvn.show.text import text
from tests.show.small_graph import small_graph


def test_the_text_names_players_with_their_roles() -> None:
    told = text(small_graph())
    assert "G  Linear, 9 parameters, team makers" in told
    assert "D  Linear, 4 parameters, alone" in told
    assert "C  Linear, 4 parameters, frozen" in told


def test_the_text_says_how_named_values_are_made() -> None:
    lines = [line.strip() for line in text(small_graph()).splitlines()]
    assert "fake = G(z)" in lines
    assert "x from the batch" in lines
    assert "z drawn at random" in lines


def test_a_weight_stands_under_its_player() -> None:
    lines = text(small_graph()).splitlines()
    head = next(line for line in lines if line.split() == ["G", "D"])
    row = next(line for line in lines if line.strip().startswith("fake(D(fake))"))
    assert row.split()[1:] == ["-0.5", "1"]
    assert row.index("-0.5") + 4 == head.index("G") + 1  # right-aligned
    assert row.rindex("1") == head.index("D")
