"""Small data sets on disk, in the layouts they are distributed in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw

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


# --- the London set ---


def drawn_face(path: Path, smile: int, shift: int = 0) -> None:
    """Draw a face with a mouth whose corners are raised."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGB", (150, 150), (200, 210, 205))
    pen = ImageDraw.Draw(image)
    pen.ellipse((35 + shift, 20, 115 + shift, 130), fill=(190, 140, 120))
    for eye in (58, 92):
        pen.ellipse((eye - 8 + shift, 55, eye + 8 + shift, 65), fill=(250, 250, 250))
        pen.ellipse((eye - 4 + shift, 56, eye + 4 + shift, 64), fill=(40, 30, 20))
    corners = [
        (55 - smile + shift, 102 - smile),
        (75 + shift, 104),
        (95 + smile + shift, 102 - smile),
    ]
    pen.line(corners, fill=(120, 40, 50), width=6)
    image.save(path)


def london_set(root: Path, people: int = 2) -> Path:
    for person in range(1, people + 1):
        drawn_face(root / f"neutral_front/{person:03}_03.jpg", smile=0)
        drawn_face(root / f"smiling_front/{person:03}_08.jpg", smile=6, shift=3)
        (root / f"neutral_front/{person:03}_03.tem").write_text("1\n2\t3\n")
    return root


def with_landmarks(root: Path) -> Path:
    """Give every neutral face landmarks on its outline, its eyes and its mouth."""
    around = [(35, 75), (115, 75), (75, 22), (75, 128)]
    eyes = [(x, y) for x in (50, 58, 66, 84, 92, 100) for y in (55, 60, 65)]
    mouth = [(x, y) for x in (55, 60, 65, 75, 85, 90, 95) for y in (99, 103, 107)]
    places = around + eyes + mouth
    text = "\n".join([str(len(places)), *(f"{x}\t{y}" for x, y in places)])
    for photograph in root.glob("neutral_front/*.jpg"):
        photograph.with_suffix(".tem").write_text(text)
    return root
