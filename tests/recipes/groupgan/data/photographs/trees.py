"""Small data sets on disk, in the layouts they are distributed in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

EMOTION = {  # the numbers in CK+'s files, as its readme has them
    "neutral": 0,
    "anger": 1,
    "contempt": 2,
    "disgust": 3,
    "fear": 4,
    "happiness": 5,
    "sadness": 6,
    "surprise": 7,
}


def picture(path: Path, level: int = 0, size: tuple[int, int] = (12, 8)) -> Path:
    """Write a gray picture, recognized by its level."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", size, level).save(path, "png")
    return path


def corrupt(path: Path) -> Path:
    """Write a file that says it is a picture, and ends too early."""
    whole = picture(path, 1, (64, 64)).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    return path


def ckplus_film(root: Path, person: str, take: str, frames: int, emotion: str | None) -> Path:
    """Write a film of CK+; frame n has the level n."""
    folder = root / "cohn-kanade-images" / person / take
    for frame in range(1, frames + 1):
        picture(folder / f"{person}_{take}_{frame:08}.png", frame)
    for hidden in (".DS_Store", "._S000_000_00000000.png"):  # macOS leaves these
        (folder / hidden).write_bytes(b"\0")
    if emotion is not None:
        labels = root / "Emotion" / person / take
        labels.mkdir(parents=True)
        text = f"   {EMOTION[emotion]}.0000000e+00\n"
        (labels / f"{person}_{take}_{frames:08}_emotion.txt").write_text(text)
    return folder


def oulu_film(root: Path, person: str, expression: str, frames: int) -> Path:
    """Write a film of Oulu-CASIA; its n-th frame, numbered from 0, has the level 100 + n."""
    folder = root / "VL" / "Strong" / person / expression
    for frame in range(frames):
        picture(folder / f"{frame:03}.jpeg", 101 + frame)
    return folder


def film(folder: Path, names: Sequence[str]) -> None:
    """Write a film of given names; the n-th has the level n."""
    for level, name in enumerate(names, start=1):
        picture(folder / name, level)
