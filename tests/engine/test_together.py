"""Several processes that play one game are the same as one that has all their samples."""

import pytest

from tests.processes import together


@pytest.mark.parametrize(("count", "games"), [(2, 30), (3, 10)])
def test_random_games_are_the_same_in_several_processes(count: int, games: int) -> None:
    said = together(count, "tests.engine.together", str(games), str(count))
    assert [text.splitlines()[-1] for text in said] == [
        f"process {rank} of {count}: the same" for rank in range(count)
    ]
