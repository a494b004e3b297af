"""A trained player for use without nvn: as a PyTorch program, as ONNX, as a folder for a hub.

Each is verified: what is written is read again, and computes what the player computes, on a batch
of the game's data.

    FILE.pt2     torch.export.load("FILE.pt2").module()(x)
    FILE.onnx    onnxruntime.InferenceSession("FILE.onnx").run(None, {…})
    FOLDER/      model.safetensors, model.pt2, config.json and README.md, the model card
"""

from __future__ import annotations

import inspect
import json
import logging
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, TypeAlias

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils import _pytree as tree

import nvn

__all__ = ["Format", "Inputs", "export_player", "inputs_of"]

Format: TypeAlias = Literal["torch", "onnx", "hub"]

_RELATIVE, _ABSOLUTE = 1e-3, 1e-4  # that outputs may differ by: kernels of others round otherwise


@dataclass(frozen=True)
class Inputs:
    """What a player is called with in its game, on a batch of its data."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    @property
    def tensors(self) -> list[Tensor]:
        """The tensors among them, in order."""
        return [x for x in tree.tree_leaves((self.args, self.kwargs)) if isinstance(x, Tensor)]

    def of_samples(self, count: int) -> Inputs:
        """Return the same of the first samples alone."""

        def cut(x: Any) -> Any:
            return x[:count] if isinstance(x, Tensor) and x.ndim else x

        args, kwargs = tree.tree_map(cut, (self.args, self.kwargs))
        return Inputs(args, kwargs)


def export_player(game: nvn.Trained, player: str, to: Format, out: Path) -> str:
    """Write a trained player to a file, or a folder, and verify it.

    Args:
        game: The run, loaded.
        player: The player's name.
        to: "torch" for torch.export, "onnx", or "hub" for a folder.
        out: The file or folder; it must not be there yet.

    Returns:
        What was found: the largest difference of outputs, and whether batches may have any size.

    Raises:
        ConfigError: There is no such player, or a package is missing.
        RunError: It cannot be exported, computes something else then, or `out` is there.
    """
    _check_out(out, to)
    module = _module(game, player)
    inputs = inputs_of(game, player)
    writers: dict[Format, _Write] = {
        "torch": _write_torch,
        "onnx": _write_onnx,
        "hub": _write_hub,
    }
    write = writers[to]
    # What is not verified does not get its name.
    with torch.no_grad(), TemporaryDirectory(dir=out.parent, prefix=".nvn-export-") as place:
        program, dynamic = _exported(module, player, inputs)
        made = Path(place) / out.name
        compute = write(program, made, game, player, inputs)
        difference = _verified(module, compute, inputs, out)
        if dynamic:
            _verified(module, compute, inputs.of_samples(_samples(inputs) - 1), out)
        made.rename(out)
    size = "of any size" if dynamic else f"of {_samples(inputs)} samples alone"
    return f"batches {size}; outputs differ by {difference:.2g} at most"


def inputs_of(game: nvn.Trained, player: str) -> Inputs:
    """Return what a player is called with in its game, on a batch of the recipe's data."""
    found: list[Inputs] = []

    def note(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        found.append(Inputs(*tree.tree_map(_constant, (args, kwargs))))

    recipe = game.recipe
    batch = next(nvn.data.Batches(recipe.data, sampled=True))
    energies = [t.energy for p in recipe.game.players.values() for t in p.objective.terms]
    handle = game.engine.modules[player].register_forward_pre_hook(note, with_kwargs=True)
    try:
        game.engine.values(batch, [*dict.fromkeys(energies)])
    finally:
        handle.remove()
    if not found:
        raise nvn.RunError(f"{player} is never called in the game (or only by another method)")
    return found[0]


def _check_out(out: Path, to: Format) -> None:
    if out.exists():
        raise nvn.RunError(f"{out} is there already: choose another --out")
    ending = {"torch": ".pt2", "onnx": ".onnx", "hub": ""}[to]
    if ending and out.suffix != ending:
        raise nvn.ConfigError(f"--out {out}: its name must end in {ending}, as others expect it")
    if not out.parent.is_dir():
        raise nvn.RunError(f"--out {out}: there is no folder {out.parent}")


def _constant(x: Any) -> Any:
    return x.detach().clone() if isinstance(x, Tensor) else x


def _module(game: nvn.Trained, player: str) -> nn.Module:
    modules = game.engine.modules
    if player not in modules:
        raise nvn.ConfigError(f"there is no player {player!r}. Players: {', '.join(modules)}")
    return modules[player].eval()


def _samples(inputs: Inputs) -> int:
    return min((len(x) for x in inputs.tensors if x.ndim), default=1)


# --- exporting ---


def _exported(module: nn.Module, player: str, inputs: Inputs) -> tuple[Any, bool]:
    """Return a module as a program, and whether its batches may have any size."""
    if _samples(inputs) > 1:
        # (Tensors of their own: torch.export leaves a mark on them that a second try would find.)
        tried = inputs.of_samples(_samples(inputs))
        args, kwargs = tree.tree_map(_any_batch, (tried.args, tried.kwargs))
        shapes = inspect.signature(module.forward).bind(*args, **kwargs).arguments
        with suppress(Exception):  # whatever it is: its batches have one size, then
            program = torch.export.export(
                module, tried.args, tried.kwargs, dynamic_shapes=dict(shapes)
            )
            return program, True
    try:
        return torch.export.export(module, inputs.args, inputs.kwargs), False
    except Exception as error:
        said = str(error).strip().partition("\n")[0]
        raise nvn.RunError(f"{player} cannot be exported by torch.export: {said}") from error


def _any_batch(x: Any) -> Any:
    if isinstance(x, Tensor) and x.ndim:
        return {0: torch.export.Dim.DYNAMIC}
    return None


_Compute: TypeAlias = Callable[[Inputs], list[Tensor]]
_Write: TypeAlias = Callable[[Any, Path, nvn.Trained, str, Inputs], _Compute]


def _write_torch(program: Any, out: Path, *_: object) -> _Compute:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(program, out)
        loaded = torch.export.load(out).module()
    return lambda inputs: _outputs(loaded(*inputs.args, **inputs.kwargs))


def _write_onnx(program: Any, out: Path, *_: object) -> _Compute:
    nvn.packages.needed("onnxscript", "export to ONNX")
    runtime = nvn.packages.needed("onnxruntime", "verifying what was exported to ONNX")
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # of packages that nobody asked for
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own future
        torch.onnx.export(program, f=out, dynamo=True, external_data=False, verbose=False)
    session = runtime.InferenceSession(str(out), providers=["CPUExecutionProvider"])
    names = [entry.name for entry in session.get_inputs()]

    def compute(inputs: Inputs) -> list[Tensor]:
        given = [x.cpu().numpy() for x in inputs.tensors]
        found = session.run(None, dict(zip(names, given, strict=True)))
        return [torch.from_numpy(array) for array in found]

    return compute


def _outputs(value: Any) -> list[Tensor]:
    return [x.cpu() for x in tree.tree_leaves(value) if isinstance(x, Tensor)]


def _verified(module: nn.Module, compute: _Compute, inputs: Inputs, out: Path) -> float:
    """Return by how much outputs differ at most.

    Raises:
        RunError: It is more than rounding.
    """
    wanted = _outputs(module(*inputs.args, **inputs.kwargs))
    found = compute(inputs)
    pairs = [*zip(wanted, found, strict=True)]
    for mine, other in pairs:
        if mine.shape != other.shape or not torch.allclose(
            mine.double(), other.double(), rtol=_RELATIVE, atol=_ABSOLUTE
        ):
            raise nvn.RunError(f"{out} does not compute what the player does: it is of no use")
    return max((float((a.double() - b.double()).abs().max()) for a, b in pairs), default=0.0)


# --- a folder for a hub ---


def _write_hub(program: Any, out: Path, game: nvn.Trained, player: str, inputs: Inputs) -> _Compute:
    out.mkdir(parents=True)
    state = {
        n: x.detach().cpu().contiguous()
        for n, x in game.engine.modules[player].state_dict().items()
    }
    save_file(state, out / "model.safetensors", metadata={"format": "pt"})
    kept = load_file(out / "model.safetensors")
    if any(not torch.equal(kept[name], state[name]) for name in state):
        raise nvn.RunError(f"{out / 'model.safetensors'} does not hold the player's weights")
    about = _about(game, player, inputs)
    (out / "config.json").write_text(json.dumps(about, indent=2, ensure_ascii=False) + "\n")
    (out / "README.md").write_text(_card(about), encoding="utf-8")
    return _write_torch(program, out / "model.pt2")


def _about(game: nvn.Trained, player: str, inputs: Inputs) -> dict[str, Any]:
    module = game.engine.modules[player]
    return {
        "library": f"nvn {nvn.packages.version()}",
        "torch": torch.__version__,
        "recipe": game.recipe.name,
        "player": player,
        "module": type(module).__qualname__,
        "parameters": sum(p.numel() for p in module.parameters()),
        "inputs": [{"shape": ["N", *x.shape[1:]], "dtype": str(x.dtype)} for x in inputs.tensors],
        "settings": {} if game.config is None else game.config.model_dump(mode="json"),
        "seed": game.seed,
    }


def _card(about: Mapping[str, Any]) -> str:
    """Return the model card: what it is, how to use it, how it came about."""
    inputs = "\n".join(
        f"- `{x['dtype']}` of shape ({', '.join(map(str, x['shape']))})" for x in about["inputs"]
    )
    settings = "\n".join(f"| {name} | {value} |" for name, value in about["settings"].items())
    return f"""---
library_name: pytorch
tags:
- nvn
- adversarial-training
- {about["recipe"]}
---

# {about["player"]} of {about["recipe"]}

The player `{about["player"]}` ({about["module"]}, {about["parameters"]:,} parameters) of the game
`{about["recipe"]}`, trained by {about["library"]} with seed {about["seed"]}.

## Use

`model.pt2` needs PyTorch, and no code of the recipe:

```python
import torch

model = torch.export.load("model.pt2").module()
```

It takes:

{inputs}

`model.safetensors` has the weights, by the names that they have in the module.

## Training

| setting | value |
|---|---|
{settings}

## Limits

What it was trained on, what it is good for and what it must not be used for: to be written by
whoever publishes it.
"""
