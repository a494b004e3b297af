"""The board: a run at a glance, as a value, and how it is drawn for a width.

main  ━━━━━━━━━━━━━━╸━━━━━━━━━━  1500/3000  ·  22.4 s left
66 steps/s  ·  16.9k samples/s  ·  22.5 s

player      ahead      objective              gradient  rate    pulled by
critics     ────┼─●──
D                    0.91   ▅▅▄▃▂▂▁▁        0.72      1e-3    55 % fake(D(fake)), …
…
energy                 now
real(D(real))          0.61   ▅▄▃▃▂▂▁▁
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.console import (
    Console,
    ConsoleOptions,
    Group,
    OverflowMethod,
    RenderableType,
    RenderResult,
)
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from nvn.console.bars import duration
from nvn.console.marks import arrow, gauge, number, sparkline

__all__ = ["Board", "EnergyRow", "PlayerRow", "Stretch", "TeamRow"]

_LEAST_WIDTH = 48  # characters, below which learning rates are left out
_NARROW = 64  # characters, below which trends are arrows
_WIDE = 100  # characters, from which on they are long
_PULLS = 12  # characters that who pulls needs, at least
_NUMBER = 8  # characters of a number
_LEAST = 4  # energies that are shown, however low the window is


@dataclass(frozen=True)
class Stretch:
    """How far something has come: a phase, or the whole run.

    Attributes:
        name: Its name.
        done: Steps that are done.
        total: All of them.
        left: Seconds that are left, as it has been going; None while that is not known.
    """

    name: str
    done: int
    total: int
    left: float | None = None


@dataclass(frozen=True)
class PlayerRow:
    """How a player is doing.

    Attributes:
        name: Its name.
        objective: Its objective in the course of time, the last one now.
        norm: The norm of its gradient; None where it has not moved.
        rate: Its learning rate; None where it does not learn.
        pulls: Who pulls it, and with what share, the strongest first.
    """

    name: str
    objective: tuple[float, ...] = ()
    norm: float | None = None
    rate: float | None = None
    pulls: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class TeamRow:
    """How a team is doing.

    Attributes:
        name: Its name; "" of a player who is in none.
        players: Its players.
        lead: How far it is ahead of where it has been, in standard deviations; None if unknown.
        ahead: Whether it is the one that is furthest ahead.
    """

    name: str
    players: tuple[PlayerRow, ...]
    lead: float | None = None
    ahead: bool = False


@dataclass(frozen=True)
class EnergyRow:
    """An energy in the course of time, the last value now."""

    name: str
    values: tuple[float, ...]


@dataclass(frozen=True)
class Board:
    """A run at a glance; rich draws it.

    Attributes:
        stretches: The phase, and the whole run if that is more.
        speed: What is said of speed and time.
        teams: Who plays.
        energies: What is played for.
    """

    stretches: tuple[Stretch, ...]
    speed: tuple[str, ...] = ()
    teams: tuple[TeamRow, ...] = ()
    energies: tuple[EnergyRow, ...] = ()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        draw = _Drawing(options.max_width, options.ascii_only)
        parts: list[RenderableType] = ["", draw.stretches(self.stretches)]
        if self.speed:
            parts.append(draw.speed(self.speed))
        if self.teams:
            parts += ["", draw.players(self.teams)]
        if self.energies:
            taken = 7 + len(self.stretches) + sum(1 + len(team.players) for team in self.teams)
            parts += ["", draw.energies(self.energies, console.height - taken)]
        yield Group(*parts)


class _Drawing:
    """Draws the parts of a board.

    Args:
        width: How many characters there are.
        plain: Whether the terminal has letters alone.
    """

    def __init__(self, width: int, plain: bool) -> None:
        self.narrow, self.wide = width < _NARROW, width >= _WIDE
        self.width = width
        self.plain = plain
        self.overflow: OverflowMethod = "crop" if plain else "ellipsis"
        self.gap = 1 if self.narrow else 2
        self.trend = 0 if self.narrow else 12 if width < _WIDE else 18
        self.course = _NUMBER + (2 if self.narrow else 1 + self.trend)
        self.gauge = 5 if self.narrow else 9

    def stretches(self, stretches: Sequence[Stretch]) -> RenderableType:
        """Draw how far it has come."""
        table = Table.grid(padding=(0, self.gap))
        for _ in range(4):
            table.add_column(no_wrap=True)
        said = [(s.name, f"{s.done}/{s.total}", _left(s)) for s in stretches]
        # Numbers are never cut for the bar.
        rest = self.width - sum(max(map(len, column)) for column in zip(*said, strict=True))
        bar = min(10 if self.narrow else 24 if not self.wide else 40, rest - 3 * self.gap)
        for stretch, (name, done, left) in zip(stretches, said, strict=True):
            table.add_row(
                Text(name, style="bold"),
                ProgressBar(
                    max(1, stretch.total),
                    stretch.done,
                    width=bar,
                    complete_style="cyan",
                    finished_style="green",
                )
                if bar > 0
                else "",
                Text(done),
                Text(left, style="dim"),
            )
        return table

    def speed(self, said: Sequence[str]) -> RenderableType:
        """Draw what is said of speed and time."""
        between = " " * self.gap + ("-" if self.plain else "·") + " " * self.gap
        return Text(between.join(said), style="dim", no_wrap=True, overflow=self.overflow)

    def players(self, teams: Sequence[TeamRow]) -> RenderableType:
        """Draw how players are doing, by team."""
        columns = {"ahead": self.gauge, "objective": self.course, "gradient": 8}
        if self.width >= _LEAST_WIDTH:
            columns["rate"] = 7
        names = [(2 if team.name else 0) + len(p.name) for team in teams for p in team.players]
        longest = max([len("player"), *names, *(len(team.name) for team in teams)])
        table = self._table("player", longest, columns)
        rest = self.width - sum(column.min_width or 0 for column in table.columns)
        rest -= self.gap * len(table.columns)
        if rest >= _PULLS:
            table.add_column("pulled by", no_wrap=True, overflow=self.overflow, max_width=rest)
        for team in teams:
            style = "bold green" if team.ahead else "bold"
            meter = gauge(team.lead, self.gauge, plain=self.plain)
            indent = ""
            if team.name:
                table.add_row(Text(team.name, style=style), meter)
                meter, style, indent = Text(""), "default", "  "
            for player in team.players:
                table.add_row(
                    Text(f"{indent}{player.name}", style=style),
                    meter,
                    *self._player(player)[: len(table.columns) - 2],
                )
        return table

    def _player(self, player: PlayerRow) -> list[RenderableType]:
        said = ", ".join(f"{_percent(share)} {name}" for name, share in player.pulls)
        return [
            self._course(player.objective),
            Text("" if player.norm is None else number(player.norm)),
            Text("" if player.rate is None else number(player.rate), style="dim"),
            Text(said, style="dim"),
        ]

    def energies(self, energies: Sequence[EnergyRow], rows: int) -> RenderableType:
        """Draw energies: as many as there is room for."""
        rows = max(_LEAST, rows)
        shown = energies if len(energies) <= rows else energies[: rows - 1]
        more = f"and {len(energies) - len(shown)} more"
        longest = max(len(more), *(len(energy.name) for energy in shown))
        table = self._table("energy", longest, {"now": self.course})
        for energy in shown:
            table.add_row(Text(energy.name), self._course(energy.values))
        if len(shown) < len(energies):
            table.add_row(Text(more, style="dim"))
        return table

    def _course(self, values: Sequence[float]) -> Text:
        """Draw a number, and how it has been."""
        if not values:
            return Text("")
        if self.narrow:
            mark = arrow(values, plain=self.plain)
        else:
            mark = sparkline(values, self.trend, plain=self.plain)
        return Text.assemble(number(values[-1]).ljust(_NUMBER), " ", (mark, "cyan"))

    def _table(self, first: str, longest: int, columns: Mapping[str, int]) -> Table:
        """Return a table of a column of names, and of columns that have their widths."""
        table = Table.grid(padding=(0, self.gap))
        table.show_header = True
        table.header_style = "dim"
        rest = self.width - sum(columns.values()) - self.gap * len(columns)
        width = max(6, min(longest, rest))
        table.add_column(
            first, no_wrap=True, overflow=self.overflow, min_width=width, max_width=width
        )
        for name, least in columns.items():
            table.add_column(name, no_wrap=True, min_width=least)
        return table


def _left(stretch: Stretch) -> str:
    return "" if stretch.left is None else f"{duration(stretch.left)} left"


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if share < 0.1 else f"{100 * share:.0f} %"
