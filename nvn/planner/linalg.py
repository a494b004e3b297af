"""Exact linear algebra over the rationals: one elimination, and what is read off it.

>>> from fractions import Fraction
>>> reduced, pivots = rref([[Fraction(1), Fraction(2)], [Fraction(2), Fraction(4)]])
>>> [[str(x) for x in row] for row in reduced], pivots
([['1', '2'], ['0', '0']], (0,))
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import lcm
from typing import TypeAlias

Matrix: TypeAlias = Sequence[Sequence[Fraction]]


def rref(matrix: Matrix) -> tuple[list[list[Fraction]], tuple[int, ...]]:
    """Return the reduced row echelon form of a matrix, and the columns of its pivots.

    Elimination is fraction-free (Bareiss 1968, "Sylvester's identity and multistep
    integer-preserving Gaussian elimination"): rows are scaled to integers, and each step divides
    by the pivot before, which leaves no rest. So no number outgrows the minors of the matrix, and
    no greatest common divisor is ever taken.
    """
    rows = [_integers(row) for row in matrix]  # a multiple of a row has the same echelon form
    pivots: list[int] = []
    scale = 1  # what every pivot is, for now, in place of 1
    for column in range(len(rows[0]) if rows else 0):
        place = len(pivots)
        found = next((i for i in range(place, len(rows)) if rows[i][column]), None)
        if found is None:
            continue
        rows[place], rows[found] = rows[found], rows[place]
        pivot, head = rows[place][column], rows[place]
        for i, row in enumerate(rows):
            if i != place:
                share = row[column]
                rows[i] = [(pivot * x - share * y) // scale for x, y in zip(row, head, strict=True)]
        pivots.append(column)
        scale = pivot
    return [[Fraction(x, scale) for x in row] for row in rows], tuple(pivots)


def rank(matrix: Matrix) -> int:
    """Return how many rows (or columns) of a matrix are independent."""
    return len(rref(matrix)[1])


def solve(rows: Matrix, target: Sequence[Fraction]) -> list[Fraction] | None:
    """Return numbers x with Σ x[i]·rows[i] = target; None if there are none.

    Rows that depend on those before them get 0.
    """
    augmented = [list(equation) for equation in zip(*rows, target, strict=True)]
    reduced, pivots = rref(augmented)
    if len(rows) in pivots:  # 0 = 1: the target is no sum of the rows
        return None
    solution = [Fraction(0)] * len(rows)
    for i, column in enumerate(pivots):
        solution[column] = reduced[i][-1]
    return solution


def _integers(row: Sequence[Fraction]) -> list[int]:
    common = lcm(*(x.denominator for x in row))
    return [x.numerator * (common // x.denominator) for x in row]
