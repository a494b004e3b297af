"""Weights on disk: written whole or not at all, checked when read.

A file holds one player's `state_dict` as safetensors and nothing of nvn but a line of metadata, so
that plain PyTorch loads it (docs/weights.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from nvn.errors import RunError, did_you_mean
from nvn.files import atomic_write, disk

__all__ = ["FORMAT", "State", "load_weights", "save_players", "save_weights"]

FORMAT = "1"
State = Mapping[str, Any]


def save_weights(path: Path, state: State, metadata: Mapping[str, str]) -> None:
    """Write a `state_dict` as safetensors.

    Tensors that share memory are written each for itself, so that `load_state_dict` finds all of
    them. What is not a tensor (`get_extra_state` may give anything) cannot be written in this
    format: it is left out, and the metadata say so under "left_out".
    """
    tensors = {
        name: value.detach().cpu().contiguous().clone()
        for name, value in state.items()
        if isinstance(value, Tensor)
    }
    left_out = sorted(set(state) - set(tensors))
    said = {"format": FORMAT, **metadata} | ({"left_out": ", ".join(left_out)} if left_out else {})
    atomic_write(path, save(tensors, said))


def save_players(folder: Path, states: Mapping[str, State], metadata: Mapping[str, str]) -> None:
    """Write each player's weights as `folder/<player>.safetensors`."""
    with disk(folder, "create"):
        folder.mkdir(parents=True, exist_ok=True)
    for player, state in states.items():
        save_weights(folder / f"{player}.safetensors", state, {"player": player, **metadata})


def load_weights(path: Path, module: nn.Module) -> dict[str, str]:
    """Load weights into a module, after checking that they fit, and return the file's metadata.

    Raises:
        RunError: If the file cannot be read, is of a later format, or does not fit the module; the
            module is then unchanged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata: dict[str, str] = file.metadata() or {}
        state = load_file(path)
    except FileNotFoundError as error:
        raise RunError(f"there are no weights at {path}") from error
    except (OSError, SafetensorError) as error:
        raise RunError(f"{path} is not a whole safetensors file: {error}") from error
    if metadata.get("format", FORMAT) != FORMAT:
        raise RunError(
            f"{path} has format {metadata['format']}, and this nvn reads format {FORMAT}: "
            "install the nvn that wrote it, or a newer one"
        )
    problems = _misfits(module.state_dict(), state)
    if problems:
        raise RunError(f"{path} does not fit the module:\n  " + "\n  ".join(problems))
    module.load_state_dict(state, strict=False)  # checked; what is no tensor is not in the file
    return metadata


def _misfits(expected: State, found: Mapping[str, Tensor]) -> list[str]:
    """Say what keeps the tensors found from being loaded."""
    wanted = {name: value for name, value in expected.items() if isinstance(value, Tensor)}
    problems = [f"{name} is missing" for name in wanted if name not in found]
    for name, tensor in found.items():
        if name not in wanted:
            problems.append(f"{name} is not in the module.{did_you_mean(name, wanted)}")
        elif tensor.shape != wanted[name].shape:
            shapes = f"{tuple(tensor.shape)} in the file, {tuple(wanted[name].shape)} in the module"
            problems.append(f"{name} is {shapes}")
    return problems
