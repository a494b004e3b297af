"""Films: each frame is the game's, at the film's own rate; nothing is left of what fails."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

import nvn
from nvn.apply.film import apply_to_film, apply_to_films
from nvn.errors import ConfigError, DataError
from tests.tiny import tiny

av: Any = pytest.importorskip("av", reason="PyAV is not installed")


def inverted(engine: nvn.Engine, image: Image.Image) -> Image.Image:
    return ImageOps.invert(image)


@pytest.fixture
def game(tmp_path: Path) -> nvn.Trained:
    recipe = tiny(
        application=nvn.Application("inverted", inverted),
        optimizers=partial(torch.optim.SGD, lr=0.1),
    )
    return nvn.trained(nvn.train(recipe, out=tmp_path / "run").folder, recipe=recipe)


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """Ten frames of 33 × 20, getting lighter."""
    path = tmp_path / "walk.mp4"
    with av.open(str(path), "w") as sink:
        stream = sink.add_stream("mpeg4", rate=12)
        stream.width, stream.height, stream.pix_fmt = 34, 20, "yuv420p"
        for level in range(10):
            image = Image.new("RGB", (34, 20), (20 * level,) * 3)
            sink.mux(stream.encode(av.VideoFrame.from_image(image)))
        sink.mux(stream.encode(None))
    return path


def test_each_frame_is_applied_to(game: nvn.Trained, film: Path, tmp_path: Path) -> None:
    assert apply_to_film(game, film, tmp_path / "out.mp4") == 10
    with av.open(str(tmp_path / "out.mp4")) as made:
        (stream,) = made.streams.video
        assert stream.average_rate == 12
        levels = [float(np.asarray(f.to_image()).mean()) for f in made.decode(stream)]
    assert len(levels) == 10
    for number, level in enumerate(levels):
        assert abs(level - (255 - 20 * number)) < 12


def test_sides_become_even_and_names_stay_free(
    game: nvn.Trained, film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = game.recipe.replace(
        application=nvn.Application("odd", lambda engine, image: image.resize((15, 9)))
    )
    trained = nvn.trained(game.folder, recipe=odd)
    apply_to_films(trained, [film, film], tmp_path / "films")
    names = sorted(path.name for path in (tmp_path / "films").iterdir())
    assert names == ["walk-odd.mp4", "walk-odd_2.mp4"]
    with av.open(str(tmp_path / "films" / "walk-odd.mp4")) as made:
        assert (made.streams.video[0].width, made.streams.video[0].height) == (14, 8)
    assert "10 frames" in capsys.readouterr().out


def test_what_is_no_film_is_said_and_nothing_left(game: nvn.Trained, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no film")
    before = {*tmp_path.iterdir()}
    with pytest.raises(DataError, match=r"broken\.mp4: "):
        apply_to_film(game, broken, tmp_path / "out.mp4")
    assert {*tmp_path.iterdir()} == before


def test_what_to_install_is_said(
    game: nvn.Trained, film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ConfigError, match=r"needs av.*\[video\]"):
        apply_to_film(game, film, tmp_path / "out.mp4")
