import pickle

import pytest

from nvn.errors import ConfigError, DataError, GameError, NvnError, Problem, RunError, did_you_mean

FULL = Problem("`G.minimizes(…)`", "nothing", "something", "write it", ("D", "G"))


def test_a_problem_says_where_what_expected_edit_and_names() -> None:
    assert str(FULL).splitlines() == [
        "`G.minimizes(…)`: nothing",
        "    expected: something",
        "    fix: write it",
        "    known names: D, G",
    ]


def test_a_problem_leaves_out_what_it_does_not_know() -> None:
    assert str(Problem("here", "this")) == "here: this"


def test_a_game_error_lists_every_problem() -> None:
    error = GameError([FULL, Problem("here", "this")], "gan")
    assert error.problems == (FULL, Problem("here", "this"))
    assert str(error).startswith("2 problems with the game 'gan':\n\n1. `G.minimizes")
    assert "\n\n2. here: this" in str(error)


def test_a_game_error_of_one_problem() -> None:
    error = GameError(FULL)
    assert error.problems == (FULL,)
    assert str(error).startswith("1 problem with this game:")


def test_a_game_error_survives_pickling() -> None:
    error = GameError([FULL], "gan")
    again = pickle.loads(pickle.dumps(error))
    assert again.problems == error.problems
    assert str(again) == str(error)


@pytest.mark.parametrize("kind", [ConfigError, DataError, GameError, RunError])
def test_all_errors_are_nvn_errors(kind: type) -> None:
    assert issubclass(kind, NvnError)


def test_did_you_mean() -> None:
    assert did_you_mean("stesp", ["steps", "lr"]) == " Did you mean 'steps'?"
    assert did_you_mean("color", ["steps", "lr"]) == ""
