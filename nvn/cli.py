"""The command `nvn`: a verb is a few lines. Slow imports are made by the verb that needs them."""

from __future__ import annotations

import errno
import importlib
import os
import sys
import warnings
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import typer

from nvn.commands.checks import checks
from nvn.commands.new import new
from nvn.commands.sample import sample
from nvn.errors import ConfigError, IncompleteError, NvnError, RunError
from nvn.usage import Command, Group, with_commands

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from nvn.recipe.config import Config
    from nvn.recipe.loading import RecipeSource
    from nvn.recipe.recipe import Recipe

__all__ = ["app", "main"]

app = typer.Typer(
    cls=Group,
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # an error in a recipe keeps Python's own traceback
)

# Exit codes (docs/reliability.md): of a command ended by Ctrl-C, as shells report it; of one that
# is to be run again, which is what sysexits.h has 75 for; and of a training that is complete,
# beside which something failed: neither 1, an error, nor 2, a command that was not understood.
_EXIT_CODES = {"interrupted": 130, "preempted": 75}
_INCOMPLETE = 3


def _recipes_like(incomplete: str) -> list[str]:
    """Return how the name of an installed recipe may go on, for the shell's completion."""
    from nvn.recipe.loading import installed_recipes

    names = [summary.name for summary in installed_recipes()]
    return [name for name in names if name.startswith(incomplete)]


RecipeName = Annotated[
    str,
    typer.Argument(
        metavar="RECIPE",
        help="A recipe file, or the name of an installed recipe.",
        autocompletion=_recipes_like,
    ),
]
Preset = Annotated[str | None, typer.Option(help="A preset of the recipe.")]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Set one setting, in a group as GROUP.NAME=VALUE; overrides --config. Repeatable.",
    ),
]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="A YAML file of settings; overrides --preset.")
]
Plugins = Annotated[
    list[str] | None,
    typer.Option(
        "--plugin",
        metavar="NAME|FILE|MODULE[:a=1,b=2]",
        help="A plugin, and its settings. Repeatable.",
    ),
]
MaxTime = Annotated[str | None, typer.Option(help="Stop after this duration: 90s, 5m, 1h30m.")]
Watched = Annotated[
    bool,
    typer.Option("--watch", help="Show the run on a page too, for a browser on this machine."),
]
Trust = Annotated[
    bool, typer.Option("--trust", help="Run the code of a recipe that lies in the run's folder.")
]
Seed = Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Random seed.")]


class Machines(NamedTuple):
    """What a run is on: as `launch_fabric` has it."""

    accelerator: str
    devices: str
    num_nodes: int
    strategy: str
    precision: str

    def launched(self) -> AbstractContextManager[Fabric]:
        """Make the Fabric, with the other processes, if there are to be several."""
        from nvn.training.fabric import launched

        return launched(*self)


def _show_version(wanted: bool) -> None:
    if wanted:
        from nvn.console import show
        from nvn.packages import version as its_version

        show(f"nvn {its_version()}")
        raise typer.Exit


@app.callback()
def nvn(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Declare adversarial games; nvn derives, checks and runs their training."""


@app.command(cls=Command)
def run(
    recipe: RecipeName,
    preset: Preset = None,
    settings: Settings = None,
    config: ConfigFile = None,
    seed: Seed = 0,
    max_steps: Annotated[
        int | None, typer.Option(min=1, help="Maximum number of steps of each phase.")
    ] = None,
    max_time: MaxTime = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Output folder, new or empty (default: runs/RECIPE/TIME)."),
    ] = None,
    resume: Annotated[
        Literal["auto"] | None,
        typer.Option(
            metavar="auto",
            help="Go on with the run in --out, or with the latest one like this that has not "
            "finished; begin one if there is none.",
        ),
    ] = None,
    save_every: Annotated[
        str | None,
        typer.Option(
            metavar="INTERVAL",
            help="Save the state every so many steps (500), or so long (5m); default: as often as "
            "it takes less than 2% of the time.",
        ),
    ] = None,
    keep_every: Annotated[
        int | None, typer.Option(min=1, help="Keep the checkpoints of every so many steps.")
    ] = None,
    best: Annotated[
        str | None,
        typer.Option(
            metavar="EVALUATION/METRIC[:min]", help="Keep the checkpoint where this was best."
        ),
    ] = None,
    on_save_failure: Annotated[
        Literal["continue", "stop"],
        typer.Option(help="What to do where the state cannot be saved, such as on a full disk."),
    ] = "continue",
    on_divergence: Annotated[
        Literal["stop", "skip", "rollback"],
        typer.Option(
            help="What to do when something is not finite: stop with the last good weights, skip "
            "such steps, or go back to the last checkpoint with smaller learning rates.",
        ),
    ] = "stop",
    pulls_every: Annotated[
        str,
        typer.Option(
            metavar="N|off",
            help="Look at who pulls after every so many steps; default: as often as it takes 1% of "
            "the passes.",
        ),
    ] = "auto",
    metrics_every: Annotated[
        int, typer.Option(min=1, help="Write a line of metrics.jsonl every so many steps.")
    ] = 1,
    deterministic: Annotated[
        bool,
        typer.Option("--deterministic", help="Hold torch to deterministic algorithms."),
    ] = False,
    accelerator: Annotated[str, typer.Option(help="cpu, cuda, mps or auto.")] = "auto",
    devices: Annotated[
        str,
        typer.Option(
            metavar="N|auto", help="Devices of each machine, each with a process of its own."
        ),
    ] = "1",
    num_nodes: Annotated[int, typer.Option(metavar="N", help="Number of machines.")] = 1,
    strategy: Annotated[
        str, typer.Option(help="How several processes train: ddp, each with its share of a batch.")
    ] = "auto",
    precision: Annotated[str, typer.Option(help="32-true, 64-true or bf16-mixed.")] = "32-true",
    accumulate: Annotated[
        int,
        typer.Option(min=1, metavar="PARTS", help="Play each batch in so many parts: less memory."),
    ] = 1,
    compiled: Annotated[
        list[str] | None,
        typer.Option(
            "--compile",
            metavar="PLAYER",
            help="Compile this player's forward with torch.compile. Repeatable.",
        ),
    ] = None,
    watch: Watched = False,
    plugins: Plugins = None,
) -> None:
    """Train a recipe. Ctrl-C stops it after the current step and saves everything."""
    from nvn.console import show
    from nvn.training.looks import read_every
    from nvn.training.processes.launching import follows
    from nvn.training.saving import Saving, read_interval
    from nvn.training.stopping import read_duration

    on = Machines(accelerator, devices, num_nodes, strategy, precision)
    if follows(num_nodes):  # the leading process of this run does what is below
        _follow(on)
        return
    every = read_every(pulls_every)
    seconds = None if max_time is None else read_duration(max_time)
    saving = replace(
        Saving() if save_every is None else read_interval(save_every),
        keep_every=keep_every,
        best=best,
        on_failure=on_save_failure,
    )
    source, chosen = _configured(recipe, preset, settings, config)

    if resume is not None:
        from nvn.training.plugin_loading import whole
        from nvn.training.reopen import has_finished, to_resume

        started = {"seed": seed, "max_steps": max_steps, "plugins": [*map(whole, plugins or ())]}
        earlier = to_resume(source, chosen, out, started)
        if earlier is not None and has_finished(earlier):
            show(f"the run {earlier} has finished")
            _dismiss(on)
            return
        if earlier is not None:
            _go_on(
                earlier,
                {},
                _on_as_before(earlier, devices, num_nodes),
                max_time=seconds,
                watch=watch,
            )
            return

    options = {
        "seed": seed,
        "max_steps": max_steps,
        "on_divergence": on_divergence,
        "deterministic": deterministic,
        "compile": compiled or [],
        "accumulate": accumulate,
    }
    _train(
        source,
        chosen,
        options,
        on,
        max_time=seconds,
        out=out,
        saving=saving,
        pulls_every=every,
        metrics_every=metrics_every,
        watch=watch,
        plugins=plugins or (),
    )


@app.command(cls=Command)
def resume(
    run: Annotated[
        Path,
        typer.Argument(metavar="RUN", help="A run's folder, or runs/RECIPE for its latest run."),
    ],
    settings: Settings = None,
    more_steps: Annotated[
        int, typer.Option(min=0, help="Steps of the game beyond those that were planned.")
    ] = 0,
    max_time: MaxTime = None,
    watch: Watched = False,
    changed: Annotated[
        bool,
        typer.Option(
            "--changed",
            help="Go on though the recipe, the code that it imports, or settings have changed.",
        ),
    ] = False,
    trust: Trust = False,
    devices: Annotated[
        str | None,
        typer.Option(metavar="N|auto", help="Devices of each machine, if other than before."),
    ] = None,
    num_nodes: Annotated[
        int | None, typer.Option(metavar="N", help="Number of machines, if other than before.")
    ] = None,
) -> None:
    """Go on with a run that ended early, however it ended, as if it had not."""
    _load_torch()
    from nvn.recipe.config import read_settings
    from nvn.training.processes.launching import follows
    from nvn.training.reopen import find_run, has_finished
    from nvn.training.stopping import read_duration

    seconds = None if max_time is None else read_duration(max_time)
    folder = find_run(run)
    on = _on_as_before(folder, devices, num_nodes)
    if follows(on.num_nodes):
        _follow(on)
        return
    if has_finished(folder) and not more_steps:
        raise RunError(f"the run {folder} has finished; with --more-steps N it goes on")
    given = read_settings(settings or ())
    _go_on(
        folder,
        given,
        on,
        more_steps=more_steps,
        max_time=seconds,
        changed=changed,
        trust=trust,
        watch=watch,
    )


@app.command(cls=Command)
def check(
    recipe: RecipeName,
    preset: Preset = None,
    settings: Settings = None,
    config: ConfigFile = None,
    seed: Seed = 0,
    plugins: Plugins = None,
) -> None:
    """Check a recipe: build its game, try a first batch and all evaluations, report problems."""
    source, chosen = _configured(recipe, preset, settings, config)

    from nvn.console import show
    from nvn.recipe.build import check_recipe
    from nvn.training.trying import try_late

    built = _built(source, chosen, plugins)
    partly = try_late(built, check_recipe(built, seed), seed)
    tried = f" (in the seconds that were tried of {', '.join(partly)})" if partly else ""
    show(f"{source.name}: no problems{tried}")


@app.command(cls=Command)
def plan(
    recipe: RecipeName,
    preset: Preset = None,
    settings: Settings = None,
    config: ConfigFile = None,
    phase: Annotated[
        str, typer.Option(help="The phase to explain; main is the game itself.")
    ] = "main",
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
    as_source: Annotated[
        bool, typer.Option("--source", help="Print the loop itself, as the engine runs it.")
    ] = False,
    plugins: Plugins = None,
) -> None:
    """Explain what an iteration computes, what it reuses, and what it costs."""
    source, chosen = _configured(recipe, preset, settings, config)

    import json
    from dataclasses import asdict

    from nvn.console import show, show_source, to_stderr
    from nvn.recipe.build import explain_recipe, loop_source
    from nvn.show.plan_text import plan_text

    if as_source:
        show_source(loop_source(_built(source, chosen, plugins), phase))
        return
    with to_stderr():
        explained = explain_recipe(_built(source, chosen, plugins), phase)
    if as_json:
        show(json.dumps(asdict(explained), indent=2, ensure_ascii=False))
    else:
        show(plan_text(explained))


@app.command(cls=Command)
def eject(
    recipe: RecipeName,
    out: Annotated[Path, typer.Option(metavar="FILE", help="The file of the loop: loop.py, say.")],
    preset: Preset = None,
    settings: Settings = None,
    config: ConfigFile = None,
    phase: Annotated[
        str, typer.Option(help="The phase to write out; main is the game itself.")
    ] = "main",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file.")] = False,
    plugins: Plugins = None,
) -> None:
    """Write a recipe's training loop to a file that needs torch, and nothing of nvn."""
    if out.exists() and not overwrite:
        raise ConfigError(
            f"{out} is there already; give another --out, or --overwrite to replace it"
        )
    source, chosen = _configured(recipe, preset, settings, config)

    from nvn.console import show
    from nvn.files import atomic_write
    from nvn.recipe.build import eject_recipe

    atomic_write(out, eject_recipe(_built(source, chosen, plugins), phase).encode())
    show(f"loop: {out}")


@app.command(cls=Command)
def graph(
    recipe: RecipeName,
    preset: Preset = None,
    settings: Settings = None,
    config: ConfigFile = None,
    mermaid: Annotated[bool, typer.Option("--mermaid", help="Print a Mermaid diagram.")] = False,
    svg: Annotated[Path | None, typer.Option(metavar="FILE", help="Write an SVG picture.")] = None,
    plugins: Plugins = None,
) -> None:
    """Show a recipe's game: players, values, energies, and who minimizes what."""
    if svg is not None and mermaid:
        raise ConfigError("--svg and --mermaid: give one of them; each is a picture of its own")
    if svg is not None and svg.suffix.lower() != ".svg":
        raise ConfigError(
            f"--svg {svg}: an SVG picture is written, so its name must end in .svg: --svg "
            f"{svg.with_suffix('.svg') if svg.name else 'game.svg'}"
        )
    source, chosen = _configured(recipe, preset, settings, config)

    from nvn.console import show
    from nvn.files import atomic_write
    from nvn.recipe.build import make_graph
    from nvn.show import mermaid as diagram
    from nvn.show import svg as picture
    from nvn.show.text import text

    frozen = make_graph(_built(source, chosen, plugins))
    if svg is not None:
        atomic_write(svg, picture.svg(frozen).encode())
        show(f"picture: {svg}")
    else:
        show(diagram.mermaid(frozen) if mermaid else text(frozen))


@app.command(cls=Command)
def sweep(
    recipes: Annotated[
        list[str],
        typer.Argument(metavar="RECIPE...", help="Recipe files, or names of installed recipes."),
    ],
    over: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=V,V", help="Values of a setting, or of seed, to sweep. Repeatable."
        ),
    ] = None,
    folds: Annotated[
        int | None, typer.Option(help="Number of folds K: sets folds=K, sweeps fold=0,…,K-1.")
    ] = None,
    preset: Preset = None,
    settings: Settings = None,
    config: ConfigFile = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, max=2**63 - 1, help="Random seed of all runs, unless swept."),
    ] = None,
    max_steps: Annotated[
        int | None, typer.Option(min=1, help="Maximum number of steps of each phase.")
    ] = None,
    max_time: MaxTime = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            metavar="EVALUATION/METRIC",
            help="A metric to tabulate (default: all that the recipes share). Repeatable.",
        ),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(help="Runs at a time (default: one per CUDA device, or per two cores)."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Output folder (default: runs/sweeps/…).")
    ] = None,
    accelerator: Annotated[str, typer.Option(help="cpu, cuda, mps or auto.")] = "auto",
    precision: Annotated[str, typer.Option(help="32-true, 64-true or bf16-mixed.")] = "32-true",
) -> None:
    """Run a grid of recipes and settings, and tabulate it. Run again to resume."""
    _load_torch()
    from shlex import join

    from nvn.recipe.config import read_yaml
    from nvn.sweep import Request, sweep
    from nvn.training.stopping import read_duration

    request = Request(
        recipes=recipes,
        over=over or (),
        folds=folds,
        preset=preset,
        settings=settings or (),
        file={} if config is None else read_yaml(config),
        seed=seed,
        max_steps=max_steps,
        max_time=None if max_time is None else read_duration(max_time),
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
    _exit_as(outcome)


@app.command(cls=Command)
def apply(
    run: Annotated[
        Path,
        typer.Argument(metavar="RUN", help="A run's folder, or runs/RECIPE for its latest run."),
    ],
    files: Annotated[
        list[Path], typer.Argument(metavar="FILES...", help="Pictures, folders of them, or films.")
    ],
    out: Annotated[Path, typer.Option(help="Output folder, new or empty.")],
    recipe: Annotated[
        str | None,
        typer.Option(metavar="RECIPE", help="The recipe, if it has moved since the run."),
    ] = None,
    trust: Trust = False,
    accelerator: Annotated[str, typer.Option(help="cpu, cuda, mps or auto.")] = "auto",
) -> None:
    """Apply a trained run to pictures of your own. Ctrl-C stops it and keeps the results so far."""
    _load_torch()
    from nvn.apply.apply import apply_to, check_empty, report
    from nvn.apply.film import apply_to_films, is_film
    from nvn.console import show
    from nvn.folders import find_pictures
    from nvn.training.fabric import make_fabric
    from nvn.training.trained import trained

    films = [path for path in files if is_film(path)]
    stills = [path for path in files if path not in films]
    pictures = find_pictures(stills) if stills else ()
    check_empty(out)
    fabric = make_fabric(accelerator)
    game = trained(run, recipe=recipe, fabric=fabric, trust=trust, telling=show)
    applied = apply_to(game, pictures, out) if stills else None
    if films and (applied is None or not applied.interrupted):
        apply_to_films(game, films, out)
    if applied is None:
        return
    report(applied, len(pictures), out)
    if applied.interrupted:
        _exit_as("interrupted")
    if applied.skipped:
        raise typer.Exit(1)


RunFolders = Annotated[
    list[Path],
    typer.Argument(metavar="RUN...", help="Runs' folders, or runs/RECIPE for its latest run."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print everything as JSON.")]


@app.command(cls=Command)
def report(
    runs: RunFolders,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The page (default: report.html, in the run's folder; of several runs, here).",
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file.")] = False,
) -> None:
    """Write a page of a run, or of several beside one another, that needs no network."""
    from nvn.console import show
    from nvn.report import write_report
    from nvn.report.finding import find_run_folder

    folders = [find_run_folder(path) for path in dict.fromkeys(runs)]
    own = folders[0] / "report.html" if len(folders) == 1 else None
    page = out or own or Path("report.html")
    if page != own and page.exists() and not overwrite:
        raise ConfigError(
            f"{page} is there already; give another --out, or --overwrite to replace it"
        )
    write_report(folders, page)
    show(f"report: {page}")


@app.command(cls=Command)
def runs(
    folder: Annotated[Path, typer.Argument(help="Where the runs are.")] = Path("runs"),
    as_json: AsJson = False,
) -> None:
    """List runs: how each ended, its best metric, its age and size."""
    import json
    from datetime import datetime

    from nvn.console import show, show_runs
    from nvn.report.finding import lines_of

    lines = lines_of(folder, datetime.now().astimezone())
    if as_json:
        show(json.dumps([line.as_dict() for line in lines], indent=2, ensure_ascii=False))
    elif lines:
        show_runs(lines)
    else:
        show(f"there are no runs in {folder}")


@app.command(cls=Command)
def compare(runs: RunFolders, as_json: AsJson = False) -> None:
    """Show runs beside one another: in what they differ, how they ended, what they reached."""
    import json

    from nvn.console import show, show_comparison
    from nvn.report.comparing import as_dicts
    from nvn.report.finding import find_run_folder
    from nvn.report.gather import gather

    if len(dict.fromkeys(runs)) < 2:
        raise ConfigError("nvn compare: give two runs at least; nvn report RUN shows one")
    found = [gather(find_run_folder(path)) for path in dict.fromkeys(runs)]
    if as_json:
        show(json.dumps(as_dicts(found), indent=2, ensure_ascii=False))
    else:
        show_comparison(found)


@app.command(cls=Command)
def recipes(
    recipe: Annotated[
        str | None, typer.Argument(help="The recipe whose settings and presets to show.")
    ] = None,
) -> None:
    """List the installed recipes, or show the settings of one."""
    from nvn.console import show_recipes, show_settings
    from nvn.recipe.loading import installed_recipes, load_recipe, recipe_file

    if recipe is None:
        show_recipes(installed_recipes())
    else:
        recipe_file(recipe)
        _load_torch()
        show_settings(load_recipe(recipe))


app = with_commands(app, sample, new, checks)


def main() -> None:
    """Run the command; an error that nvn expects is one message, without a traceback."""
    # Before torch is imported. Its threads otherwise spin while they wait for one another, which
    # makes small steps many times slower wherever another process wants the cores too.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a run must not end for what cannot be printed
            stream.reconfigure(errors="replace")
    warnings.showwarning = _warn  # process-wide, as is right for a command only
    try:
        _check_here()
        app()
    except NvnError as error:
        from nvn.console import fail

        fail(error)
        sys.exit(_INCOMPLETE if isinstance(error, IncompleteError) else 1)
    except Exception as error:
        from nvn.console import crash, fail, missing_module

        said = missing_module(error) if isinstance(error, ModuleNotFoundError) else _overlong(error)
        if said is not None:
            fail(_with_notes(ConfigError(said), error))
            sys.exit(1)
        sys.excepthook = crash  # only now: typer sets its own when it is called
        raise


def _load_torch() -> None:
    """Import torch, which takes seconds, with a sign of life on a terminal."""
    if "torch" not in sys.modules:
        from nvn.console import saying

        with saying("loading PyTorch …"):
            importlib.import_module("torch")


def _check_here() -> None:
    """Refuse to work in a folder that has been deleted: not even torch can be imported there."""
    try:
        Path.cwd()
    except OSError as error:
        raise RunError(
            f"the current folder cannot be read ({error.strerror}): change to one that is there"
        ) from None


def _overlong(error: Exception) -> str | None:
    """Return what to tell of a path that is too long for the system; None of another error.

    Any argument may be one, and where it is first looked at is nobody's concern.
    """
    if not isinstance(error, OSError) or error.errno != errno.ENAMETOOLONG:
        return None
    return f"{str(error.filename)[:60]}…: {error.strerror}, {len(str(error.filename))} letters"


def _with_notes(error: NvnError, earlier: Exception) -> NvnError:
    for note in getattr(earlier, "__notes__", ()):
        error.add_note(note)
    return error


def _warn(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: object = None,
    line: str | None = None,
) -> None:
    """Print a warning; a `warnings.showwarning`."""
    from nvn.console import warn

    warn(message, category, f"{filename}:{lineno}")


def _go_on(
    folder: Path,
    settings: Mapping[str, object],
    on: Machines,
    *,
    more_steps: int = 0,
    max_time: float | None = None,
    changed: bool = False,
    trust: bool = False,
    watch: bool = False,
) -> None:
    """Go on with a run, as it was."""
    from nvn.console import show
    from nvn.training.reopen import reopen

    run = reopen(folder, settings, changed=changed, trust=trust, telling=show)
    options = {**run.options, "more_steps": run.options["more_steps"] + more_steps}
    only_leading = {
        name: options.pop(name) for name in ("saving", "pulls_every", "metrics_every", "plugins")
    }
    _train(
        run.source,
        run.config,
        options,
        on,
        max_time=max_time,
        resume=folder,
        watch=watch,
        **only_leading,
    )


def _train(
    source: RecipeSource,
    config: Config,
    options: Mapping[str, Any],
    on: Machines,
    *,
    plugins: Sequence[str],
    watch: bool,
    **more: Any,
) -> None:
    """Train a recipe, in several processes if that was asked for.

    Args:
        source: The recipe.
        config: Its configuration.
        options: The arguments of `nvn.train` that all processes need.
        on: What it runs on.
        plugins: The plugins, as they were given.
        watch: Whether it is shown on a page, too.
        more: Those that only the leading one needs.
    """
    from nvn.training.processes.orders import Begin
    from nvn.training.starting import train

    files, origin = source.files(config), source.origin
    with on.launched() as fabric:
        if fabric.world_size > 1:
            theirs = {**options, "plugins": [*plugins]}
            fabric.broadcast(Begin(origin, files["config.yaml"], theirs))
        done = train(
            partial(source.build, config),
            **options,
            **more,
            fabric=fabric,
            plugins=[*plugins, *_shown(watch=watch)],
            files=files,
            origin=origin,
        )
    _exit_as(done.outcome)


def _follow(on: Machines) -> None:
    """Train along as another process of this run says."""
    from nvn.training.processes.follower import follow

    with on.launched() as fabric:
        follow(fabric)


def _dismiss(on: Machines) -> None:
    """Let processes that a launcher has started for nothing end."""
    from nvn.training.processes.launching import started

    if started():
        with on.launched() as fabric:
            fabric.broadcast(None)


def _on_as_before(folder: Path, devices: str | None, num_nodes: int | None) -> Machines:
    """Return what a run was on, but for what is to be other than before."""
    from nvn.training.run_file import read_run

    run = read_run(folder)
    return Machines(
        run.accelerator, devices or str(run.devices), num_nodes or run.num_nodes, "auto",
        run.precision,
    )  # fmt: skip


def _shown(*, watch: bool) -> list[object]:
    """Return the plugins that show a run."""
    from nvn.training.reporter import Reporter
    from nvn.training.watching import Watch

    return [Reporter(), *([Watch()] if watch else [])]


def _exit_as(outcome: str) -> None:
    """End the command with the exit code of an outcome, if that is another than 0."""
    if outcome in _EXIT_CODES:
        raise typer.Exit(_EXIT_CODES[outcome])


def _configured(
    recipe: str, preset: str | None, settings: list[str] | None, config: Path | None
) -> tuple[RecipeSource, Config]:
    """Load a recipe and build its configuration: --set overrides --config overrides --preset."""
    from nvn.recipe.config import read_settings, read_yaml
    from nvn.recipe.loading import load_recipe, recipe_file

    given = read_settings(settings or ())
    file = None if config is None else read_yaml(config)
    recipe_file(recipe)  # one that is not there is told of at once
    _load_torch()
    source = load_recipe(recipe)
    return source, source.config_class.build(preset, file, given)


def _built(source: RecipeSource, config: Config, plugins: list[str] | None) -> Recipe:
    """Build a recipe, with what plugins add to it."""
    from nvn.training.extending import with_plugins
    from nvn.training.plugin_loading import load_plugin

    loaded = tuple(map(load_plugin, plugins or ()))
    return with_plugins(source.build(config), loaded)
