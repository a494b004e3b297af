"""Names: identifiers, each once."""

from nvn.planner.names import Names


def test_no_name_is_taken_twice_nor_reserved() -> None:
    names = Names(["batch"])
    assert [names.fresh(x) for x in ("batch", "a-b", "a b", "2x", "class", "δ")] == [
        "batch_2",
        "a_b",
        "a_b_2",
        "_2x",
        "class_",
        "x",
    ]
