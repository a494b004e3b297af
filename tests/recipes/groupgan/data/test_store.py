"""The cache: whatever lies there, it is read rightly or made again, and never an error."""

from __future__ import annotations

import io
import os
import random
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from nvn_recipes.groupgan.data import store
from nvn_recipes.groupgan.data.store import Form

FORMS = {"a": Form((2, 3)), "b": Form((4,), np.float32), "found": Form((), np.bool_)}
ARRAYS = {
    "a": np.arange(6, dtype=np.uint8).reshape(2, 3),
    "b": np.linspace(0, 1, 4, dtype=np.float32),
    "found": np.asarray(True),
}


def unsaid(notice: str) -> None:
    raise AssertionError(notice)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    store.write(tmp_path / "cache" / "x.npz", ARRAYS, unsaid)
    return tmp_path / "cache" / "x.npz"


def test_what_is_written_is_read(file: Path) -> None:
    found = store.read(file, FORMS, unsaid)
    assert found is not None
    assert {name: array.tolist() for name, array in found.items()} == {
        name: array.tolist() for name, array in ARRAYS.items()
    }
    assert [path.name for path in file.parent.iterdir()] == ["x.npz"]


def test_nothing_there_is_nothing_to_say(tmp_path: Path) -> None:
    assert store.read(tmp_path / "none.npz", FORMS, unsaid) is None


def member(header: str) -> bytes:
    """An array without numbers, whose header says anything."""
    text = header.encode().ljust(118) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def archive(**members: bytes) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in members.items():
            made.writestr(f"{name}.npy", data)
    return content.getvalue()


def of_shape(shape: str, kind: str = "|u1") -> bytes:
    header = member(f"{{'descr': {kind!r}, 'fortran_order': False, 'shape': {shape}, }}")
    return archive(a=header, b=header, found=header)


def encrypted() -> bytes:
    whole = bytearray(archive(a=b"x", b=b"x", found=b"x"))
    for mark, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = whole.find(mark)
        while at >= 0:
            whole[at + flags] |= 1
            at = whole.find(mark, at + 4)
    return bytes(whole)


def broken_lzma() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_LZMA) as made:
        for name in FORMS:
            made.writestr(f"{name}.npy", b"x" * 1000)
    return content.getvalue().replace(b"\x5d\0\0", b"\xff\xff\xff")


def plain() -> bytes:
    content = io.BytesIO()
    np.save(content, ARRAYS["a"])
    return content.getvalue()


def pickled() -> bytes:
    content = io.BytesIO()
    np.savez(content, a=np.array([print], dtype=object), b=ARRAYS["b"], found=ARRAYS["found"])
    return content.getvalue()


def saved(**others: np.ndarray) -> bytes:
    content = io.BytesIO()
    np.savez(content, **{**ARRAYS, **others})
    return content.getvalue()


ODD = {
    "as many numbers": saved(a=ARRAYS["a"].T.copy()),
    "by column": saved(a=np.asfortranarray(ARRAYS["a"])),
    "as many bytes": saved(b=ARRAYS["b"].view(np.int32)),
    "of another byte order": saved(b=ARRAYS["b"].astype(">f4")),
    "one missing": archive(a=b""),
    "empty": b"",
    "text": b"hello",
    "no header": archive(a=b"hello", b=b"hello", found=b"hello"),
    "plain": plain(),
    "pickled": pickled(),
    "huge": of_shape("(10**12,)".replace("10**12", str(10**12))),
    "beyond": of_shape(f"({10**30},)"),
    "negative": of_shape("(-2, -3)"),
    "nested": of_shape("(" * 2000),
    "odd type": of_shape("(2, 3)", "|O"),
    "few": of_shape("(2, 3)"),
    "bomb": archive(a=bytes(50_000_000), b=b"", found=b""),
    "encrypted": encrypted(),
    "lzma": broken_lzma(),
    "large": bytes(1_000_000),
}


@pytest.mark.parametrize("odd", ODD)
def test_an_odd_file_is_noticed_and_is_nothing(file: Path, odd: str) -> None:
    file.write_bytes(ODD[odd])
    said: list[str] = []
    assert store.read(file, FORMS, said.append) is None
    assert len(said) == 1
    assert said[0].endswith("; making it again.")
    assert "\n" not in said[0]
    store.write(file, ARRAYS, unsaid)
    assert store.read(file, FORMS, unsaid) is not None


@pytest.mark.skipif(os.name == "nt", reason="links and pipes")
@pytest.mark.parametrize("kind", ["pipe", "zeros", "circle", "nowhere", "folder"])
def test_what_is_no_file_is_noticed(file: Path, kind: str) -> None:
    file.unlink()
    making: dict[str, Callable[[], None]] = {
        "pipe": lambda: os.mkfifo(file),
        "zeros": lambda: file.symlink_to("/dev/zero"),
        "circle": lambda: file.symlink_to(file.name),
        "nowhere": lambda: file.symlink_to("gone"),
        "folder": lambda: file.mkdir(),
    }
    making[kind]()
    said: list[str] = []
    assert store.read(file, FORMS, said.append) is None
    assert len(said) == 1
    store.write(file, ARRAYS, said.append)
    assert len(said) == (2 if kind == "folder" else 1)  # a folder cannot be replaced


def test_any_changed_byte_is_read_rightly_or_noticed(file: Path) -> None:
    whole, dice = file.read_bytes(), random.Random(0)
    for _ in range(300):
        at = dice.randrange(len(whole))
        cut = dice.random() < 0.2
        content = whole[:at] if cut else whole[:at] + dice.randbytes(1) + whole[at + 1 :]
        file.write_bytes(content)
        said: list[str] = []
        found = store.read(file, FORMS, said.append)
        if found is None:
            assert len(said) == 1
        else:
            assert all(np.array_equal(found[name], ARRAYS[name]) for name in FORMS)


def test_drafts_that_killed_runs_left_are_removed(file: Path) -> None:
    old = [file.parent / name for name in (".y.npz.12345678.tmp", "z.npz.part", "w.part")]
    new = file.parent / ".x.npz.87654321.tmp"
    for path in [*old, new]:
        path.touch()
    for path in old:
        os.utime(path, (time.time() - 2 * store.OLD,) * 2)
    store.write(file, ARRAYS, unsaid)
    assert sorted(path.name for path in file.parent.iterdir()) == [new.name, "x.npz"]


@pytest.mark.skipif(os.name == "nt", reason="links")
def test_nothing_is_written_through_a_link(file: Path) -> None:
    victim = file.parent.parent / "victim"
    victim.write_text("mine")
    file.unlink()
    file.symlink_to(victim)
    store.write(file, ARRAYS, unsaid)
    assert (victim.read_text(), file.is_symlink()) == ("mine", False)


def test_who_has_no_home_has_no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("NVN_CACHE", raising=False)
    monkeypatch.setattr(Path, "home", nowhere)
    assert store.default_cache() is None
