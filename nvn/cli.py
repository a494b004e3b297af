"""The command `nvn`: a verb is a few lines. Whatever is slow to import is imported by its verb."""

from __future__ import annotations

import os
import sys
import warnings
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nvn.errors import NvnError

if TYPE_CHECKING:
    from nvn.recipe.config import Config
    from nvn.recipe.loading import RecipeSource

__all__ = ["app", "main"]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # an error in a recipe keeps Python's own traceback
)

_INTERRUPTED = 130  # what a shell reports of a command ended by Ctrl-C

RecipeName = Annotated[
    str, typer.Argument(metavar="RECIPE", help="A recipe file, or the name of an installed recipe.")
]
Preset = Annotated[str | None, typer.Option(help="A named set of values of the recipe.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="One setting; beats --config. Repeatable."),
]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="A YAML file of settings; beats --preset.")
]
Seed = Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Of everything random.")]


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        from nvn.console import show

        show(f"nvn {version('nvn')}")
        raise typer.Exit


@app.callback()
def nvn(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show it.")
    ] = False,
) -> None:
    """Train adversarial games that are declared, not programmed."""


@app.command()
def run(
    recipe: RecipeName,
    preset: Preset = None,
    settings: Settings = None,
    config: ConfigFile = None,
    seed: Seed = 0,
    max_steps: Annotated[
        int | None, typer.Option(min=1, help="At most so many steps of each phase.")
    ] = None,
    max_time: Annotated[
        str | None, typer.Option(help="Begin no step after this time: 90s, 5m, 1h30m.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="The run's folder, new or empty; runs/RECIPE/TIME if not given."),
    ] = None,
    accelerator: Annotated[str, typer.Option(help="cpu, cuda, mps or auto.")] = "auto",
    devices: Annotated[str, typer.Option(help="How many devices; so far, 1.")] = "1",
    num_nodes: Annotated[int, typer.Option(help="How many machines; so far, 1.")] = 1,
    strategy: Annotated[str, typer.Option(help="Of distribution; so far, auto.")] = "auto",
    precision: Annotated[str, typer.Option(help="32-true, 64-true or bf16-mixed.")] = "32-true",
    compiled: Annotated[
        list[str] | None,
        typer.Option("--compile", metavar="PLAYER", help="Let torch.compile have it. Repeatable."),
    ] = None,
) -> None:
    """Train a recipe. Ctrl-C ends the run after the current step, with everything saved."""
    from nvn.console import Reporter
    from nvn.training.stopping import read_duration

    seconds = None if max_time is None else read_duration(max_time)
    source, chosen = _configured(recipe, preset, settings, config)

    from nvn.training.fabric import make_fabric
    from nvn.training.loop import train

    done = train(
        partial(source.build, chosen),
        seed=seed,
        max_steps=max_steps,
        max_time=seconds,
        out=out,
        fabric=make_fabric(accelerator, devices, num_nodes, strategy, precision),
        compile=compiled or (),
        plugins=[Reporter()],
        files=source.files(chosen),
        origin=source.origin,
    )
    if done.outcome == "interrupted":
        raise typer.Exit(_INTERRUPTED)


@app.command()
def check(
    recipe: RecipeName,
    preset: Preset = None,
    settings: Settings = None,
    config: ConfigFile = None,
    seed: Seed = 0,
) -> None:
    """Build a recipe's game and report every problem, without training."""
    source, chosen = _configured(recipe, preset, settings, config)

    from nvn.console import show
    from nvn.recipe.build import check_recipe

    check_recipe(source.build(chosen), seed)
    show(f"{source.name}: no problems")


@app.command()
def plan(
    recipe: RecipeName,
    preset: Preset = None,
    settings: Settings = None,
    config: ConfigFile = None,
    phase: Annotated[
        str, typer.Option(help="A phase before the game; or main, the game.")
    ] = "main",
    as_json: Annotated[bool, typer.Option("--json", help="Everything, as JSON.")] = False,
    as_source: Annotated[
        bool, typer.Option("--source", help="The loop itself, as the engine runs it.")
    ] = False,
) -> None:
    """Explain what an iteration computes, what it reuses, and what that costs."""
    source, chosen = _configured(recipe, preset, settings, config)

    import json

    from nvn.console import apart, show, show_source
    from nvn.recipe.build import explain_recipe, loop_source
    from nvn.show.plan import text

    if as_source:
        show_source(loop_source(source.build(chosen), phase))
        return
    with apart():
        found = explain_recipe(source.build(chosen), phase)
    show(json.dumps(found, indent=2, ensure_ascii=False) if as_json else text(found))


@app.command()
def eject(
    recipe: RecipeName,
    out: Annotated[Path, typer.Option(metavar="FILE", help="The file of the loop: loop.py, say.")],
    preset: Preset = None,
    settings: Settings = None,
    config: ConfigFile = None,
    phase: Annotated[
        str, typer.Option(help="A phase before the game; or main, the game.")
    ] = "main",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file.")] = False,
) -> None:
    """Write a recipe's training loop to a file that needs torch, and nothing of nvn."""
    from nvn.errors import ConfigError

    if out.exists() and not overwrite:
        raise ConfigError(
            f"{out} is there already; give another --out, or --overwrite to replace it"
        )
    source, chosen = _configured(recipe, preset, settings, config)

    from nvn.console import show
    from nvn.files import atomic_write
    from nvn.recipe.build import eject_recipe

    atomic_write(out, eject_recipe(source.build(chosen), phase).encode())
    show(f"loop: {out}")


@app.command()
def graph(
    recipe: RecipeName,
    preset: Preset = None,
    settings: Settings = None,
    config: ConfigFile = None,
    mermaid: Annotated[bool, typer.Option("--mermaid", help="As a Mermaid diagram.")] = False,
    svg: Annotated[Path | None, typer.Option(metavar="FILE", help="As an SVG picture.")] = None,
) -> None:
    """Show a recipe's game: who computes what, and who minimises what."""
    source, chosen = _configured(recipe, preset, settings, config)

    from nvn.console import show
    from nvn.files import atomic_write
    from nvn.recipe.build import make_graph
    from nvn.show import draw
    from nvn.show import svg as picture

    drawn = make_graph(source.build(chosen))
    if svg is not None:
        atomic_write(svg, picture.svg(drawn).encode())
        show(f"picture: {svg}")
    else:
        show(draw.mermaid(drawn) if mermaid else draw.text(drawn))


@app.command()
def sweep(
    recipes: Annotated[
        list[str],
        typer.Argument(metavar="RECIPE...", help="Recipe files, or names of installed recipes."),
    ],
    over: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=V,V", help="Sweep a setting, or the seed. Repeatable."),
    ] = None,
    folds: Annotated[
        int | None, typer.Option(help="Sets folds, and sweeps fold from 0 to one less.")
    ] = None,
    preset: Preset = None,
    settings: Settings = None,
    config: ConfigFile = None,
    seed: Annotated[
        int | None, typer.Option(min=0, max=2**63 - 1, help="Of all runs, if it is not swept.")
    ] = None,
    max_steps: Annotated[
        int | None, typer.Option(min=1, help="At most so many steps of each phase.")
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(metavar="EVALUATION/METRIC", help="What tables are of. Repeatable."),
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(help="Runs at once; one a CUDA device, or one for two cores.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The sweep's folder; runs/sweeps/… if not given.")
    ] = None,
    accelerator: Annotated[str, typer.Option(help="cpu, cuda, mps or auto.")] = "auto",
    precision: Annotated[str, typer.Option(help="32-true, 64-true or bf16-mixed.")] = "32-true",
) -> None:
    """Run a grid of recipes and settings, and make tables of it. Given again, it goes on."""
    from shlex import join

    from nvn.recipe.config import read_yaml
    from nvn.sweep import Request, sweep

    request = Request(
        recipes=recipes,
        over=over or (),
        folds=folds,
        preset=preset,
        settings=settings or (),
        file={} if config is None else read_yaml(config),
        seed=seed,
        max_steps=max_steps,
        precision=precision,
    )
    outcome = sweep(
        request,
        out=out,
        metrics=metric or (),
        accelerator=accelerator,
        jobs=jobs,
        command=join(["nvn", *sys.argv[1:]]),
    )
    if outcome == "interrupted":
        raise typer.Exit(_INTERRUPTED)


@app.command()
def apply(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="A run's folder; or runs/RECIPE, for its latest.")
    ],
    files: Annotated[
        list[Path], typer.Argument(metavar="FILES...", help="Pictures, or folders of pictures.")
    ],
    out: Annotated[Path, typer.Option(help="The results' folder, new or empty.")],
    recipe: Annotated[
        str | None, typer.Option(metavar="RECIPE", help="The recipe, if it is elsewhere now.")
    ] = None,
    accelerator: Annotated[str, typer.Option(help="cpu, cuda, mps or auto.")] = "auto",
) -> None:
    """Let a trained game work on pictures of your own. Ctrl-C ends it; what is done stays."""
    from nvn.apply.apply import apply_to, check_free, tell
    from nvn.images import find_pictures
    from nvn.training.fabric import make_fabric
    from nvn.training.trained import trained

    pictures = find_pictures(files)
    check_free(out)
    game = trained(run, recipe=recipe, fabric=make_fabric(accelerator))
    applied = apply_to(game, pictures, out)
    tell(applied, len(pictures), out)
    if applied.interrupted:
        raise typer.Exit(_INTERRUPTED)
    if applied.skipped:
        raise typer.Exit(1)


@app.command()
def recipes(
    recipe: Annotated[
        str | None, typer.Argument(help="A recipe whose settings and presets to show.")
    ] = None,
) -> None:
    """List the installed recipes, or show the settings of one."""
    from nvn.console import show_recipes, show_settings
    from nvn.recipe.loading import installed_recipes, load_recipe

    if recipe is None:
        show_recipes(installed_recipes())
    else:
        show_settings(load_recipe(recipe))


def main() -> None:
    """Run the command; an error that was foreseen is one message, without a traceback."""
    # Before torch is imported. Its threads otherwise spin while they wait for one another, which
    # makes small steps many times slower wherever another process wants the cores too.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    warnings.showwarning = _warn
    try:
        app()
    except NvnError as error:
        from nvn.console import fail

        fail(error)
        sys.exit(1)
    except Exception:
        from nvn.console import crash

        sys.excepthook = crash  # only now: typer sets its own when it is called
        raise


def _warn(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: object = None,
    line: str | None = None,
) -> None:
    """Say a warning; what Python calls when one is raised."""
    from nvn.console import warn

    warn(message, category, f"{filename}:{lineno}")


def _configured(
    recipe: str, preset: str | None, settings: list[str] | None, config: Path | None
) -> tuple[RecipeSource, Config]:
    """Load a recipe and make its configuration: --set beats --config beats --preset."""
    from nvn.recipe.config import read_settings, read_yaml
    from nvn.recipe.loading import load_recipe

    given = read_settings(settings or ())
    file = None if config is None else read_yaml(config)
    source = load_recipe(recipe)
    return source, source.config_class.build(preset, file, given)
