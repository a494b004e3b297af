"""Weights on disk: each player's written atomically and by itself, checked when read.

A file holds one player's `state_dict` as safetensors and nothing of nvn but a line of metadata, so
that plain PyTorch loads it (docs/weights.md). What safetensors has no word for, such as complex or
sparse tensors, is kept in parts, and the metadata say how they go together.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from nvn.checkpoint.encoding import EncodingError, decode, encode
from nvn.engine.diagnosis import is_finite
from nvn.errors import NvnWarning, RunError, did_you_mean
from nvn.files import atomic_write, disk, read_regular

__all__ = ["FORMAT", "Expected", "State", "load_weights", "save_players", "save_weights"]

FORMAT = "1"
_WIDEST = 64  # bytes of a number, at most: a sparse tensor has its place, too
_ASIDE = 2**27  # bytes of names, metadata, and states that are no tensors
State = Mapping[str, Any]


@dataclass(frozen=True)
class Expected:
    """What a file of weights is held to be.

    Attributes:
        player: The player's name.
        recipe: The recipe's name.
        sha256: The file's digest, if the run has noted it.
    """

    player: str
    recipe: str
    sha256: str | None = None


def save_weights(path: Path, state: State, metadata: Mapping[str, str]) -> str:
    """Write a `state_dict` as safetensors, and return the file's SHA-256.

    Tensors that share storage are written separately, so that `load_state_dict` finds all of them.
    Entries that cannot be written even in parts (`get_extra_state` may return anything) are left
    out, and named in the metadata under "left_out".

    Raises:
        RunError: The file cannot be written.
    """
    tensors: dict[str, Tensor] = {}
    trees: dict[str, Any] = {}
    left_out: list[str] = []
    for name, value in state.items():
        try:
            tree, parts = encode({name: value})
        except EncodingError:
            left_out.append(name)
            continue
        tensors |= {key: tensor.clone() for key, tensor in parts.items()}
        if tree[name] != {"$": "tensor", "at": name}:  # plain PyTorch has it under its own name
            trees[name] = tree[name]
    entries = {"format": FORMAT, **metadata}
    if trees:
        entries["in_parts"] = json.dumps(trees)
    if left_out:
        entries["left_out"] = ", ".join(sorted(left_out))
    content = save(tensors, entries)
    atomic_write(path, content)
    return hashlib.sha256(content).hexdigest()


def save_players(
    folder: Path, states: Mapping[str, State], metadata: Mapping[str, str]
) -> dict[str, str]:
    """Write each player's weights as `folder/<player>.safetensors`, and return their SHA-256.

    Raises:
        RunError: Naming every player whose weights could not be written; all others' were.
    """
    with disk(folder, "create"):
        folder.mkdir(parents=True, exist_ok=True)
    digests: dict[str, str] = {}
    problems: list[str] = []
    for player, state in states.items():
        about = {"player": player, **metadata}
        try:
            digests[player] = save_weights(folder / f"{player}.safetensors", state, about)
        except RunError as error:
            problems.append(str(error))
        except Exception as error:  # noqa: BLE001  (one player's must not cost the others theirs)
            problems.append(f"cannot write {folder / player}.safetensors: {error!r}")
    if problems:
        raise RunError("\n".join(problems))
    return digests


def load_weights(path: Path, module: nn.Module, expected: Expected | None = None) -> dict[str, str]:
    """Load weights into a module, after checking that they fit, and return the file's metadata.

    Warns (`NvnWarning`) of weights that are not finite.

    Raises:
        RunError: If the file cannot be read, has a later format, is damaged or another's, or does
            not fit the module; the module is then unchanged.
    """
    content = read_regular(path, "weights", _most(module))
    try:
        tensors = load(content)
        metadata = _metadata(content)
    except (OSError, SafetensorError) as error:
        raise RunError(f"{path} is not a complete safetensors file: {error}") from error
    if metadata.get("format", FORMAT) != FORMAT:
        raise RunError(
            f"{path} has format {metadata['format']}, and this nvn reads format {FORMAT}: "
            "install the nvn that wrote it, or a newer one"
        )
    if expected is not None:
        _check_expected(path, metadata, hashlib.sha256(content).hexdigest(), expected)
    state = _whole(path, tensors, metadata)
    problems = _misfits(module.state_dict(), state)
    if problems:
        raise RunError(f"{path} does not fit the module:\n  " + "\n  ".join(problems))
    _warn_of_infinite(path, state)
    # Checked; entries that were left out are not in the file.
    module.load_state_dict(state, strict=False)
    return metadata


def _most(module: nn.Module) -> int | None:
    """How many bytes a module's weights may have; None where that is not known yet."""
    state = [value for value in module.state_dict().values() if isinstance(value, Tensor)]
    if any(map(is_lazy, state)):
        return None
    return _ASIDE + _WIDEST * sum(value.numel() for value in state)


def _check_expected(
    path: Path, metadata: Mapping[str, str], digest: str, expected: Expected
) -> None:
    for name, wanted in (("player", expected.player), ("recipe", expected.recipe)):
        found = metadata.get(name, wanted)
        if found != wanted:
            raise RunError(
                f"{path} has the weights of the {name} {found!r}, expected {wanted!r}: put the "
                "right file there"
            )
    if expected.sha256 is not None and digest != expected.sha256:
        raise RunError(
            f"{path} has changed since the run wrote it: its digest is {digest[:12]}…, in run.yaml "
            f"{expected.sha256[:12]}…. Restore the file, or remove its entry in run.yaml to use it "
            "as it is"
        )


def _whole(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> State:
    """Put together what was written in parts."""
    try:
        trees = json.loads(metadata.get("in_parts", "{}"))
        whole = {name: decode(tree, tensors) for name, tree in trees.items()}
    except (ValueError, AttributeError, RecursionError) as error:
        raise RunError(f"{path} is damaged: its metadata do not fit its tensors") from error
    parts = {name for tree in trees.values() for name in _parts_of(tree)}
    return {**{name: t for name, t in tensors.items() if name not in parts}, **whole}


def _parts_of(tree: Any) -> Iterable[str]:
    if isinstance(tree, dict):
        if isinstance(tree.get("at"), str):
            yield tree["at"]
        for value in tree.values():
            yield from _parts_of(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _parts_of(value)


def _misfits(expected: State, loaded: State) -> list[str]:
    """Describe why the loaded entries do not fit; nothing if they do."""
    wanted = {name: value for name, value in expected.items() if isinstance(value, Tensor)}
    problems = [f"{name} is missing" for name in wanted if name not in loaded]
    for name, value in loaded.items():
        if name not in expected:
            problems.append(f"{name} is not in the module.{did_you_mean(name, expected)}")
        elif name in wanted and isinstance(value, Tensor):
            here = wanted[name]
            if value.shape != here.shape:
                shapes = f"{tuple(value.shape)} in the file, {tuple(here.shape)} in the module"
                problems.append(f"{name} is {shapes}")
            elif value.dtype != here.dtype and not _casts(value, here):
                problems.append(f"{name} is {value.dtype} in the file, {here.dtype} in the module")
    return problems


def _casts(value: Tensor, here: Tensor) -> bool:
    """Whether one is cast to the other without becoming something else: the precision alone."""
    return value.dtype.is_floating_point and here.dtype.is_floating_point


def _warn_of_infinite(path: Path, state: State) -> None:
    bad = [name for name, value in state.items() if not is_finite(value)]
    if bad:
        warnings.warn(
            f"{path}: {', '.join(bad)} {'is' if len(bad) == 1 else 'are'} not finite",
            NvnWarning,
            stacklevel=3,
        )


def _metadata(content: bytes) -> dict[str, str]:
    """Return the metadata of a safetensors file: its length, then a header in JSON.

    (`safe_open` would read them, too, but not of a path that is not UTF-8.)
    """
    length = int.from_bytes(content[:8], "little")
    found: dict[str, str] = json.loads(content[8 : 8 + length]).get("__metadata__") or {}
    return found
