"""Names for slots, constants and players: identifiers made of what people wrote, each once."""

from __future__ import annotations

import keyword
import re
from collections import Counter
from collections.abc import Iterable


class Names:
    """Makes identifiers of what people wrote, each once."""

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = {*taken}
        self._next: Counter[str] = Counter()

    def reserve(self, name: str) -> None:
        """Let nothing have this name."""
        self._taken.add(name)

    def fresh(self, wanted: str) -> str:
        """Return an identifier like `wanted` that nothing has yet.

        >>> names = Names(taken=["D"])
        >>> names.fresh("D(fake, f)"), names.fresh("D(fake, f)"), names.fresh("lambda")
        ('D_fake_f', 'D_fake_f_2', 'lambda_')
        """
        base = re.sub(r"\W+", "_", wanted, flags=re.ASCII).strip("_") or "x"
        base = f"_{base}" if base[0].isdigit() else base
        base = f"{base}_" if keyword.iskeyword(base) else base
        name = base
        while name in self._taken:
            self._next[base] += 1
            name = f"{base}_{self._next[base] + 1}"
        self._taken.add(name)
        return name


# Names that the loop uses itself (emit.py): no slot and no constant may hide them.
RESERVED = (
    "accumulate",
    "alias",
    "batch",
    "commit",
    "detached",
    "evaluating",
    "float",
    "gradient",
    "leaf",
    "on_copies",
    "p",
    "recorded",
    "run",
    "step",
    "total",
    "vjp",
)
