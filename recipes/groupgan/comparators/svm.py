"""Weak pictures described by hand-crafted features, and scikit-learn's linear machine for them.

Letters: N pictures, F features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import Tensor

import nvn
from nvn.data import TensorBatches

from ..data.batches import LaterBatches
from ..data.pairs import Pairs, Split

if TYPE_CHECKING:
    from sklearn.model_selection import GridSearchCV

Describe: TypeAlias = Callable[[Tensor], Tensor]  # (N, C, H, W) uint8 → (N, F)
AT_ONCE = 64 * 128 * 128  # pixels described at once
FEW = 24  # pictures that show whether everything fits
TRIED = tuple(10.0**power for power in range(-6, -1))  # for C, what an error costs
PARTS = 3  # of the training people, one left out at a time


@dataclass(frozen=True)
class Table:
    """Features (N, F) float32, the class of each row (N,) and the person of each row (N,)."""

    features: Tensor
    label: Tensor
    subject: Tensor

    def __len__(self) -> int:
        return len(self.label)


@dataclass(frozen=True, eq=False)
class Described:
    """A split's weak pictures as tables of features: computed once, kept in memory.

    Its tables raise a DataError if there is nobody to test on: before training, not after it.

    Attributes:
        split: The pictures. Of larger ones the middle is seen, when training too.
        describe: What makes features of pictures.
    """

    split: Split
    describe: Describe

    @cached_property
    def width(self) -> int:
        """How many features there are; no picture is read to tell."""
        side = self.split.size
        return self.describe(torch.zeros(1, 1, side, side, dtype=torch.uint8)).shape[1]

    @property
    def train(self) -> Table:
        """The table of the people to learn from."""
        return self._tables[0]

    @property
    def test(self) -> Table:
        """The table of people never seen in training."""
        return self._tables[1]

    def sample(self, count: int) -> Table:
        """Return a table of `count` or more pictures quickly."""
        return self._described(self.split.source.sample(count), lambda done: None)

    @cached_property
    def _tables(self) -> tuple[Table, Table]:
        train, test = self.split.train, self.split.test
        with nvn.progress("describing pictures", total=len(train) + len(test)) as bar:
            return self._described(train, bar.advance), self._described(test, bar.advance)

    def _described(self, pairs: Pairs, done: Callable[[int], None]) -> Table:
        described = []
        for numbers in torch.split(pairs.weak, max(1, AT_ONCE // self.split.size**2)):
            described.append(self.describe(self.split.middle(pairs.pictures[numbers])))
            done(len(numbers))
        return Table(torch.cat(described), pairs.label, pairs.subject)


@dataclass(frozen=True)
class Reference:
    """The machine that scikit-learn fits to a split's training people, once it is asked for.

    Attributes:
        described: The features.
    """

    described: Described

    @property
    def C(self) -> float:  # noqa: N802
        """What an error costs, against the norm of the weights: best for people left out."""
        return float(self._search.best_params_["linearsvc__C"])

    def scaled(self, table: Table) -> Tensor:
        """Return features as the machine sees them: mean 0 and deviation 1 in training."""
        scaler = self._search.best_estimator_["standardscaler"]
        return torch.from_numpy(scaler.transform(table.features.numpy()))

    def recognized(self) -> Tensor:
        """Return the classes (N,) it tells in the pictures of the people to test on."""
        return torch.from_numpy(self._search.predict(self.described.test.features.numpy()))

    @cached_property
    def _search(self) -> GridSearchCV:
        with nvn.progress("fitting linear machines"):
            return fitted(self.described.train)

    def batches(self, count: int, seed: int) -> LaterBatches:
        """Return training batches `{"features", "label", "hold"}` for the declared machine.

        `hold` is what its norm weighs, 1/(C·N), for N rows to learn from: known only once these are
        read, so a column of the batch and no setting.
        """

        def of(table: Table, features: Tensor, C: float, count: int) -> TensorBatches:
            hold = torch.full((len(table),), 1 / (C * len(table)))
            columns = {"features": features, "label": table.label, "hold": hold}
            return TensorBatches(columns, count, seed)

        def every() -> TensorBatches:
            train = self.described.train
            return of(train, self.scaled(train), self.C, count)

        def few() -> TensorBatches:  # no machine is fitted: only rows are looked at
            table = self.described.sample(min(count, FEW))
            return of(table, table.features, TRIED[0], len(table))

        return LaterBatches(every, few)


def fitted(table: Table) -> GridSearchCV:
    """Return scikit-learn's machine, its C the one by which people left out are recognized best.

    Raises:
        DataError: If too few people, or of too few classes, are to be learned from.
        ConfigError: If scikit-learn is not installed.
    """
    make_pipeline = _sklearn("pipeline").make_pipeline
    # The dual problem is solved by drawing rows at random.
    machine = _sklearn("svm").LinearSVC(dual="auto", random_state=0, max_iter=10_000)
    search = _sklearn("model_selection").GridSearchCV(
        make_pipeline(_sklearn("preprocessing").StandardScaler(), machine),
        {"linearsvc__C": TRIED},
        cv=list(left_out(table)),
    )
    found: GridSearchCV = search.fit(table.features.numpy(), table.label.numpy())
    return found


def left_out(table: Table) -> Iterator[tuple[Any, Any]]:
    """Yield the rows that remain and those left out, each person left out once, classes alike.

    Raises:
        DataError: If too few people, or of too few classes, are to be learned from.
    """
    people = len(torch.unique(table.subject))
    if people < 2:
        raise nvn.DataError(
            f"an SVM's C is chosen on people left out: found {people} to learn from, expected 2 or "
            "more. Give more people, or more folds (--set data.folds=…)"
        )
    splitter = _sklearn("model_selection").StratifiedGroupKFold(min(PARTS, people))
    labels, groups = table.label.numpy(), table.subject.numpy()
    for rest, part in splitter.split(labels, labels, groups):
        if len(set(labels[rest])) < 2:
            raise nvn.DataError(
                "an SVM's C is chosen on people left out: without some of them a single expression "
                "remains. Expected two expressions or more, of several people each"
            )
        yield rest, part


def _sklearn(module: str) -> Any:
    return nvn.packages.needed(f"sklearn.{module}", "a linear SVM")
