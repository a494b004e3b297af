"""`nvn sample`: pictures that a trained game makes from noise."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nvn.errors import RunError
from nvn.files import atomic_write, disk

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["sample"]


def sample(
    run: Annotated[
        Path,
        typer.Argument(metavar="RUN", help="A run's folder, or runs/RECIPE for its latest run."),
    ],
    out: Annotated[
        Path,
        typer.Option(help="A file, made.png, for one picture of all; or a folder, for each."),
    ],
    count: Annotated[int, typer.Option("-n", "--count", min=1, help="How many.")] = 64,
    seed: Annotated[
        int | None,
        typer.Option(min=0, max=2**63 - 1, help="What they are drawn from (default: the run's)."),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(metavar="RECIPE", help="The recipe, if it has moved since the run."),
    ] = None,
    trust: Annotated[
        bool,
        typer.Option("--trust", help="Run a recipe's code that lies in the run's folder."),
    ] = False,
    accelerator: Annotated[str, typer.Option(help="cpu, cuda, mps or auto.")] = "auto",
) -> None:
    """Let a trained game make pictures from noise."""
    if out.exists() and (out.is_file() or any(out.iterdir())):
        raise RunError(f"{out} is there already: choose another --out")
    from nvn.console import saying, show

    with saying("loading PyTorch …"):
        from nvn.training.fabric import make_fabric
        from nvn.training.trained import trained

    fabric = make_fabric(accelerator)
    game = trained(run, recipe=recipe, fabric=fabric, trust=trust, telling=show)
    pictures = game.sample(count, seed=seed)
    show(f"samples: {_written(pictures, out)}")


def _written(pictures: Sequence[Image], out: Path) -> str:
    """Write pictures to a file, as a grid, or to a folder, one by one."""
    from nvn.images import grid

    if out.suffix:
        if out.suffix.lower() != ".png":
            raise RunError(f"--out {out}: pictures are written as PNG: {out.with_suffix('.png')}")
        _write(pictures[0] if len(pictures) == 1 else grid(pictures), out)
        return str(out)
    with disk(out, "create"):
        out.mkdir(parents=True, exist_ok=True)
    for number, picture in enumerate(pictures, start=1):
        _write(picture, out / f"{number:05d}.png")
    return f"{len(pictures)} in {out}"


def _write(picture: Image, path: Path) -> None:
    content = io.BytesIO()
    picture.save(content, format="PNG")
    atomic_write(path, content.getvalue())
