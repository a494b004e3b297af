"""Commands of the first-party plugins; `nvn --help` imports this file, so torch comes later."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

import nvn

__all__ = ["export"]


def export(
    run: Annotated[
        Path,
        typer.Argument(metavar="RUN", help="A run's folder, or runs/RECIPE for its latest run."),
    ],
    player: Annotated[str, typer.Option(help="The player to write, such as G.")],
    out: Annotated[Path, typer.Option(help="The file, or the folder for a hub; not there yet.")],
    to: Annotated[
        Literal["torch", "onnx", "hub"],
        typer.Option(help="A torch.export program, ONNX, or a folder with a model card."),
    ] = "torch",
    recipe: Annotated[
        str | None,
        typer.Option(metavar="RECIPE", help="The recipe, if it has moved since the run."),
    ] = None,
    trust: Annotated[
        bool, typer.Option("--trust", help="Run a recipe's code that lies in the run's folder.")
    ] = False,
) -> None:
    """Write a trained player for use without nvn, and verify what was written."""
    from .export import export_player

    game = nvn.trained(run, recipe=recipe, trust=trust, telling=typer.echo)
    found = export_player(game, player, to, out)
    typer.echo(f"{player}: {out}: {found}")
