"""Formulas: an energy as one line of PyTorch, for a loop that is written out, and for the docs.

A function of the library carries its formulas with it; those of an adversarial family are read off
the family's own source, so that they cannot drift from it:

    >>> from nvn.energies import LeastSquares
    >>> from nvn.energies.adversarial import LogitLoss
    >>> (formula,) = LogitLoss(LeastSquares(), LeastSquares.on_real).formulas
    >>> formula.expression
    '(0.5 * (logits - 1.0).square()).mean()'
    >>> formula.written({"logits": "D_real"})
    '(0.5 * (D_real - 1.0).square()).mean()'

A formula takes tensors of one floating-point type and of shapes that fit: it neither raises
precision nor checks, as the function does that it is the formula of.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

Fn = TypeVar("Fn", bound=Callable[..., Any])
Together = Literal["mean", "sum"]


@dataclass(frozen=True)
class Formula:
    """A function, as an expression.

    Attributes:
        parameters: The names of its arguments.
        expression: Python, of these names, of `torch`, `F` (torch.nn.functional) and `tensors`,
            which returns the tensors of a tree.
        together: How the numbers of several scales or layers become one, where arguments may be
            trees; None where they may not.
        names: What other names in the expression stand for.
    """

    parameters: tuple[str, ...]
    expression: str
    together: Together | None = None
    names: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def written(self, arguments: Mapping[str, str], *, trees: bool = False) -> str:
        """Return the expression of some arguments, which are Python themselves.

        Args:
            arguments: Each parameter's.
            trees: Whether the arguments are trees of tensors, leaf by leaf.

        Raises:
            ValueError: The function is none of trees.

        >>> distance = Formula(("a", "b"), "(a - b).abs().mean()", "sum")
        >>> distance.written({"a": "x", "b": "-y"})
        '(x - -y).abs().mean()'
        >>> Formula(("a",), "a.mean()", "sum").written({"a": "x"}, trees=True)
        'torch.stack([a.mean() for a in tensors(x)]).sum()'
        """
        if not trees:
            return _substituted(self.expression, arguments)
        if self.together is None:
            raise ValueError(f"{self.expression} is of tensors, not of trees of them")
        given = [f"tensors({arguments[name]})" for name in self.parameters]
        pairs = given[0] if len(given) == 1 else f"zip({', '.join(given)}, strict=True)"
        each = f"{self.expression} for {', '.join(self.parameters)} in {pairs}"
        return f"torch.stack([{each}]).{self.together}()"


def formula(
    expression: str, *, together: Together | None = None, **options: str
) -> Callable[[Fn], Fn]:
    """Note the formula of a function: of its parameters without a default.

    Args:
        expression: The formula.
        together: As in `Formula`.
        options: For a parameter with a default, the formula where it is given.
    """

    def noted(fn: Fn) -> Fn:
        parameters = inspect.signature(fn).parameters.values()
        needed = tuple(p.name for p in parameters if p.default is p.empty)
        written = {needed: expression}
        written |= {(*needed, name): text for name, text in options.items()}
        fn.formulas = tuple(  # type: ignore[attr-defined]
            Formula(names, text, together, _used(text, names, fn.__globals__))
            for names, text in written.items()
        )
        return fn

    return noted


def formula_of(fn: Callable[..., Any], given: Collection[str]) -> Formula | None:
    """Return the formula that a function carries for these arguments; None if it has none."""
    carried: tuple[Formula, ...] = getattr(fn, "formulas", ())
    return next((each for each in carried if {*each.parameters} == {*given}), None)


def mean_of(method: Callable[..., Any], owner: object) -> Formula | None:
    """Return the formula of the mean of what a method returns of one tensor.

    Args:
        method: A function (self, tensor); its body is one `return`, perhaps below a docstring.
        owner: The `self`; what the method reads of it are numbers.

    Returns:
        The formula; None if the method is not written like that.
    """
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(method)))
    except (OSError, TypeError, SyntaxError):
        return None
    found = tree.body[0]
    if not isinstance(found, ast.FunctionDef) or found.decorator_list:
        return None
    body = [x for x in found.body if not (isinstance(x, ast.Expr) and _is_text(x.value))]
    names = [argument.arg for argument in found.args.args]
    if len(body) != 1 or not isinstance(body[0], ast.Return) or len(names) != 2:
        return None
    returned = body[0].value
    if returned is None or not _reads_numbers(returned, names[0], owner):
        return None
    written = ast.unparse(_Read(names[0], owner).visit(returned))
    used = _used(written, names[1:], method.__globals__)
    return Formula((names[1],), _mean(written), "mean", used)


def _used(
    expression: str, parameters: Collection[str], scope: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Return what the names in an expression stand for that are no parameters."""
    tree = ast.walk(ast.parse(expression))
    free = {x.id for x in tree if isinstance(x, ast.Name)} - {*parameters}
    return {name: scope[name] for name in sorted(free) if name in scope}


def _mean(expression: str) -> str:
    """Return the mean of an expression; the minus of what is negated stands in front of it."""
    tree = ast.parse(expression, mode="eval").body
    if isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.USub):
        return f"-{_mean(ast.unparse(tree.operand))}"
    simple = isinstance(tree, ast.Name | ast.Call | ast.Attribute)
    return f"{expression}.mean()" if simple else f"({expression}).mean()"


def _is_text(x: ast.expr) -> bool:
    return isinstance(x, ast.Constant) and isinstance(x.value, str)


def _reads_numbers(tree: ast.expr, name: str, owner: object) -> bool:
    """Tell whether all that an expression does with a name is to read numbers of it."""
    attributes = [
        x for x in ast.walk(tree) if isinstance(x, ast.Attribute) and _is_named(x.value, name)
    ]
    uses = [x for x in ast.walk(tree) if _is_named(x, name)]
    numbers = [type(getattr(owner, x.attr, None)) in (int, float) for x in attributes]
    return len(uses) == len(attributes) and all(numbers)


def _is_named(x: ast.AST, name: str) -> bool:
    return isinstance(x, ast.Name) and x.id == name


class _Read(ast.NodeTransformer):
    """Puts numbers in place of what an expression reads of an object."""

    def __init__(self, name: str, owner: object) -> None:
        self._name, self._owner = name, owner

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        if _is_named(node.value, self._name):
            return ast.parse(repr(getattr(self._owner, node.attr)), mode="eval").body
        return self.generic_visit(node)


class _Substitute(ast.NodeTransformer):
    """Puts expressions in place of names."""

    def __init__(self, arguments: Mapping[str, str]) -> None:
        self._arguments = arguments

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id not in self._arguments:
            return node
        return ast.parse(self._arguments[node.id], mode="eval").body


def _substituted(expression: str, arguments: Mapping[str, str]) -> str:
    return ast.unparse(_Substitute(arguments).visit(ast.parse(expression, mode="eval")))
