"""Text on pictures."""

import unicodedata

from nvn.lettering import drawable, font


def test_text_is_in_letters_that_the_font_has() -> None:
    assert drawable("Ärger, é 怒\n") == "Ärger, é ??"
    assert drawable(unicodedata.normalize("NFD", "Ärger")) == "Ärger"  # as macOS names files
    assert drawable("Łódź, Ελλάδα, Москва, × – …") == "Łódź, Ελλάδα, Москва, × – …"
    assert drawable("q\u0308") == "q"  # no letter with this accent
    assert drawable("ﬁ") == "fi"
    assert drawable("\x1b[2J") == "?[2J"


def test_an_umlaut_is_drawn() -> None:
    letters = font(20)
    assert bytes(letters.getmask("ü")) not in (bytes(letters.getmask("u")), b"")
