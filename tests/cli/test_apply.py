"""`nvn apply`, from a recipe's file to the pictures."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from nvn.cli import main
from tests.processes import NVN, end_of, until

RECIPE = '''\
"""A game that learns a color."""

import time
from functools import partial

import torch
from PIL import Image
from torch import nn

import nvn


class Config(nvn.Config):
    """Settings."""

    slow: float = 0.0


class Shift(nn.Module):
    """Adds a vector."""

    def __init__(self):
        super().__init__()
        self.by = nn.Parameter(torch.zeros(3))

    def forward(self, x):
        return x + self.by


def colored(engine, image, slow):
    """Fill a picture with what was learned; of the smallest, slowly."""
    if image.size == (4, 4):
        time.sleep(slow)
    if min(image.size) < 2:
        raise nvn.NvnError(f"{image.width} × {image.height} is too small, expected 2 × 2")
    color = engine.modules["G"](torch.zeros(3)).mul(255).round().int().tolist()
    return Image.new("RGB", image.size, tuple(color))


def recipe(config):
    game = nvn.Game("color")
    x = game.batch("x")
    G = game.player("G", Shift())
    G.minimizes(nvn.energy(lambda x: x.square().sum(), name="square")(G(x)))
    return nvn.Recipe(
        name="color",
        game=game,
        schedule=nvn.alternating(G),
        optimizers=partial(torch.optim.SGD, lr=0.5),
        data=[{"x": torch.tensor([-1.0, -0.2, 0.0])}],
        steps=1,
        application=nvn.Application("colored", partial(colored, slow=config.slow)),
    )
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "color.py").write_text(RECIPE)
    (tmp_path / "photos").mkdir()
    Image.effect_noise((300, 200), 50).convert("CMYK").save(tmp_path / "photos" / "a.jpg")
    Image.new("L", (3000, 2000)).save(tmp_path / "photos" / "big.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


def nvn(*arguments: str) -> int:
    sys.argv = ["nvn", *arguments]
    with pytest.raises(SystemExit) as end:
        main()
    return int(end.value.code or 0)


def test_a_recipe_is_run_and_applied(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert nvn("run", "color.py", "--accelerator", "cpu") == 0
    capsys.readouterr()
    assert nvn("apply", "runs/color", "photos", "--out", "out", "--accelerator", "cpu") == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert said.out.splitlines()[-3:] == [
        "2 results in out",
        "contact sheet: out/contact-sheet.png",
        "before and after: out/before-after.html",
    ]
    with Image.open("out/big-colored.png") as result:
        assert result.size == (3000, 2000)
        assert result.getpixel((0, 0)) == (255, 51, 0)


def test_a_corrupt_file_is_named_and_the_code_is_one(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("L", (1, 1)).save("photos/one.png")
    content = Path("photos/a.jpg").read_bytes()
    Path("photos/torn.jpg").write_bytes(content[: len(content) // 2])
    assert nvn("run", "color.py", "--out", "run") == 0
    capsys.readouterr()
    assert nvn("apply", "run", "photos", "--out", "photos/out") == 1
    said = capsys.readouterr()
    assert "2 results in photos/out" in said.out
    title, *lines = said.err.splitlines()
    assert title == "error: 2 files skipped:"
    assert lines[0] == "  photos/one.png: 1 × 1 is too small, expected 2 × 2"
    assert lines[1].startswith("  photos/torn.jpg: image file is truncated")


def test_what_cannot_be_done_is_said_before_anything_is_made(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = RECIPE.replace("        application=", "        # application=")
    (folder / "color.py").write_text(plain)
    assert nvn("run", "color.py", "--out", "run") == 0
    capsys.readouterr()
    for arguments, message in (
        (["gone", "photos", "--out", "out"], "error: there is no run gone"),
        (["run", "run", "--out", "out"], "error: there are no pictures: run"),
        (["run", "photos", "--out", "photos"], "error: photos is not empty"),
        (["run", "photos", "--out", "out"], "error: the recipe 'color' has no application"),
        (["run", "photos", "--out", "out", "--recipe", "x.py"], "there is no recipe file x.py"),
        (["run", "photos", "--out", "out", "--accelerator", "abacus"], "--accelerator abacus"),
    ):
        assert nvn("apply", *arguments) == 1
        assert message in capsys.readouterr().err
        assert not Path("out").exists()
    assert nvn("apply", "run", "photos") == 2  # no --out


def test_ctrl_c_leaves_what_is_done(folder: Path) -> None:
    for number in range(3):
        Image.new("L", (4, 4)).save(f"photos/p{number}.png")
    assert nvn("run", "color.py", "--out", "run", "--set", "slow=3600") == 0
    process = subprocess.Popen(
        [*NVN, "apply", "run", "photos", "--out", "out"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        until(Path("out/big-colored-compared.png").exists, process)
        process.send_signal(signal.SIGINT)
        code, said, error = end_of(process)
    finally:
        process.kill()
        process.communicate()
    assert (code, error) == (130, "")
    assert "interrupted after 2 of 5" in said
    assert {"a-colored.png", "applied.yaml", "contact-sheet.png"} <= {
        path.name for path in Path("out").iterdir()
    }
    assert not list(Path("out").glob(".*"))  # no half-written file


def test_films_and_pictures_are_applied_to(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    av = pytest.importorskip("av", reason="PyAV is not installed")
    with av.open("walk.mp4", "w") as sink:
        stream = sink.add_stream("mpeg4", rate=12)
        stream.width, stream.height, stream.pix_fmt = 16, 16, "yuv420p"
        for _ in range(3):
            sink.mux(stream.encode(av.VideoFrame.from_image(Image.new("RGB", (16, 16)))))
        sink.mux(stream.encode(None))
    assert nvn("run", "color.py", "--accelerator", "cpu") == 0
    apply = ("apply", "runs/color", "walk.mp4")
    assert nvn(*apply, "photos", "--out", "out", "--accelerator", "cpu") == 0
    assert "film: out/walk-colored.mp4, 3 frames" in capsys.readouterr().out
    assert Path("out/walk-colored.mp4").is_file()
    assert Path("out/contact-sheet.png").is_file()
    assert nvn(*apply, "--out", "alone", "--accelerator", "cpu") == 0
    assert [path.name for path in Path("alone").iterdir()] == ["walk-colored.mp4"]
