"""The linear support vector machine of scikit-learn, its C chosen on people left out."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

import nvn

from .described import Described, Table

if TYPE_CHECKING:
    from sklearn.svm import LinearSVC

SMALLEST = 1e-6  # of what is tried for C: each next is ten times larger
TRIED = 7
PARTS = 3  # of the training people, one left out at a time


class Reference:
    """The machine that scikit-learn fits to a split's training people, once it is asked for."""

    def __init__(self, described: Described) -> None:
        self.described = described

    @cached_property
    def C(self) -> float:  # noqa: N802
        """What an error costs, against the norm of the weights."""
        return chosen(self.described.train)

    def recognized(self) -> Tensor:
        """Return the classes (N,) it tells in the pictures of the people to test on."""
        machine = fitted(self.described.train, self.C)
        return torch.from_numpy(machine.predict(self.described.test.features.numpy()))


def chosen(table: Table) -> float:
    """Return the C by which people left out are recognized best.

    It grows tenfold as long as that helps: large ones take long, and fit the people learned from.

    Raises:
        DataError: If too few people, or of too few classes, are to be learned from.
        ConfigError: If scikit-learn is not installed.
    """
    parts = left_out(table)
    best, highest = SMALLEST, -1.0
    with nvn.progress("choosing C") as bar:
        for C in (SMALLEST * 10.0**power for power in range(TRIED)):
            right = 0
            for rest, part in parts:
                found = fitted(table.take(rest), C).predict(table.features[part].numpy())
                right += int((found == table.label[part].numpy()).sum())
                bar.advance()
            if right <= highest:
                break
            best, highest = C, float(right)
    return best


def left_out(table: Table) -> list[tuple[Tensor, Tensor]]:
    """Return the rows that remain and those left out, each person left out once, classes alike.

    Raises:
        DataError: If too few people, or of too few classes, are to be learned from.
    """
    parts = min(PARTS, len(torch.unique(table.subject)))
    if parts < 2:
        raise nvn.DataError(
            f"an SVM's C is chosen on people left out: found {parts} to learn from, expected 2 or "
            "more. Give more people, or more folds (--set folds=…)"
        )
    splitter = _sklearn("model_selection").StratifiedGroupKFold(parts)
    labels, groups = table.label.numpy(), table.subject.numpy()
    cut = [tuple(map(torch.from_numpy, part)) for part in splitter.split(labels, labels, groups)]
    if any(len(torch.unique(table.label[rest])) < 2 for rest, _ in cut):
        raise nvn.DataError(
            "an SVM's C is chosen on people left out: without some of them a single expression "
            "remains. Expected two expressions or more, of several people each"
        )
    return [(rest, part) for rest, part in cut]


def fitted(table: Table, C: float) -> LinearSVC:
    """Return scikit-learn's machine, fitted to a table."""
    # The dual problem is solved by drawing rows at random.
    machine: Any = _sklearn("svm").LinearSVC(C=C, dual="auto", random_state=0, max_iter=10_000)
    return machine.fit(table.features.numpy(), table.label.numpy())


def _sklearn(module: str) -> Any:
    return nvn.packages.needed(f"sklearn.{module}", "a linear SVM")
