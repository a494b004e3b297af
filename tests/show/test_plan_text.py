"""An explained plan as text, on 80 columns."""

from nvn.show.plan_text import WIDTH, plan_text
from tests.show.small_plan import team


def test_it_reads_well_on_80_columns() -> None:
    lines = plan_text(team()).splitlines()
    assert max(map(len, lines)) <= WIDTH
    start = lines.index("2. (G, E)")
    assert lines[start : start + 14] == [
        "2. (G, E)",
        "   calls     D(fake)",
        "   reuses    E(x), fake",
        "   backward  1 pass each, for E: E(x)",
        "   backward  1 pass through D(fake), for G and E: rank 1 of",
        "                  [1]",
        "               G    2   own pass",
        "               E  0.5   = 0.25 × G",
        "               [1] fool",
        "   backward  2 passes through fake, for G and E: rank 2 of",
        "                  [1]  [2]",
        "               G    2    1   own pass",
        "               E  0.5    0   own pass",
        "               [1] fool",
    ]
