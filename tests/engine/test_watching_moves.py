"""Moves and instructions that are told of: when, and at no cost where nobody asks."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
import torch

import nvn
from tests.small import BATCH, Gan, assert_same, gan, sgd, weights


def engine(plain: bool = False) -> tuple[nvn.Engine, Gan]:
    small = gan()
    schedule = nvn.alternating(nvn.move(small.D, times=2), small.G)
    return nvn.Engine(nvn.plan(small.game, schedule), sgd, plain=plain), small


def source(made: nvn.Engine) -> str:
    return "".join(playing.play.source for playing in made._playing.values())  # type: ignore[attr-defined]


@pytest.mark.parametrize("plain", [False, True])
def test_each_repetition_of_a_move_is_told_of_before_and_after(plain: bool) -> None:
    made, _ = engine(plain)
    heard: list[tuple[str, str, int]] = []

    def noting(what: str) -> Any:
        return lambda move, step: heard.append((what, str(move.players[0].name), step))

    made.watch_moves(noting("before"), noting("after"))
    made.step(BATCH)
    turns = [("before", "D"), ("after", "D"), ("before", "D"), ("after", "D")]
    assert heard == [(what, who, 1) for what, who in [*turns, ("before", "G"), ("after", "G")]]


def test_the_weights_are_those_of_before_and_after() -> None:
    made, _ = engine()
    seen: list[Any] = []

    def read(move: Any, step: int) -> None:
        seen.append(weights(made)["D"])

    made.watch_moves(read, read)
    made.step(BATCH)
    first, second, third, fourth, *others = seen
    assert_same(second, third)
    for after, before in ((second, first), (fourth, third)):
        assert any(not torch.equal(after[name], before[name]) for name in before)
    for other in others:  # G's move leaves D alone
        assert_same(other, fourth)


def test_looking_tells_of_nothing() -> None:
    made, small = engine()
    heard: list[object] = []
    made.watch_moves(lambda *_: heard.append(1), lambda *_: heard.append(1))
    made.check(BATCH)
    made.gradients(BATCH, [small.D])
    made.costs(BATCH)
    assert not heard


def test_a_loop_that_nobody_watches_has_no_line_of_it() -> None:
    made, _ = engine()
    made.step(BATCH)
    plain = source(made)
    made.watch_moves(lambda *_: None, lambda *_: None)
    made.step(BATCH)
    told = source(made)
    assert "run.mov" not in plain
    assert [line for line in told.splitlines() if "run.mov" not in line] == plain.splitlines()


@pytest.mark.parametrize("plain", [False, True])
def test_weights_may_be_clipped_after_a_move(plain: bool) -> None:
    def clipped(move: Any, step: int) -> None:
        for player in move.players:
            for p in player.module.parameters():
                p.clamp_(-0.01, 0.01)

    made, small = engine(plain)
    made.watch_moves(lambda *_: None, clipped)
    made.step(BATCH)
    assert max(p.detach().abs().max().item() for p in small.D.module.parameters()) <= 0.01
    other, _ = engine(not plain)
    other.watch_moves(lambda *_: None, clipped)
    other.step(BATCH)
    torch.testing.assert_close(weights(made), weights(other))


def test_an_error_in_one_leaves_the_engine_usable() -> None:
    made, _ = engine()

    def fail(move: Any, step: int) -> None:
        raise ValueError("no")

    made.watch_moves(fail, fail)
    with pytest.raises(ValueError, match="no"):
        made.step(BATCH)
    made.watch_moves(lambda *_: None, lambda *_: None)
    assert made.step(BATCH).step == 1


def test_every_instruction_runs_inside_what_watches_it() -> None:
    made, _ = engine()
    other, _ = engine()
    inside: list[str] = []
    seen: list[tuple[str, str]] = []

    @contextlib.contextmanager
    def noted(text: str, move: Any) -> Iterator[None]:
        seen.append((text, move.players[0].name))
        inside.append(text)
        yield
        assert inside.pop() == text

    made.watch_instructions(noted)
    made.step(BATCH)
    texts = [text for text, _ in seen]
    assert any(text.startswith("step D") for text in texts)
    assert [who for text, who in seen if text.startswith("step")] == ["D", "D", "G"]
    assert not inside
    other.step(BATCH)
    assert_same(weights(made), weights(other))  # and nothing is computed otherwise
    count = len(seen)
    made.watch_instructions(None)
    made.step(BATCH)
    assert len(seen) == count
    assert "run.inside" not in source(made)


def test_values_are_drawn_anew_for_each_number() -> None:
    made, small = engine()
    first, second, again = (made.values(BATCH, [small.z], draw=n)[0] for n in (0, 1, 0))
    assert_same(first, again)
    assert not torch.equal(first, second)
