"""Errors whose messages say what was found, what was expected, and how to fix it.

Every error that nvn raises on purpose derives from `NvnError`; the command line shows its message
without a traceback, because the message is meant to be enough. Any other error is a bug,
ours or the recipe's.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = [
    "ConfigError",
    "DataError",
    "GameError",
    "GameWarning",
    "IncompleteError",
    "NvnError",
    "NvnWarning",
    "Problem",
    "RunError",
    "did_you_mean",
]


class NvnError(Exception):
    """Base class of all errors that nvn raises on purpose. The message says what to change.

    >>> try:
    ...     raise DataError("photos: there is no such folder")
    ... except NvnError as error:
    ...     print("error:", error)
    error: photos: there is no such folder
    """


class ConfigError(NvnError):
    """An invalid recipe, configuration or command-line value.

    >>> import nvn
    >>> class Config(nvn.Config):
    ...     steps: int = 100
    >>> Config.build(settings={"stesp": 3})
    Traceback (most recent call last):
    nvn.errors.ConfigError: there is no setting 'stesp'. Did you mean 'steps'? Settings: steps
    """


class DataError(NvnError):
    """Data that cannot be read, or that do not fit the game.

    >>> import nvn
    >>> next(nvn.data.batches([]))
    Traceback (most recent call last):
    nvn.errors.DataError: the data gave no batch at all
    """


class RunError(NvnError):
    """A run that cannot start or continue: no space, a loss that is not finite, no such device.

    >>> from pathlib import Path
    >>> import nvn
    >>> nvn.files.atomic_write(Path("no folder/notes.txt"), b"")
    Traceback (most recent call last):
    nvn.errors.RunError: cannot write no folder/notes.txt: No such file or directory
    """


class IncompleteError(RunError):
    """A run whose training is complete and saved, and beside which something failed.

    An evaluation or a preview raised an error, or a picture could not be written: each was told of
    when it happened. The cause is the first of their errors.

    >>> issubclass(IncompleteError, RunError)
    True
    """


class NvnWarning(UserWarning):
    """A warning that is printed without the line of code that raised it.

    >>> import warnings
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     warnings.warn("2 pictures are left out", NvnWarning)
    >>> print(caught[0].message)
    2 pictures are left out
    """


class GameWarning(NvnWarning):
    """A game that is valid but probably not what was meant.

    >>> import warnings
    >>> import nvn, torch
    >>> game = nvn.Game("toy")
    >>> x, forgotten = game.batch("x", "forgotten")
    >>> f = game.player("f", torch.nn.Linear(1, 1))
    >>> f.minimizes(nvn.energies.mse(f(x), x))
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     _ = nvn.plan(game, nvn.alternating(f))
    >>> [warning.category.__name__ for warning in caught]
    ['GameWarning']
    """


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem of a game: where, what was found and expected, and how to fix it.

    Attributes:
        where: The place in the declaration, in the reader's words: "`G.minimizes(…)`".
        found: What is there now.
        expected: What must be there instead; may be empty if `found` says it all.
        edit: The change that fixes it; may be empty.
        known: The names that exist, if the problem is a wrong name.

    >>> print(Problem("`G.minimizes(…)`", "a list of energies", "an energy, or a sum of energies"))
    `G.minimizes(…)`: a list of energies
        expected: an energy, or a sum of energies
    """

    where: str
    found: str
    expected: str = ""
    edit: str = ""
    known: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [f"{self.where}: {self.found}"]
        if self.expected:
            lines.append(f"expected: {self.expected}")
        if self.edit:
            lines.append(f"fix: {self.edit}")
        if self.known:
            lines.append(f"known names: {', '.join(self.known)}")
        return "\n    ".join(lines)


class GameError(NvnError):
    """All problems of a game, reported at once.

    Attributes:
        game: The game's name, empty if unknown.
        problems: Every problem found, in the order of the declaration.

    >>> import nvn, torch
    >>> game = nvn.Game("toy")
    >>> G, D = (game.player(name, torch.nn.Linear(1, 1)) for name in "GD")
    >>> try:
    ...     nvn.plan(game, nvn.alternating(G, D))
    ... except GameError as error:
    ...     print(error.game, len(error.problems))
    toy 4
    """

    def __init__(self, problems: Iterable[Problem] | Problem, game: str = "") -> None:
        self.game = game
        self.problems = (problems,) if isinstance(problems, Problem) else tuple(problems)
        super().__init__(self._message())

    def __reduce__(self) -> tuple[type[GameError], tuple[tuple[Problem, ...], str]]:
        # Exception pickles its message as the arguments; ours is rebuilt from the problems.
        return type(self), (self.problems, self.game)

    def _message(self) -> str:
        of_game = f" with the game {self.game!r}" if self.game else " with this game"
        count = len(self.problems)
        title = f"{count} problem{'' if count == 1 else 's'}{of_game}:"
        numbered = (f"{i}. {problem}" for i, problem in enumerate(self.problems, start=1))
        return "\n\n".join([title, *numbered])


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return " Did you mean 'x'?" for the known name closest to `name`, or "" if none is close.

    >>> did_you_mean("stesp", ["steps", "size"])
    " Did you mean 'steps'?"
    >>> did_you_mean("color", ["steps", "size"])
    ''
    """
    near = difflib.get_close_matches(name, list(known), n=1)
    return f" Did you mean {near[0]!r}?" if near else ""
