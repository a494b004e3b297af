"""A checkpoint is whole or is not there; every damage is found and named."""

import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from nvn.checkpoint import folder as checkpoints
from nvn.checkpoint.folder import CheckpointError, encode_parts, read, read_about, write
from nvn.errors import RunError

STATE = {
    "players/G": {"weight": torch.arange(6.0).reshape(2, 3), "count": torch.tensor(3)},
    "players/D": {"weight": torch.ones(2), "window": torch.ones(2, dtype=torch.complex128)},
    "optimizers": {"G": {"lr": 0.1, "average": torch.ones(2)}},
    "engine": {"steps": {"G": 3}, "betas": (0.5, 0.9)},
}
ABOUT = {"recipe": "tiny", "step": 3, "steps": {"main": 3}}


@pytest.fixture
def written(tmp_path: Path) -> Path:
    write(tmp_path / "main-0000003", encode_parts(STATE), ABOUT)
    return tmp_path / "main-0000003"


def test_what_was_written_is_read(written: Path) -> None:
    found = read(written)
    assert found.about == read_about(written) == ABOUT
    assert found.parts["engine"] == STATE["engine"]
    assert torch.equal(found.parts["players/G"]["weight"], STATE["players/G"]["weight"])
    assert found.parts["players/D"]["window"].dtype == torch.complex128


def test_plain_pytorch_loads_a_player(written: Path) -> None:
    module = torch.nn.Linear(3, 2, bias=False)
    module.register_buffer("count", torch.tensor(0))
    module.load_state_dict(load_file(written / "players" / "G.safetensors"))
    assert torch.equal(module.weight, STATE["players/G"]["weight"])


def test_a_player_may_have_a_name_that_is_no_file_name(tmp_path: Path) -> None:
    names = ["players/a b", "players/Δ", "players/" + "n" * 100]
    write(tmp_path / "c", encode_parts({name: {"w": torch.ones(1)} for name in names}), {})
    assert set(read(tmp_path / "c").parts) == set(names)


def test_an_earlier_one_of_that_name_is_replaced(written: Path) -> None:
    write(written, encode_parts({"engine": {"steps": 4}}), {"step": 4})
    assert read(written).parts == {"engine": {"steps": 4}}
    assert [path.name for path in written.parent.iterdir()] == [written.name]


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("damage", ["flip", "truncate", "empty", "missing", "longer", "folder"])
@pytest.mark.parametrize("index", range(5))
def test_a_damaged_file_is_named(written: Path, damage: str, index: int) -> None:
    path = _files(written)[index]
    content = path.read_bytes()
    middle = len(content) // 2
    path.unlink()
    if damage == "flip":
        path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    elif damage == "truncate":
        path.write_bytes(content[:-1])
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "longer":
        path.write_bytes(content + content)
    elif damage == "folder":
        path.mkdir()
    with pytest.raises(CheckpointError) as caught:
        read(written)
    assert str(path) in str(caught.value)


def test_every_single_bit_is_checked(tmp_path: Path) -> None:
    write(tmp_path / "c", encode_parts({"players/G": {"w": torch.ones(1)}}), {"step": 1})
    for path in _files(tmp_path / "c"):
        content = path.read_bytes()
        for place in range(len(content)):
            damaged = bytearray(content)
            damaged[place] ^= 1
            path.write_bytes(damaged)
            with pytest.raises(CheckpointError):
                read(tmp_path / "c")
        path.write_bytes(content)
    read(tmp_path / "c")


def test_a_later_format_says_what_to_install(written: Path) -> None:
    _rewrite(written, format=99)
    with pytest.raises(CheckpointError, match="install the nvn that wrote it"):
        read(written)


def test_a_file_of_another_checkpoint_is_refused(written: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    state = {**STATE, "players/G": {**STATE["players/G"], "weight": torch.zeros(2, 3)}}
    write(other, encode_parts(state), ABOUT)
    shutil.copy(other / "players" / "G.safetensors", written / "players" / "G.safetensors")
    with pytest.raises(CheckpointError, match=r"G\.safetensors is damaged"):
        read(written)


@pytest.mark.parametrize("name", ["/etc/passwd", "../outside", "players/../../outside"])
def test_a_manifest_reaches_no_file_outside(written: Path, name: str) -> None:
    (written.parent / "outside").write_bytes(b"")
    manifest = json.loads((written / "manifest.json").read_bytes())
    entry = {"bytes": 0, "sha256": ""}
    _rewrite(written, files={**manifest["files"], name: entry})
    with pytest.raises(CheckpointError, match="outside"):
        read(written)


@pytest.mark.parametrize("entry", [None, 3, [], {}, {"bytes": "1", "sha256": ""}, {"bytes": 1}])
def test_a_manifest_of_another_form_is_damaged(written: Path, entry: Any) -> None:
    _rewrite(written, files={"state.json": entry})
    with pytest.raises(CheckpointError, match="it is not what nvn wrote|its digest differs"):
        read(written)


@pytest.mark.skipif(os.name == "nt", reason="pipes and links")
@pytest.mark.parametrize("kind", ["pipe", "link", "device"])
def test_what_is_no_regular_file_is_not_read(written: Path, kind: str) -> None:
    path = written / "state.json"
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero" if kind == "device" else written / "manifest.json")
    with pytest.raises(CheckpointError, match="no regular file"):
        read(written)


@pytest.mark.parametrize(
    "content",
    [b"", b"null", b"[]", b"{}", b"[" * 100_000, b'{"format": 1}', b"\xff", b'{"a": 1e999999}'],
)
def test_a_manifest_that_is_none_is_one_clear_error(written: Path, content: bytes) -> None:
    (written / "manifest.json").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"manifest\.json is damaged"):
        read(written)


@pytest.mark.parametrize("call", ["write", "fsync", "mkdir", "rename"])
def test_what_cannot_be_written_leaves_the_earlier_one(
    written: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        if call == "write":
            patch.setattr(checkpoints, "_write", full)
        elif call == "fsync":
            patch.setattr(os, "fsync", full)
        else:
            patch.setattr(Path, call, full)
        with pytest.raises(RunError, match="No space left on device"):
            write(written.with_name("later"), encode_parts(STATE), ABOUT)
    assert [path.name for path in written.parent.iterdir()] == [written.name]
    read(written)


def test_everything_that_cannot_be_encoded_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError) as caught:
        encode_parts({"players/G": {"a": object()}, "engine": {"b": object()}})
    assert str(caught.value).count("cannot save a object") == 2


def _rewrite(folder: Path, **changes: Any) -> None:
    """Write the manifest again, with a digest that fits."""
    content = json.loads((folder / "manifest.json").read_bytes())
    content = {**content, **changes}
    content.pop("sha256")
    content["sha256"] = checkpoints._digest(content)
    (folder / "manifest.json").write_text(json.dumps(content))
