"""Values: what a game computes, declared before any tensor exists.

A value is a node of the loss graph. Its `op` says how it comes about; its arguments may be trees
of other values and constants. Values are interned by their game: the same call is the same value.
Arithmetic with energies, which are values too, makes weighted sums of them: objectives.
"""

from nvn.game.values.expressions import LONGEST, expression, expressions, written
from nvn.game.values.ops import Apply, Batch, Call, Gradient, Item, Noise, Op, Sample, StopGradient
from nvn.game.values.sums import Term, WeightedSum, as_sum, hashable
from nvn.game.values.value import Energy, Value
from nvn.game.values.weights import StepFunction, Symbol, Weight

__all__ = [
    "LONGEST",
    "Apply",
    "Batch",
    "Call",
    "Energy",
    "Gradient",
    "Item",
    "Noise",
    "Op",
    "Sample",
    "StepFunction",
    "StopGradient",
    "Symbol",
    "Term",
    "Value",
    "Weight",
    "WeightedSum",
    "as_sum",
    "expression",
    "expressions",
    "hashable",
    "written",
]
