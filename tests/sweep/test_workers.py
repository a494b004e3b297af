"""Running cells: what ends badly, what is killed, what is at work already. No run here is real."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from io import BufferedRandom
from pathlib import Path

import pytest

from nvn.errors import RunError
from nvn.sweep import workers
from nvn.sweep.grid import Request
from nvn.sweep.locks import exclusive, opened, try_lock
from nvn.sweep.results import Result, clear, read_result
from nvn.sweep.workers import Job, run_command, run_jobs, this_program
from nvn.training.stopping import Stop
from tests.sweep.swept import grid_of

# What stands in for nvn: it notes that it began, does what it is told to, and finishes.
FAKE = """
import os, signal, sys, time
from pathlib import Path

what, place = sys.argv[1], Path(sys.argv[2])
with open("begun", "a") as file:
    file.write(f"{place.name} {os.environ.get('PLACE')}\\n")
place.mkdir()  # fails where a half-done run was left
(place / "run.yaml").write_text("outcome: running\\n")
print("working")
exec(what)
(place / "run.yaml").write_text("outcome: finished\\nmetrics: {score: {x: 1.0}}\\n")
"""
LONG = "time.sleep(3600)"
DEAF = f"signal.signal(signal.SIGTERM, lambda *_: print('heard')); print('deaf'); {LONG}"


class Told:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.began_: list[str] = []
        self.waited: list[tuple[str, str | None]] = []
        self.results: dict[str, Result] = {}

    def began(self, job: Job) -> None:
        self.began_.append(job.place.name)

    def waits(self, job: Job, process: str | None) -> None:
        self.waited.append((job.place.name, process))

    def ended(self, job: Job, result: Result, seconds: float) -> None:
        self.results[job.place.name] = result


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(workers, "_POLL", 0.01)
    Path("fake.py").write_text(FAKE)
    return [sys.executable, "fake.py"]


def jobs(folder: Path, **what: str) -> list[Job]:
    cell = grid_of(folder).cells[0]
    return [Job(cell, folder / name, (code, str(folder / name))) for name, code in what.items()]


def begun(folder: Path) -> list[str]:
    path = folder / "begun"
    return [line.split()[0] for line in path.read_text().splitlines()] if path.exists() else []


def run(folder: Path, program: list[str], *places: dict[str, str], **what: str) -> Told:
    told = Told()
    run_jobs(jobs(folder, **what), places or [{}], Stop(), told, program)
    return told


def test_each_is_run_and_its_output_is_kept(tmp_path: Path, program: list[str]) -> None:
    told = run(tmp_path, program, a="print('one')", b="print('two', file=sys.stderr)")
    assert begun(tmp_path) == ["a", "b"] == told.began_
    assert told.results["a"] == Result("finished", {"score": {"x": 1.0}})
    command, *said = (tmp_path / "b.log").read_text().splitlines()
    assert command.startswith("$ nvn 'print(")
    assert [line for line in said if not line.startswith("process ")] == ["working", "two"]


def test_as_many_at_once_as_there_are_places(tmp_path: Path, program: list[str]) -> None:
    until = "while sum(1 for _ in open('begun')) < 2: time.sleep(0.01)"
    run(tmp_path, program, {"PLACE": "0"}, {"PLACE": "1"}, a=until, b=until, c="", d="")
    places = [line.split()[1] for line in (tmp_path / "begun").read_text().splitlines()]
    assert sorted(places[:2]) == ["0", "1"]
    assert len(places) == 4


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("sys.exit('error: no data at x')", "no data at x (exit code 1)"),
        ("raise ValueError('mine')", "ValueError: mine (exit code 1)"),
        ("os.kill(os.getpid(), 9)", "ended by SIGKILL: out of memory?"),
        ("os.kill(os.getpid(), 11)", "ended by SIGSEGV"),
        ("os._exit(3)", "working (exit code 3)"),
        ("(place / 'run.yaml').write_text('outcome: failed\\nerror: NaN'); sys.exit(1)", "NaN"),
        ("os._exit(0)", "working (exit code 0)"),
    ],
)
def test_a_failure_is_told_and_the_others_go_on(
    tmp_path: Path, program: list[str], code: str, error: str
) -> None:
    told = run(tmp_path, program, bad=code, good="")
    assert (told.results["bad"].outcome, told.results["bad"].error) == ("failed", error)
    assert told.results["good"].finished


def test_a_run_that_hangs_is_ended(
    tmp_path: Path, program: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "STARTING", 0.5)
    monkeypatch.setattr(workers, "_GRACE", 0.5)
    told = Told()
    made = jobs(tmp_path, slow=LONG, deaf=DEAF, good="")
    run_jobs([replace(job, max_time=0.5) for job in made], [{}], Stop(), told, program)
    assert told.results["good"].finished
    slow, deaf = (str(told.results[name].error) for name in ("slow", "deaf"))
    assert slow == "did not end by itself 0.5 s after the 0.5 s that it had"
    assert deaf == "hung: killed 1 s after the 0.5 s that it had"


def test_what_is_out_of_time_goes_on_with_the_next_sweep(
    tmp_path: Path, program: list[str]
) -> None:
    late = "(place / 'run.yaml').write_text('outcome: out of time'); sys.exit(0)"
    told = Told()
    made = [replace(job, max_time=3.0) for job in jobs(tmp_path, a=late)]
    run_jobs(made, [{}], Stop(), told, program)
    assert told.results["a"].outcome == "out of time"
    assert told.results["a"].error == "out of time after 3 s: the same command goes on with it"


def test_a_folder_that_cannot_be_cleared_costs_its_run_alone(
    tmp_path: Path, program: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    (tmp_path / "link").symlink_to(tmp_path)

    def refuse(place: Path) -> None:
        if place.name == "bad":
            raise RunError("cannot remove bad: Device busy")
        clear(place)

    monkeypatch.setattr(workers, "clear", refuse)
    told = run(tmp_path, program, bad="", file="", link="", good="")
    assert told.results["bad"] == Result("failed", {}, "cannot remove bad: Device busy")
    assert all(told.results[name].finished for name in ("file", "link", "good"))
    assert (tmp_path / "fake.py").exists()


CHILD = "import subprocess; subprocess.Popen(['sleep', '3600'])"


def test_a_child_that_a_run_leaves_behind_is_ended(tmp_path: Path, program: list[str]) -> None:
    """It inherits the lock of the log: the next sweep would wait for it."""
    told = run(tmp_path, program, bad=f"{CHILD}; sys.exit(1)")
    assert told.results["bad"].outcome == "failed"
    with opened(tmp_path / "bad.log") as log:
        until_locked(log)


def test_nor_does_a_sweep_wait_for_one_of_a_sweep_that_was_killed(
    tmp_path: Path, program: list[str]
) -> None:
    code = f"{CHILD}; sys.exit(1)"
    with opened(tmp_path / "a.log") as log:
        assert try_lock(log)
        command = [*program, code, str(tmp_path / "a")]
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        log.write(f"process {process.pid}\n".encode())
    assert process.wait() == 1
    assert run(tmp_path, program, a="").results["a"].finished


def test_nobody_else_is_ended_for_a_number_in_a_log(tmp_path: Path, program: list[str]) -> None:
    """It may be of another machine: the group here is somebody's who has nothing to do with it."""
    leader = subprocess.Popen(
        [sys.executable, "-c", f"import sys; {CHILD}"], stdout=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    assert leader.wait() == 0  # its child goes on, in its group
    with opened(tmp_path / "a.log") as log:
        assert try_lock(log)
        log.write(f"process {leader.pid}\n".encode())
        log.flush()
        letting = Releasing(log)
        run_jobs(jobs(tmp_path, a=""), [{}], Stop(), letting, program)
    assert letting.waited == [("a", None)]
    os.killpg(leader.pid, signal.SIGKILL)  # it is there still, or this would fail


class Releasing(Told):
    """Lets go of a lock, once it is waited for."""

    def __init__(self, log: BufferedRandom) -> None:
        super().__init__()
        self._log = log

    def waits(self, job: Job, process: str | None) -> None:
        super().waits(job, process)
        self._log.close()


def until_locked(log: BufferedRandom) -> None:
    """Wait for a lock: who is killed lets go of it a moment later."""
    deadline = time.monotonic() + 60
    while not try_lock(log):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_failure_without_a_word(tmp_path: Path) -> None:
    told = run(tmp_path, [sys.executable, "-c", "raise SystemExit(3)"], a="")
    assert told.results["a"].error == "no output (exit code 3)"


def test_what_is_half_done_is_removed_and_run_again(tmp_path: Path, program: list[str]) -> None:
    run(tmp_path, program, a="(place / 'rest').write_text('x'); os.kill(os.getpid(), 9)")
    assert (tmp_path / "a" / "rest").exists()
    assert run(tmp_path, program, a="").results["a"].finished
    assert not (tmp_path / "a" / "rest").exists()
    assert begun(tmp_path) == ["a", "a"]
    assert "rest" not in (tmp_path / "a.log").read_text()  # of the last attempt alone


def start(folder: Path, program: list[str], name: str, code: str) -> "subprocess.Popen[bytes]":
    """A run that an earlier sweep has left: it holds the lock of its log."""
    with opened(folder / f"{name}.log") as log:
        assert try_lock(log)
        command = [*program, code, str(folder / name)]
        process = subprocess.Popen(command, stdout=log, stderr=log)
        log.write(f"process {process.pid}\n".encode())
    while not begun(folder):
        assert process.poll() is None
        time.sleep(0.01)
    return process


@pytest.fixture
def left(tmp_path: Path, program: list[str]) -> Iterator["subprocess.Popen[bytes]"]:
    """One that works until a file `go` is there."""
    until = "while not os.path.exists('go'): time.sleep(0.01)"
    process = start(tmp_path, program, "a", until)
    yield process
    process.kill()
    process.wait()


class Letting(Told):
    """Lets the run that was left go on, or kills it, once it is waited for."""

    def __init__(self, process: "subprocess.Popen[bytes]", kill: bool) -> None:
        super().__init__()
        self._process, self._kill = process, kill

    def waits(self, job: Job, process: str | None) -> None:
        super().waits(job, process)
        self._process.kill() if self._kill else Path("go").touch()


def test_what_an_earlier_sweep_left_at_work_is_waited_for(
    tmp_path: Path, program: list[str], left: "subprocess.Popen[bytes]"
) -> None:
    told = Letting(left, kill=False)
    run_jobs(jobs(tmp_path, a=""), [{}], Stop(), told, program)
    assert told.waited == [("a", str(left.pid))]
    assert told.results["a"].finished
    assert begun(tmp_path) == ["a"]


def test_if_it_does_not_finish_it_is_run_again(
    tmp_path: Path, program: list[str], left: "subprocess.Popen[bytes]"
) -> None:
    told = Letting(left, kill=True)
    run_jobs(jobs(tmp_path, a=""), [{}], Stop(), told, program)
    assert told.results["a"].finished
    assert begun(tmp_path) == ["a", "a"]


def test_a_signal_ends_the_waiting_and_not_what_is_waited_for(
    tmp_path: Path, program: list[str], left: "subprocess.Popen[bytes]"
) -> None:
    stop = Stop()

    class Signaling(Told):
        def waits(self, job: Job, process: str | None) -> None:
            super().waits(job, process)
            stop.on_signal(signal.SIGINT, None)

    told = Signaling()
    run_jobs(jobs(tmp_path, a="", b=""), [{}], stop, told, program)
    assert (told.began_, told.waited, told.results) == (["a"], [("a", str(left.pid))], {})
    assert left.poll() is None
    assert begun(tmp_path) == ["a"]


def test_what_has_finished_meanwhile_is_not_run(tmp_path: Path, program: list[str]) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "run.yaml").write_text("outcome: finished\n")
    assert run(tmp_path, program, a="").results["a"].finished
    assert begun(tmp_path) == []


class Stopping(Told):
    """Sends this process a signal, or fails, when all have begun."""

    def __init__(self, stop: Stop, folder: Path, *, fails: bool = False, again: bool = False):
        super().__init__()
        self._stop, self._folder, self._fails, self._again = stop, folder, fails, again

    def began(self, job: Job) -> None:
        super().began(job)
        if job.place.name == "b":
            threading.Thread(target=self._signal).start()

    def ended(self, job: Job, result: Result, seconds: float) -> None:
        super().ended(job, result, seconds)
        if self._fails:
            raise RunError("the disk is full")

    def _signal(self) -> None:
        self._until("a", "working")
        self._until("b", "working" if self._fails else "deaf")
        if self._fails:
            (self._folder / "go").touch()
        else:
            os.kill(os.getpid(), signal.SIGUSR1)
            if self._again:
                self._until("b", "heard")
                os.kill(os.getpid(), signal.SIGUSR1)

    def _until(self, name: str, said: str) -> None:
        log = self._folder / f"{name}.log"
        while not log.exists() or f"\n{said}\n" not in log.read_text():
            time.sleep(0.01)


def ended(folder: Path, name: str) -> bool:
    """Whether nobody is at work on a run."""
    with opened(folder / f"{name}.log") as log:
        return try_lock(log)


@pytest.mark.parametrize("again", [False, True], ids=["once", "twice"])
def test_a_signal_ends_all_runs_and_begins_none(
    tmp_path: Path, program: list[str], monkeypatch: pytest.MonkeyPatch, again: bool
) -> None:
    monkeypatch.setattr(workers, "_GRACE", 3600.0 if again else 0.3)
    stop = Stop()
    before = signal.signal(signal.SIGUSR1, stop.on_signal)
    try:
        what = jobs(tmp_path, a=LONG, b=DEAF, c="")
        run_jobs(what, [{}, {}], stop, Stopping(stop, tmp_path, again=again), program)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert stop.reason == "preempted"
    assert sorted(begun(tmp_path)) == ["a", "b"]
    assert ended(tmp_path, "a")
    assert ended(tmp_path, "b")
    assert not read_result(tmp_path / "a").finished


def test_no_run_is_left_behind_by_an_error(tmp_path: Path, program: list[str]) -> None:
    until = "while not os.path.exists('go'): time.sleep(0.01)"
    watcher = Stopping(Stop(), tmp_path, fails=True)
    with pytest.raises(RunError, match="the disk is full"):
        run_jobs(jobs(tmp_path, a=until, b=LONG), [{}, {}], Stop(), watcher, program)
    assert ended(tmp_path, "b")


def test_two_sweeps_in_one_folder(tmp_path: Path) -> None:
    with (
        exclusive(tmp_path / "new"),
        pytest.raises(RunError, match="another sweep is running in"),
        exclusive(tmp_path / "new"),
    ):
        pass
    with exclusive(tmp_path / "new"):
        pass


def test_the_command_of_a_run(tmp_path: Path) -> None:
    grid = grid_of(tmp_path, "backbone=vgg,resnet", "note=a b,null", "seed=7", preset="large")
    request = Request([], preset="large", max_steps=5, max_time=90.0, precision="64-true")
    given = str(tmp_path / "mine.py")
    assert run_command(grid.cells[0], request, "cpu", Path("out")) == (
        *("run", given, "--preset", "large"),
        *("--set", "backbone=vgg", "--set", "note=a b"),
        *("--seed", "7", "--max-steps", "5", "--max-time", "90s"),
        *("--accelerator", "cpu", "--precision", "64-true", "--out", "out"),
        *("--resume", "auto"),
    )
    assert "note=null" in run_command(grid.cells[1], request, "cpu", Path("out"))


def test_a_file_in_the_folder_does_not_hide_a_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "random.py").write_text("raise SystemExit('mine')")
    monkeypatch.chdir(tmp_path)
    command = [*this_program(), "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("nvn ")
