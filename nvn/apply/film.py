"""Applying a trained game to video files, frame by frame. It needs PyAV (the extra `video`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from nvn.console import progress, show
from nvn.errors import DataError, RunError
from nvn.files import disk
from nvn.images import printable
from nvn.packages import needed
from nvn.training.trained import Trained

__all__ = ["apply_to_film", "apply_to_films", "is_film"]

_ENDINGS = frozenset((".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm"))
_CODECS = ("libx264", "mpeg4")  # what everything plays; what every FFmpeg has
_USUAL_RATE = 25  # frames a second, where a file does not say


def is_film(path: Path) -> bool:
    """Whether a file is a film, by its ending.

    >>> is_film(Path("walk.MP4")), is_film(Path("walk.png"))
    (True, False)
    """
    return path.suffix.lower() in _ENDINGS


def apply_to_films(trained: Trained, films: Sequence[Path], out: Path) -> None:
    """Apply a game to films, one after another, and print where each is.

    Raises:
        NvnError: What `apply_to_film` raises, of the first that cannot be done.
    """
    with disk(out, "create"):
        out.mkdir(parents=True, exist_ok=True)
    for path in films:
        result = _free(out, f"{path.stem}-{trained.application.name}")
        frames = apply_to_film(trained, path, result)
        show(f"film: {printable(result)}, {frames} frames")


def _free(folder: Path, stem: str) -> Path:
    """Return a file that is not there yet."""
    names = (f"{stem}.mp4", *(f"{stem}_{number}.mp4" for number in range(2, 10**6)))
    return next(folder / name for name in names if not (folder / name).exists())


def apply_to_film(trained: Trained, path: Path, out: Path) -> int:
    """Apply a game to each frame of a film, and write what comes of it, without sound.

    Args:
        trained: The game; its recipe has an application.
        path: The film.
        out: The file to write, .mp4; it is there only when it is whole.

    Returns:
        The number of frames.

    Raises:
        ConfigError: PyAV is not installed, or the recipe has no application.
        DataError: It cannot be read, has no frames, or the game cannot handle one of them.
        RunError: It cannot be written.
    """
    av = needed("av", "applying a game to a film")
    beginning = out.with_name(f".{out.name}.tmp.mp4")
    try:
        frames = _applied(av, trained, path, beginning)
        beginning.replace(out)
    except av.FFmpegError as error:
        raise DataError(f"{printable(path)}: {error.strerror}") from error
    except OSError as error:
        raise RunError(f"cannot write {printable(out)}: {error.strerror or error}") from error
    finally:
        beginning.unlink(missing_ok=True)
    return frames


def _applied(av: Any, trained: Trained, path: Path, out: Path) -> int:
    with av.open(str(path)) as source, av.open(str(out), "w") as sink:
        if not source.streams.video:
            raise DataError(f"{printable(path)}: it has no pictures")
        stream = source.streams.video[0]
        written: Any = None
        count = 0
        with progress(printable(path.name), stream.frames or None) as bar:
            for frame in source.decode(stream):
                made = trained.apply(frame.to_image()).convert("RGB")
                if written is None:
                    written = _stream(av, sink, stream.average_rate or _USUAL_RATE, made.size)
                size = (written.width, written.height)
                shown = av.VideoFrame.from_image(_of_size(made, size))
                sink.mux(written.encode(shown))
                count += 1
                bar.advance()
        if written is None:
            raise DataError(f"{printable(path)}: it has no frames")
        sink.mux(written.encode(None))  # what the encoder still holds
    return count


def _stream(av: Any, sink: Any, rate: Any, size: tuple[int, int]) -> Any:
    """Return a stream to write frames to; its sides are even, as its colors need."""
    codec = next(name for name in _CODECS if name in av.codecs_available)
    stream = sink.add_stream(codec, rate=rate)
    stream.width, stream.height = (max(2, side - side % 2) for side in size)
    stream.pix_fmt = "yuv420p"
    return stream


def _of_size(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Return a picture in the film's size: all frames have the first one's."""
    if image.size == size:
        return image
    if all(0 <= mine - wanted <= 1 for mine, wanted in zip(image.size, size, strict=True)):
        return image.crop((0, 0, *size))  # a row or column too many
    return image.resize(size, Image.Resampling.LANCZOS)
