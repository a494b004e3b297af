"""What a run shows while it goes on, and where."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
import rich
from rich.console import Console

import nvn
from nvn.console import Board, bars, screen
from nvn.training import live, reporter
from nvn.training.reporter import Reporter
from nvn.training.run_folder import RunFolder
from tests.tiny import tiny


class Seen:
    """A screen that keeps what it is shown."""

    def __init__(self) -> None:
        self.boards: list[Board] = []
        self.closed = 0

    def due(self) -> bool:
        return True

    def show(self, board: Board) -> None:
        self.boards.append(board)

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    made = Seen()
    monkeypatch.setattr(reporter, "open_screen", lambda: made)
    return made


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look at the clock is a second later."""
    times = iter(range(10_000))
    monkeypatch.setattr(reporter.time, "monotonic", lambda: float(next(times)))


def terminal(monkeypatch: pytest.MonkeyPatch, **options: Any) -> io.StringIO:
    file = io.StringIO()
    monkeypatch.setenv("TERM", "xterm")
    made = Console(file=file, width=100, **options)
    monkeypatch.setattr(rich, "get_console", lambda: made)
    return file


def test_the_board_follows_phase_and_run(seen: Seen, clock: None, tmp_path: Path) -> None:
    nvn.train(tiny(), out=tmp_path / "run", plugins=[Reporter()])
    assert seen.closed == 2
    progress = [tuple((s.name, s.done, s.total) for s in board.stretches) for board in seen.boards]
    assert progress[0] == (("warmup", 0, 3), ("whole run", 0, 9))
    assert progress[3] == (("warmup", 3, 3), ("whole run", 3, 9))
    assert progress[-1] == (("main", 6, 6), ("whole run", 9, 9))
    left = [stretch.left for stretch in seen.boards[2].stretches]
    assert left[0] is not None
    assert left[1] == pytest.approx(7 * left[0])  # of one step of the phase, and six of the game
    assert any("samples/s" in part for part in seen.boards[-1].speed)


def test_the_board_has_players_by_team_and_what_they_do(seen: Seen, tmp_path: Path) -> None:
    records = []

    class Kept:
        @nvn.plugins.hook
        def step_done(self, record: nvn.Record) -> None:
            records.append(record)

    nvn.train(tiny(), out=tmp_path / "run", plugins=[Kept(), Reporter()], pulls_every=2)
    board, last = seen.boards[-1], records[-1]
    players = {p.name: p for team in board.teams for p in team.players}
    assert [team.name for team in board.teams] == ["", ""]
    assert players.keys() == {"G", "D"}
    for name, player in players.items():
        assert player.objective[-1] == last.objectives[name]
        assert player.norm == last.gradient_norms[name]
        assert player.rate == 0.1
        assert sum(share for _, share in player.pulls) == pytest.approx(1.0)
    assert {energy.name: energy.values[-1] for energy in board.energies} == last.energies
    assert [player.name for (player,) in (team.players for team in seen.boards[0].teams)] == ["G"]


def test_pulls_are_named_by_who_judges(seen: Seen, tmp_path: Path) -> None:
    nvn.train(tiny(), out=tmp_path / "run", plugins=[Reporter()], pulls_every=1)
    named = {name for team in seen.boards[-1].teams for p in team.players for name, _ in p.pulls}
    assert named == {"hold(G(x))", "hold(D(x))", "pull(G(x), D(x))"}
    own = {
        "fool": nvn.Pull(1.0, 0.1, through=("D",)),
        "far": nvn.Pull(1.0, 0.2, through=("D",)),
        "near": nvn.Pull(1.0, 0.7),
    }
    assert live.strongest(own) == (("near", 0.7), ("D", pytest.approx(0.3)))


def test_from_python_a_terminal_shows_the_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = terminal(monkeypatch, force_terminal=True)
    nvn.train(tiny(), out=tmp_path / "shown")
    said = file.getvalue()
    assert f"into {tmp_path / 'shown'}" in said
    assert "objective" in said
    assert "results are in" in said
    file.truncate(0)
    file.seek(0)
    nvn.train(tiny(), out=tmp_path / "quiet", progress=False)
    assert file.getvalue() == ""


def test_from_python_a_file_is_left_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = terminal(monkeypatch, force_terminal=False)
    nvn.train(tiny(), out=tmp_path / "run")
    assert file.getvalue() == ""


def test_it_is_shown_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = terminal(monkeypatch, force_terminal=True)
    nvn.train(tiny(), out=tmp_path / "run", plugins=[Reporter()])
    assert file.getvalue().count("results are in") == 1


def test_a_run_that_goes_back_has_one_board(
    monkeypatch: pytest.MonkeyPatch, seen: Seen, tmp_path: Path
) -> None:
    spoiled = []

    class Spoiler:
        @nvn.plugins.hook
        def step_done(self, record: nvn.Record, engine: nvn.Engine) -> None:
            assert opened[-1] - seen.closed == 1
            if record.step == 3 and not spoiled:
                spoiled.append(record.step)
                for parameter in engine.modules["G"].parameters():
                    parameter.data.fill_(float("nan"))

    opened = [0]
    monkeypatch.setattr(reporter, "open_screen", lambda: (opened.append(opened[-1] + 1), seen)[1])
    with pytest.warns(nvn.NvnWarning, match="has gone back"):
        nvn.train(
            tiny(phases=[], previews=[]),
            out=tmp_path / "run",
            on_divergence="rollback",
            plugins=[Reporter(), Spoiler()],
        )
    assert opened[-1] == seen.closed == 2


def test_whatever_fails_the_terminal_is_as_it_was(
    monkeypatch: pytest.MonkeyPatch, seen: Seen, tmp_path: Path
) -> None:
    def full(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(RunFolder, "save_weights", full)

    class Failing:
        @nvn.plugins.hook
        def step_done(self) -> None:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        nvn.train(tiny(), out=tmp_path / "run", plugins=[Reporter(), Failing()])
    assert seen.closed == 1


def test_who_is_ahead_is_said_in_words(
    monkeypatch: pytest.MonkeyPatch, seen: Seen, tmp_path: Path
) -> None:
    monkeypatch.setattr(live, "furthest", lambda leads: 1)
    nvn.train(tiny(phases=[]), out=tmp_path / "run", plugins=[Reporter()])
    assert seen.boards[-1].speed[-1] == "G ahead"


def test_in_a_file_there_is_a_line_now_and_then(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = terminal(monkeypatch, force_terminal=False)
    times = iter(range(0, 100_000, 4))
    monkeypatch.setattr(bars.time, "monotonic", lambda: float(next(times)))
    nvn.train(tiny(steps=30), out=tmp_path / "run", plugins=[Reporter()])
    said = file.getvalue()
    assert "\x1b" not in said
    assert "main: 30/30 in" in said
    assert "objective" not in said


def test_steps_that_nothing_is_drawn_of_cost_next_to_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Between two drawings nothing is read: no wait for the device."""
    terminal(monkeypatch, force_terminal=True)
    monkeypatch.setattr(screen.Rhythm, "due", lambda self: False)
    read: list[int] = []
    shown = live.Live._read
    monkeypatch.setattr(
        live.Live, "_read", lambda self, r, e: (read.append(r.step), shown(self, r, e))
    )
    nvn.train(tiny(steps=30), out=tmp_path / "run", plugins=[Reporter()])
    assert not read
