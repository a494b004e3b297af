import os
import re
import signal
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image, ImageOps

import nvn
from nvn.apply.apply import Applied, apply_to, check_empty, report
from nvn.errors import ConfigError, DataError, NvnWarning, RunError
from nvn.folders import PictureFile, find_pictures
from tests.killing import die, in_child
from tests.tiny import tiny

Fn = Callable[[nvn.Engine, Image.Image], Image.Image]


def inverted(engine: nvn.Engine, image: Image.Image) -> Image.Image:
    if min(image.size) < 2:
        raise DataError("too small")
    return ImageOps.invert(image)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> nvn.Run:
    recipe = tiny(evaluations=(), previews=())
    return nvn.train(recipe, out=tmp_path_factory.mktemp("run"), max_steps=1)


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "photos"
    (folder / "deep").mkdir(parents=True)
    Image.new("RGB", (30, 20), "red").save(folder / "a.png")
    Image.new("RGB", (30, 20), "white").save(folder / "deep" / "b.jpg")
    return Path("photos")


def trained(run: nvn.Run, fn: Fn = inverted) -> nvn.Trained:
    recipe = tiny(application=nvn.Application("inverted", fn))
    return nvn.trained(run.folder, recipe=recipe)


def applied(run: nvn.Run, photos: Path, fn: Fn = inverted, out: str = "out") -> Applied:
    return apply_to(trained(run, fn), find_pictures([photos]), Path(out))


def files(folder: str = "out") -> list[str]:
    paths = (path for path in Path(folder).rglob("*") if path.is_file())
    return sorted(str(path.relative_to(folder)) for path in paths)


def test_results_lie_beside_what_they_were_made_of(run: nvn.Run, photos: Path) -> None:
    done = applied(run, photos)
    assert files() == [
        "a-inverted-compared.png",
        "a-inverted.png",
        "applied.yaml",
        "before-after.html",
        "contact-sheet.png",
        "deep/b-inverted-compared.png",
        "deep/b-inverted.png",
    ]
    assert done.results[photos / "a.png"] == Path("out/a-inverted.png")
    assert (done.skipped, done.interrupted) == ({}, False)
    with Image.open("out/a-inverted.png") as result:
        assert (result.size, result.getpixel((3, 3))) == ((30, 20), (0, 255, 255))
    with Image.open("out/a-inverted-compared.png") as both:
        middle = both.height // 2
        colors = [both.getpixel((x, middle)) for x in (3, both.width - 3)]
        assert colors == [(255, 0, 0), (0, 255, 255)]


def test_what_was_done_is_written_down(run: nvn.Run, photos: Path) -> None:
    (photos / "text.png").write_text("hello")
    applied(run, photos)
    about = yaml.safe_load(Path("out/applied.yaml").read_text())
    assert about["run"] == str(run.folder.resolve())
    assert about["results"]["photos/deep/b.jpg"] == "out/deep/b-inverted.png"
    assert about["skipped"] == {"photos/text.png": "not a picture of a known format"}


def test_a_broken_or_refused_file_is_skipped_and_the_rest_done(run: nvn.Run, photos: Path) -> None:
    Image.new("L", (1, 1)).save(photos / "a0.png")
    whole = (photos / "a.png").read_bytes()
    (photos / "0.png").write_bytes(whole[: len(whole) // 2])
    done = applied(run, photos)
    assert [path.name for path in done.skipped] == ["0.png", "a0.png"]
    assert done.skipped[photos / "a0.png"] == "too small"
    assert [path.name for path in done.results] == ["a.png", "b.jpg"]


def test_where_all_are_skipped_there_is_no_sheet(run: nvn.Run, photos: Path) -> None:
    (photos / "a.png").write_bytes(b"")
    assert not apply_to(trained(run), find_pictures([photos / "a.png"]), Path("out")).sheets
    assert files() == ["applied.yaml"]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr", "HSV", "I;16", "F"])
def test_a_result_may_have_any_mode(run: nvn.Run, photos: Path, mode: str) -> None:
    applied(run, photos, lambda engine, image: Image.new(mode, (5, 5)))
    with Image.open("out/a-inverted.png") as result:
        assert result.size == (5, 5)


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (ZeroDivisionError("by zero"), r"ZeroDivisionError: by zero \(test_apply.py:\d+\)"),
        (KeyError(), r"KeyError \(test_apply.py:\d+\)"),
        (MemoryError(), "there is not enough memory for it"),
        (RunError("odd"), "odd"),
    ],
)
def test_whatever_one_picture_raises_the_others_are_done(
    run: nvn.Run, photos: Path, error: Exception, why: str
) -> None:
    def broken(engine: nvn.Engine, image: Image.Image) -> Image.Image:
        if image.getpixel((0, 0)) == (255, 0, 0):
            raise error
        return image

    done = applied(run, photos, broken)
    assert re.fullmatch(why, done.skipped[photos / "a.png"])
    assert list(done.results) == [photos / "deep" / "b.jpg"]


def test_a_picture_with_broken_metadata_is_done(run: nvn.Run, photos: Path) -> None:
    broken = b"Exif\0\0" + b"\xff" * 16
    for name in ("1.jpg", "2.png", "3.webp"):
        Image.new("RGB", (8, 8)).save(photos / name, exif=broken, icc_profile=b"\xff" * 200)
    done = applied(run, photos, lambda engine, image: image)
    assert (len(done.results), done.skipped) == (5, {})
    for result in done.results.values():
        with Image.open(result) as image:
            assert "icc_profile" not in image.info


def test_a_result_keeps_no_profile(run: nvn.Run, photos: Path) -> None:
    def profiled(engine: nvn.Engine, image: Image.Image) -> Image.Image:
        gray = image.convert("L")
        gray.info["icc_profile"] = b"a profile of colors"
        return gray

    (result, _) = applied(run, photos, profiled).results.values()
    with Image.open(result) as image:
        assert (image.mode, "icc_profile" in image.info) == ("L", False)


def test_what_is_to_be_known_of_results_is_said_once(run: nvn.Run, photos: Path) -> None:
    def doubtful(engine: nvn.Engine, image: Image.Image) -> Image.Image:
        warnings.warn("no face is found", NvnWarning, stacklevel=1)
        return image

    done = applied(run, photos, doubtful)
    assert set(done.notes.values()) == {"no face is found"}
    with pytest.warns(NvnWarning, match="^2 files: no face is found: photos/a.png, photos/deep/b"):
        report(done, 2, Path("out"))
    about = yaml.safe_load(Path("out/applied.yaml").read_text())
    assert about["notes"]["photos/a.png"] == "no face is found"


def test_other_warnings_are_let_through(run: nvn.Run, photos: Path) -> None:
    def old(engine: nvn.Engine, image: Image.Image) -> Image.Image:
        warnings.warn("old", FutureWarning, stacklevel=1)
        return image

    with pytest.warns(FutureWarning, match="old"):
        assert applied(run, photos, old).notes == {}


def test_folders_named_as_results_are_no_obstacle(run: nvn.Run, photos: Path) -> None:
    for name in ("a-inverted.png/x.png", "applied.yaml_/y.png", "contact-sheet.png/z.png"):
        (photos / name).parent.mkdir()
        Image.new("RGB", (8, 8)).save(photos / name)
    done = applied(run, photos)
    assert (len(done.results), done.skipped) == (5, {})
    assert all(result.is_file() for result in done.results.values())


@pytest.mark.skipif(os.name == "nt", reason="names of any bytes")
def test_names_that_print_alike_are_two(run: nvn.Run, photos: Path) -> None:
    for name in (b"\r.png", b"\xe9.png"):
        Image.new("RGB", (8, 8)).save(photos / os.fsdecode(name))
    applied(run, photos)
    about = yaml.safe_load(Path("out/applied.yaml").read_text())
    assert len(about["results"]) == 4
    assert {"photos/\\r.png", "photos/\\xe9.png"} <= set(about["results"])


@pytest.mark.skipif(os.name == "nt", reason="limits of Linux")
def test_a_path_that_is_too_long_is_one_files_trouble(run: nvn.Run, photos: Path) -> None:
    deep = Path(*["d" * 200] * 19)
    pictures = [PictureFile(photos / "a.png", deep / "a.png"), *find_pictures([photos / "deep"])]
    done = apply_to(trained(run), pictures, Path("o" * 200, "p" * 200))
    assert "File name too long" in done.skipped[photos / "a.png"]
    assert len(done.results) == 1


def test_a_signal_ends_the_encoding_of_a_large_result(
    run: nvn.Run, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = Image.Image.save

    def save(self: Image.Image, *args: Any, **options: Any) -> None:
        if self.size == (30, 20):
            os.kill(os.getpid(), signal.SIGINT)
        usual(self, *args, **options)

    monkeypatch.setattr(Image.Image, "save", save)
    done = applied(run, photos)
    assert (done.interrupted, done.results, files()) == (True, {}, ["applied.yaml"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_and_what_is_done_stays(run: nvn.Run, photos: Path, number: int) -> None:
    def interrupted(engine: nvn.Engine, image: Image.Image) -> Image.Image:
        if image.getpixel((0, 0)) != (255, 0, 0):
            os.kill(os.getpid(), number)
        return image

    before = signal.getsignal(number)
    done = applied(run, photos, interrupted)
    assert done.interrupted
    assert list(done.results) == [photos / "a.png"]
    names = ["a-inverted-compared.png", "a-inverted.png", "applied.yaml", "before-after.html"]
    names += ["contact-sheet.png"]
    assert files() == names
    assert signal.getsignal(number) is before


def test_a_signal_while_files_are_written_lets_them_be_whole(
    run: nvn.Run, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nvn.apply import apply as applying

    def beside(before: Image.Image, after: Image.Image) -> Image.Image:
        os.kill(os.getpid(), signal.SIGINT)
        return after

    monkeypatch.setattr(applying, "beside", beside)
    done = applied(run, photos)
    assert (done.interrupted, len(done.results)) == (True, 1)
    assert len(files()) == 5
    assert "before-after.html" in files()


def test_nothing_is_overwritten(run: nvn.Run, photos: Path) -> None:
    (photos / "deep" / "b.jpg").unlink()
    with pytest.raises(RunError, match="photos is not empty: nothing is overwritten"):
        applied(run, photos, out="photos")
    with pytest.raises(RunError, match="cannot create photos/a.png: Not a directory"):
        check_empty(photos / "a.png")


def test_results_inside_the_folder_of_inputs_are_not_eaten(run: nvn.Run, photos: Path) -> None:
    first = applied(run, photos, out="photos/one")
    second = applied(run, photos, out="photos/two")
    assert list(first.results) == list(second.results)
    assert files("photos/one") == files("photos/two")


def test_a_full_disk_is_one_clear_error(
    run: nvn.Run, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = Path.replace

    def full(self: Path, target: Any) -> Path:
        if Path(target).suffix == ".png":
            raise OSError(28, "No space left on device")
        return usual(self, target)

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(RunError, match="cannot write out/a-inverted.png: No space left on device"):
        applied(run, photos)
    assert files() == ["applied.yaml"]


def test_many_pictures_have_several_sheets(
    run: nvn.Run, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nvn.apply.apply.PAGE", 2)
    for name in "cde":
        Image.new("L", (4, 4)).save(photos / f"{name}.png")
    names = [path.name for path in applied(run, photos).sheets]
    assert names == ["contact-sheet.png", "contact-sheet-2.png", "contact-sheet-3.png"]


def test_a_recipe_without_application_is_refused_before_anything_is_made(
    run: nvn.Run, photos: Path
) -> None:
    game = nvn.trained(run.folder, recipe=tiny())
    with pytest.raises(ConfigError, match="has no application: pass"):
        apply_to(game, find_pictures([photos]), Path("out"))
    assert not Path("out").exists()


def test_what_was_skipped_is_told_up_to_a_point(capsys: pytest.CaptureFixture[str]) -> None:
    skipped = {Path(f"{number}.png"): "broken" for number in range(25)}
    report(Applied(results={Path("a"): Path("b")}, skipped=skipped), 26, Path("out"))
    said = capsys.readouterr()
    assert said.out == "1 result in out\n"
    assert said.err.startswith("error: 25 files skipped:\n  0.png: broken\n")
    assert said.err.endswith("  19.png: broken\n  and 5 more, see out/applied.yaml\n")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="children by fork")
def test_what_is_listed_is_there_also_after_a_kill(run: nvn.Run, photos: Path) -> None:
    for number in range(8):
        Image.new("RGB", (9, 9), "blue").save(photos / f"{number}.png")
    seen = []

    def deadly(engine: nvn.Engine, image: Image.Image) -> Image.Image:
        seen.append(image)
        if len(seen) == 7:
            die()
        time.sleep(0.3)  # a picture takes longer than a line of the list
        return image

    assert in_child(lambda: applied(run, photos, deadly)) == -9
    about = yaml.safe_load(Path("out/applied.yaml").read_text())
    assert about["ended"] is False
    assert about["results"]  # all but the last ones, if the list was quickly written
    assert all(Path(result).exists() for result in about["results"].values())


def test_of_two_that_want_a_folder_one_gets_it(run: nvn.Run, photos: Path) -> None:
    def second(engine: nvn.Engine, image: Image.Image) -> Image.Image:
        with pytest.raises(RunError, match="is not empty"):
            applied(run, photos)
        return image

    assert len(applied(run, photos, second).results) == 2
    assert yaml.safe_load(Path("out/applied.yaml").read_text())["ended"] is True
