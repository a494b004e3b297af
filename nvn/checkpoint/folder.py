"""A checkpoint: a folder that is whole, or is not there.

    main-0000120/
        manifest.json               format, what it is, and size and SHA-256 of every file
        state.json                  all parts, with references to tensors
        players/G.safetensors       tensors, a file a part: plain PyTorch loads them
        optimizers/G.safetensors

It is written under another name, brought to the disk, and renamed. Reading checks every byte.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias

from safetensors import SafetensorError
from safetensors.torch import load, save

from nvn.checkpoint.encoding import Encoded, EncodingError, decode, encode
from nvn.errors import RunError
from nvn.files import content_of, disk, open_regular, sync_folder

__all__ = [
    "FORMAT",
    "Checkpoint",
    "CheckpointError",
    "Parts",
    "encode_parts",
    "read",
    "read_about",
    "write",
]

FORMAT = 1
_LARGEST = 2**26  # bytes of a manifest: a few lines a file
_MANIFEST, _STATE = "manifest.json", "state.json"

_Entry: TypeAlias = dict[str, int | str]

Parts: TypeAlias = Mapping[str, Encoded]
"""A state's parts by name, which is also the name of the file of their tensors."""


class CheckpointError(RunError):
    """A checkpoint that is missing, not whole, or of another format."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was read.

    Attributes:
        about: What was written about it.
        parts: The state's parts.
    """

    about: Mapping[str, Any]
    parts: Mapping[str, Any]


def encode_parts(state: Mapping[str, object]) -> dict[str, Encoded]:
    """Encode a state part by part; what is returned shares no memory with it.

    Raises:
        EncodingError: Naming everything that cannot be written.

    >>> [*encode_parts({"players/G": {"scale": 2.0}, "counters": {"steps": 3}})]
    ['players/G', 'counters']
    """
    parts: dict[str, Encoded] = {}
    problems: list[str] = []
    for name, part in state.items():
        try:
            parts[name] = encode(part)
        except EncodingError as error:
            problems += [f"{name}/{problem}" for problem in error.problems]
    if problems:
        raise EncodingError(problems)
    return parts


def write(folder: Path, parts: Parts, about: Mapping[str, Any]) -> None:
    """Write a checkpoint; an earlier one of that name is replaced.

    Args:
        folder: The folder; those above it are created.
        parts: The state, encoded.
        about: JSON about it. Texts and numbers in it are in every file of tensors, too.

    Raises:
        RunError: It cannot be written. Nothing is left of it.

    >>> import torch
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as runs:
    ...     at = Path(runs, "main-0000003")
    ...     write(at, encode_parts({"players/G": {"scale": torch.ones(2)}}), {"step": 3})
    ...     read(at).parts["players/G"], sorted(path.name for path in at.iterdir())
    ({'scale': tensor([1., 1.])}, ['manifest.json', 'players', 'state.json'])
    """
    draft = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.tmp")
    with disk(folder):
        try:
            draft.mkdir(parents=True)
            files = _written(draft, parts, about)
            _write(draft / _MANIFEST, _manifest(files, about))
            _sync_folders(draft)
            if folder.exists():  # a folder cannot be renamed onto a full one
                shutil.rmtree(folder)
            draft.rename(folder)
            sync_folder(folder.parent)
        finally:
            shutil.rmtree(draft, ignore_errors=True)


def read(folder: Path) -> Checkpoint:
    """Read a checkpoint, after checking that it is whole.

    Raises:
        CheckpointError: Naming the file that is missing or damaged, or a format of later.
    """
    manifest = _read_manifest(folder)
    contents = {name: _checked(folder, name, entry) for name, entry in manifest["files"].items()}
    try:
        trees = json.loads(contents.pop(_STATE))
        tensors = {name.removesuffix(".safetensors"): load(c) for name, c in contents.items()}
        parts = {name: decode(tree, tensors.get(name, {})) for name, tree in trees.items()}
    except (ValueError, KeyError, RecursionError, SafetensorError) as error:
        # Every byte is as it was written: so this is no checkpoint of nvn's.
        raise CheckpointError(f"{folder} is no checkpoint of nvn's: {error}") from error
    return Checkpoint(manifest["about"], parts)


def read_about(folder: Path) -> Mapping[str, Any]:
    """Return what was written about a checkpoint, without reading the rest of it.

    Raises:
        CheckpointError: It is missing, or its manifest is damaged.
    """
    found: Mapping[str, Any] = _read_manifest(folder)["about"]
    return found


# --- writing ---


def _written(draft: Path, parts: Parts, about: Mapping[str, Any]) -> dict[str, _Entry]:
    """Write all files but the manifest; return the manifest's entries by name."""
    metadata = {k: str(v) for k, v in about.items() if isinstance(v, str | int | float)}
    entries = {}
    for name, part in parts.items():
        if part.tensors:
            content = save(part.tensors, {**metadata, "part": name})
            entries[f"{name}.safetensors"] = _write(draft / f"{name}.safetensors", content)
    trees = json.dumps({name: part.tree for name, part in parts.items()}, allow_nan=False)
    entries[_STATE] = _write(draft / _STATE, trees.encode())
    return entries


def _write(path: Path, content: bytes) -> _Entry:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def _manifest(files: Mapping[str, Any], about: Mapping[str, Any]) -> bytes:
    content = {"format": FORMAT, "about": dict(about), "files": dict(files)}
    return json.dumps({**content, "sha256": _digest(content)}, indent=1).encode()


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _sync_folders(folder: Path) -> None:
    """Bring the names in a folder, and in those inside it, to the disk."""
    for path in sorted(p for p in folder.rglob("*") if p.is_dir()):
        sync_folder(path)
    sync_folder(folder)


# --- reading ---


def _read_manifest(folder: Path) -> Any:
    path = folder / _MANIFEST
    try:
        manifest = json.loads(_regular(path))
        content = {key: manifest[key] for key in ("format", "about", "files")}
        whole = manifest["sha256"] == _digest(content)
        fits = isinstance(content["about"], dict) and all(
            isinstance(entry["bytes"], int) and isinstance(entry["sha256"], str)
            for entry in content["files"].values()
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{path} is damaged: it is not what nvn wrote") from error
    if isinstance(content["format"], int) and content["format"] > FORMAT:
        raise CheckpointError(
            f"{path} has format {content['format']}, and this nvn reads up to {FORMAT}: install "
            "the nvn that wrote it, or a newer one"
        )
    if not (whole and fits and _STATE in content["files"]):
        raise CheckpointError(f"{path} is damaged: its digest differs")
    return content


def _checked(folder: Path, name: str, entry: Mapping[str, Any]) -> bytes:
    """Read a file, and compare it with its entry in the manifest."""
    pure = PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts:
        raise CheckpointError(f"{folder}: the manifest names {name!r}, which lies outside")
    path = folder / name
    content = _regular(path, entry["bytes"])
    if hashlib.sha256(content).hexdigest() != entry["sha256"]:
        raise CheckpointError(f"{path} is damaged: its digest differs")
    return content


def _regular(path: Path, size: int | None = None) -> bytes:
    """Read a regular file, of a size if one is given; a link is none."""
    try:
        if path.is_symlink():
            raise CheckpointError(f"{path} is a link, and no regular file")
        with open_regular(path) as file:
            found = os.fstat(file.fileno()).st_size
            if size not in (None, found):
                said = f"it has {found} bytes, and {size} were written"
                raise CheckpointError(f"{path} is damaged: {said}")
        return content_of(path, _LARGEST if size is None else size)
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} is missing") from error
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from error
