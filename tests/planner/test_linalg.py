"""One exact elimination: echelon form, rank, and sums of rows."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations, permutations
from math import prod

from hypothesis import given, settings
from hypothesis import strategies as st

from nvn.planner.linalg import rank, rref, solve

Rows = list[list[Fraction]]

entries = st.one_of(
    st.sampled_from([Fraction(0), Fraction(1), Fraction(-1), Fraction(0.1), Fraction(1e-30)]),
    st.fractions(min_value=-5, max_value=5, max_denominator=7),
)


@st.composite
def matrices(draw: st.DrawFn) -> Rows:
    """Up to 4 × 4, with rows that depend on others."""
    width = draw(st.integers(0, 4))
    rows = draw(st.lists(st.lists(entries, min_size=width, max_size=width), max_size=3))
    if rows and draw(st.booleans()):
        numbers = [draw(entries) for _ in rows]
        rows.insert(draw(st.integers(0, len(rows))), combined(numbers, rows))
    return rows


def combined(numbers: list[Fraction], rows: Rows) -> list[Fraction]:
    columns = zip(*rows, strict=True)
    return [sum((a * x for a, x in zip(numbers, c, strict=True)), Fraction(0)) for c in columns]


def determinant(square: Rows) -> Fraction:
    """By Leibniz: Σ over permutations of sign · product."""
    total = Fraction(0)
    for order in permutations(range(len(square))):
        sign = (-1) ** sum(a > b for a, b in combinations(order, 2))
        total += sign * prod((square[i][j] for i, j in enumerate(order)), start=Fraction(1))
    return total


def by_minors(rows: Rows) -> int:
    """The largest square of rows and columns whose determinant is not zero."""
    width = len(rows[0]) if rows else 0
    squares = (
        [[row[j] for j in columns] for row in some]
        for size in range(min(len(rows), width), 0, -1)
        for some in combinations(rows, size)
        for columns in combinations(range(width), size)
    )
    return next((len(square) for square in squares if determinant(square)), 0)


exactly = settings(max_examples=300, deadline=None, derandomize=True)


@exactly
@given(matrices())
def test_the_rank_is_the_largest_minor(rows: Rows) -> None:
    assert rank(rows) == by_minors(rows)


@exactly
@given(matrices())
def test_the_echelon_form(rows: Rows) -> None:
    """Pivots are 1, alone in their columns, further right row by row; rows below are zero."""
    reduced, pivots = rref(rows)
    assert [*pivots] == sorted(pivots)
    for i, column in enumerate(pivots):
        assert [row[column] for row in reduced] == [Fraction(k == i) for k in range(len(rows))]
        assert not any(reduced[i][:column])
    assert not any(x for row in reduced[len(pivots) :] for x in row)


@exactly
@given(matrices())
def test_the_echelon_form_spans_the_same_rows(rows: Rows) -> None:
    """What makes a row of the reduced ones stands in the row, at the pivots."""
    reduced, pivots = rref(rows)
    for row in rows:
        assert combined([row[c] for c in pivots], reduced[: len(pivots)]) == row if pivots else True
    assert rref(reduced) == (reduced, pivots)


@exactly
@given(matrices(), st.data())
def test_sums_are_found_exactly(rows: Rows, data: st.DataObject) -> None:
    """A sum of rows is found to be one; anything else is not."""
    if not rows:
        return
    target = combined([data.draw(entries) for _ in rows], rows)
    found = solve(rows, target)
    assert found is not None
    assert combined(found, rows) == target
    other = [data.draw(entries) for _ in target]
    found = solve(rows, other)
    assert (found is None) == (rank([*rows, other]) > rank(rows))
    assert found is None or combined(found, rows) == other


def test_nothing_at_all() -> None:
    assert rref([]) == ([], ())
    assert rank([[], []]) == 0
    assert solve([], []) == []
