"""KeyboardInterrupt at any line of nvn's: everything is as before, and the engine goes on.

Lines of the loop itself are among them, and those of others' contexts: what contextlib has
entered, but whose `with` has not begun, is left to whoever collects garbage. A trace function
raises at the n-th line that is run. The error is kept meanwhile, as notebooks keep the last one.
"""

import contextlib
import gc
import os
import random
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import lightning_fabric.plugins.precision
import numpy as np
import pytest
import torch
from torch import nn
from torch.amp import autocast_mode

import nvn
from nvn.training.fabric import make_fabric
from tests.engine.test_state import OPTIMIZERS, restless
from tests.small import Gan, adam, gan, linear, mean, tensor

FILES = (
    str(Path(nvn.__file__).parent),
    "<nvn loop",
    contextlib.__file__,
    autocast_mode.__file__,
    str(Path(lightning_fabric.plugins.precision.__file__).parent),
)
BATCH = {"x": tensor(8, 3, seed=0)}


def statistical() -> Gan:
    """Buffers that advance, calls in eval mode, a frozen player, a penalty, a team that moves."""
    small = gan(nn.Sequential(linear(seed=1), nn.BatchNorm1d(3)), linear(3, 1, seed=3))
    E = small.game.frozen("E", nn.Sequential(nn.BatchNorm1d(3), linear(seed=5)))
    close = nvn.energies.mse(E(small.fake), E(small.x))
    still = mean(small.G.method("forward", training=False)(small.x)).named("still")
    small.G.minimizes(close + still)
    small.schedule = nvn.simultaneous(small.G, small.D)
    return small


def followed() -> Gan:
    """An average that is a target, and earlier selves."""
    small = gan(nn.Sequential(linear(seed=1), nn.BatchNorm1d(3)), linear(3, 1, seed=3))
    smooth = small.game.average("G_ema", small.G, half_life=4, buffers="average")
    old = small.game.past("G_old", small.G, every=2, keep=2)
    small.G.minimizes(nvn.energies.mse(small.fake, smooth(small.z)))
    small.D.minimizes(mean(small.D(old(small.z))).named("old"))
    return small


def placed(accelerator: str, precision: str) -> Callable[[bool], nvn.Engine]:
    """Dropout, too, so that streams are drawn from where the engine computes."""

    def make(plain: bool) -> nvn.Engine:
        small = gan(nn.Sequential(linear(seed=1), nn.Dropout()), linear(3, 1, seed=2))
        return small.engine(adam, make_fabric(accelerator, precision=precision), plain=plain)

    return make


GAMES: dict[str, Callable[[bool], nvn.Engine]] = {
    "autocast": placed("cpu", "bf16-mixed"),
    "double": placed("cpu", "64-true"),
    "cuda": placed("cuda", "32-true"),
    "cuda-autocast": placed("cuda", "bf16-mixed"),
    "restless": lambda plain: restless().engine(OPTIMIZERS, seed=3, plain=plain),
    "followed": lambda plain: followed().engine(adam, plain=plain),
    "statistical": lambda plain: statistical().engine(adam, plain=plain),
}
ON_CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
NAMES = [pytest.param(name, marks=[ON_CUDA] if "cuda" in name else []) for name in GAMES]
LOOKS: dict[str, Callable[[nvn.Engine], Any]] = {
    "step": lambda engine: engine.step(BATCH),
    "gradients": lambda engine: engine.gradients(BATCH, ["G", "D"]),
    "values": lambda engine: engine.values(BATCH, [*engine.plan.graph.energies], training=True),
    "check": lambda engine: engine.check(BATCH),
    "costs": lambda engine: engine.costs(BATCH),
}


class Interrupting:
    """Raises KeyboardInterrupt at the `at`-th line of these files that is run in here."""

    def __init__(self, at: int | None) -> None:
        self.at = at
        self.seen = 0

    def __enter__(self) -> "Interrupting":
        sys.settrace(self._trace)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)

    def _trace(self, frame: FrameType, event: str, arg: object) -> Any:
        ours = frame.f_code.co_filename.startswith(FILES)
        # Where something is restored, a second Ctrl-C is another story: see below.
        return self._line if ours and frame.f_code.co_name not in ("restore", "_settle") else None

    def _line(self, frame: FrameType, event: str, arg: object) -> Any:
        if event == "line":
            self.seen += 1
            if self.seen == self.at:
                sys.settrace(None)
                raise KeyboardInterrupt
        return self._line


def surroundings(engine: nvn.Engine) -> list[Any]:
    parts = [part for module in engine.modules.values() for part in module.modules()]
    return [
        [p.requires_grad for part in parts for p in part.parameters(recurse=False)],
        [
            None if p.grad is None else p.grad.tolist()
            for part in parts
            for p in part.parameters(recurse=False)
        ],
        [part.training for part in parts],
        [id(buffer) for part in parts for buffer in part.buffers(recurse=False)],
        [sorted(vars(part)) for part in parts],
        [vars(part).get("mark") for part in parts],
        torch.is_grad_enabled(),
        torch.get_default_dtype(),
        [torch.is_autocast_enabled(kind) for kind in ("cpu", "cuda")],
        (torch.autocast_increment_nesting(), torch.autocast_decrement_nesting()),
        torch.get_rng_state().tolist(),
        *(torch.cuda.get_rng_state().tolist() if torch.cuda.is_initialized() else ()),
        random.getstate(),
        np.random.get_state()[1].tolist(),  # type: ignore[index,union-attr]
    ]


def lines(make: Callable[[], nvn.Engine], what: Callable[[nvn.Engine], Any]) -> int:
    engine = make()
    engine.step(BATCH)  # what is compiled once is compiled
    with Interrupting(None) as counting:
        what(engine)
    return counting.seen


def check_interrupted(engine: nvn.Engine, what: Callable[[nvn.Engine], Any], at: int) -> None:
    """Interrupt an engine, and see that everything is as before, and that it goes on."""
    before = surroundings(engine)
    kept: list[BaseException] = []
    try:
        with Interrupting(at):
            what(engine)
    except KeyboardInterrupt as error:
        kept.append(error)
        engine._settle()  # as the next step or look does first
    assert surroundings(engine) == before
    engine.step(BATCH)
    assert surroundings(engine) == before
    change(engine, at)
    before = surroundings(engine)
    kept.clear()  # what its traceback held is not undone now
    gc.collect(1)
    assert surroundings(engine) == before
    change(engine, 0)


def change(engine: nvn.Engine, to: int) -> None:
    """Change what a user may: streams, attributes, parts' modes, gradients; with 0, change back."""
    random.seed(to)
    np.random.seed(to)
    torch.manual_seed(to)
    for module in engine.modules.values():
        for part in module.modules():
            part.mark = to  # type: ignore[assignment]
            if part is not module:
                part.training = module.training is not (to % 2 == 1)
        for parameter in module.parameters():
            parameter.grad = torch.full_like(parameter, float(to)) if to else None


def check_free(engine: nvn.Engine) -> None:
    """Another thread may compute: no interruption has left the random streams held."""
    done: list[nvn.Record] = []
    thread = threading.Thread(target=lambda: done.append(engine.step(BATCH)))
    thread.start()
    thread.join()
    assert done


@pytest.mark.parametrize("plain", [False, True], ids=["planned", "plain"])
@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("game", NAMES)
def test_an_interruption_leaves_everything_as_it_was(game: str, look: str, plain: bool) -> None:
    total = lines(lambda: GAMES[game](plain), LOOKS[look])
    assert total > 20
    engine = GAMES[game](plain)
    engine.step(BATCH)
    for at in range(1, total, max(1, total // 25)):
        check_interrupted(engine, LOOKS[look], at)
    check_free(engine)


@pytest.mark.slow
@pytest.mark.parametrize("plain", [False, True], ids=["planned", "plain"])
@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("game", NAMES)
def test_at_every_line(game: str, look: str, plain: bool) -> None:
    total = lines(lambda: GAMES[game](plain), LOOKS[look])
    engine = GAMES[game](plain)
    engine.step(BATCH)
    # (costs runs its meter's lines at every operation of torch's: a sample of them is enough.)
    for at in range(1, total, 40 if look == "costs" else 1):
        check_interrupted(engine, LOOKS[look], at)
    check_free(engine)


@pytest.mark.parametrize("at", range(1, 40, 3))
def test_restoring_may_be_interrupted_too(at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next step finishes it."""
    engine = restless().engine(OPTIMIZERS, seed=3)
    engine.step(BATCH)
    before = surroundings(engine)

    class Twice(Interrupting):
        def _trace(self, frame: FrameType, event: str, arg: object) -> Any:
            return self._line if frame.f_code.co_name == "restore" else None

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(engine.state.optimizers["D"], "step", broken)
        with pytest.raises((KeyboardInterrupt, ZeroDivisionError)), Twice(at):
            engine.step(BATCH)
    engine.step(BATCH)
    assert surroundings(engine) == before
    check_free(engine)


def test_real_signals_at_random_moments() -> None:
    """As in a notebook: Ctrl-C again and again, in the middle of steps."""
    engine = statistical().engine(adam)
    engine.step(BATCH)
    before = surroundings(engine)
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    caught = 0
    chance = random.Random(0)
    try:
        for _ in range(100):
            delay = chance.random() * 0.003
            timer = threading.Timer(delay, os.kill, (os.getpid(), signal.SIGINT))
            try:
                timer.start()
                while True:
                    engine.step(BATCH)
            except KeyboardInterrupt:
                caught += 1
            timer.join()
            engine._settle()
            assert surroundings(engine) == before
    finally:
        signal.signal(signal.SIGINT, handler)
    assert caught == 100
