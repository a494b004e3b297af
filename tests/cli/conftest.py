"""The command, run in this process, in a folder with a tiny recipe."""

import sys
from pathlib import Path

import pytest

from nvn.cli import main
from tests.tiny import FILE, NEIGHBOR


class Command:
    """`nvn …` in a folder of its own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, *arguments: object) -> tuple[int, str, str]:
        self._monkeypatch.setattr(sys, "argv", ["nvn", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        said = self._capsys.readouterr()
        return end.value.code or 0, said.out, said.err  # type: ignore[return-value]


@pytest.fixture
def nvn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    (tmp_path / "game.py").write_text(FILE)
    (tmp_path / "neighbor.py").write_text(NEIGHBOR)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return Command(monkeypatch, capsys)
