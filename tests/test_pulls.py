"""Pulls as plain values."""

import json

from nvn.pulls import Pull, Pulls


def test_what_is_empty_is_left_out_of_a_line() -> None:
    line = Pulls(5, {"G": {"fool": Pull(2.0)}}, {"G": 2.0}).as_dict()
    assert line == {"G": {"fool": {"norm": 2.0, "share": 1.0, "along": 1.0}}}


def test_everything_known_is_in_a_line_and_is_json() -> None:
    pull = Pull(2.0, 0.5, 0.9, {"mse": -0.1}, {"E": {"fake": 0.3}}, ("D",))
    line = json.loads(json.dumps(Pulls(5, {"G": {"fool": pull}}, {"G": 3.0}).as_dict()))
    assert line["G"]["fool"] == {
        "norm": 2.0,
        "share": 0.5,
        "along": 0.9,
        "cosines": {"mse": -0.1},
        "teammates": {"E": {"fake": 0.3}},
        "through": ["D"],
    }
