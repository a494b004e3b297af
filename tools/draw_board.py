"""Draw docs/images/live.svg: the board of a real run, as it stood at its end. Run by hand.

    python tools/draw_board.py docs/images/live.svg

It trains the 2 v 2 game on faces for a minute or two. Needs nvn with the extra `recipes`.
"""

import dataclasses
import io
import re
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from nvn_recipes import expression_2v2
from rich.console import Console
from rich.text import Text

import nvn
from nvn.console import Board
from nvn.training import reporter

WIDTH = 110
STEPS = 60


class Kept:
    """A screen that keeps the board."""

    def due(self) -> bool:
        """Whether it is time: always."""
        return True

    def show(self, board: Board) -> None:
        """Keep a board."""
        self.board = board

    def close(self) -> None:
        """Keep it."""


def main(path: Path) -> None:
    """Train, and draw."""
    screen = Kept()
    reporter.open_screen = lambda: screen  # type: ignore[assignment]
    recipe = expression_2v2.recipe(expression_2v2.Config())
    short = tuple(dataclasses.replace(phase, steps=1) for phase in recipe.phases)
    recipe = recipe.replace(phases=short, steps=STEPS, evaluations=(), previews=())
    with TemporaryDirectory() as folder:
        nvn.train(recipe, out=Path(folder, "run"), pulls_every=20, plugins=[reporter.Reporter()])
    paper = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, height=60)
    paper.print(Text("expression_2v2: …, main 60 steps, seed 0; into runs/expression_2v2/…"))
    paper.print(screen.board)
    svg = paper.export_svg(title="nvn run recipes/expression_2v2.py")
    # Without the fonts that it would fetch: whoever reads it has a font of its own.
    svg = re.sub(r"<!--.*?-->\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL).replace("Fira Code, ", "")
    path.write_text(svg)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
