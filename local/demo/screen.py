"""How far the demo is, on the terminal: a live table of states where one can be drawn, else a line for each change.

Only what the table `outcomes` says is shown. The invariant: nothing that came with a mail is printed here.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Self

from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from local.demo.inflow import Inflow
from local.demo.published_tables import Row
from shared.domain.lifecycle import FINAL_STATES
from shared.domain.model import State

_BAR_WIDTH = 38
_MEANINGS: Mapping[State, str] = {
    State.PENDING: "waits for quota",
    State.DISPATCHED: "on its queue",
    State.SUBMITTING: "on its way",
    State.UNCERTAIN: "answer lost",
    State.SUBMITTED: "Microsoft has it",
    State.COVERED: "another stands for it",
    State.SETTLED: "final: verdict",
    State.SKIPPED: "final: rightly unsent",
    State.REJECTED: "final: cannot succeed",
    State.FAILED: "final: gave up",
    State.EXPIRED: "final: no verdict",
}
_RARE = frozenset({State.UNCERTAIN, State.FAILED, State.EXPIRED})


@dataclass(frozen=True, slots=True)
class Picture:
    """How things stand at one moment."""

    reports_in: str
    messages_in: str
    row_count: int
    counts: Mapping[State, int]

    @property
    def final_count(self) -> int:
        """How many rows are finished."""
        return sum(count for state, count in self.counts.items() if state in FINAL_STATES)

    def as_line(self) -> str:
        """The picture as plain text."""
        states = "  ".join(f"{state} {self.counts[state]}" for state in State if self.counts.get(state))
        return f"in {self.reports_in}+{self.messages_in}  {states or 'no row yet'}"


@dataclass(slots=True)
class Progress(AbstractContextManager["Progress"]):
    """The part of the screen that changes; `show` it a picture as often as there may be a new one."""

    console: Console
    started_s: float = field(default_factory=time.monotonic)
    _picture: Picture | None = None
    _live: AbstractContextManager[object] = field(default_factory=nullcontext)

    def __enter__(self) -> Self:
        if draws_live(self.console):
            self._live = Live(console=self.console, get_renderable=self._draw, refresh_per_second=8)
        self._live.__enter__()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._live.__exit__(None, None, None)

    def show(self, picture: Picture) -> None:
        """Take over a picture; without a live table, print it if a row has changed."""
        is_new = self._picture is None or picture.counts != self._picture.counts
        if is_new and not draws_live(self.console):
            self.console.print(f"{self._elapsed_s():5.1f} s  {picture.as_line()}", soft_wrap=True)
        self._picture = picture

    def _elapsed_s(self) -> float:
        return time.monotonic() - self.started_s

    def _draw(self) -> RenderableType:
        return Text() if self._picture is None else _table(self._picture, self._elapsed_s())


def paint(inflow: Inflow, rows: Sequence[Row]) -> Picture:
    """The picture of these rows."""
    return Picture(
        f"{inflow.reports_in}/{len(inflow.reports)}",
        f"{inflow.messages_in}/{len(inflow.messages)}",
        inflow.row_count,
        Counter(State(row["State"]) for row in rows),
    )


def draws_live(console: Console) -> bool:
    """Whether the console is a terminal that may be drawn on; `NO_COLOR` and `CI` ask for plain lines."""
    return console.is_terminal and not console.is_dumb_terminal and not {"NO_COLOR", "CI"} & os.environ.keys()


def _table(picture: Picture, elapsed_s: float) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 1), pad_edge=False)
    table.add_column(width=10)
    table.add_column(width=21, style="dim")
    table.add_column(width=3, justify="right")
    table.add_column(width=_BAR_WIDTH)
    for state, meaning in _MEANINGS.items():
        count = picture.counts.get(state, 0)
        if count or state not in _RARE:
            style = "green" if state in FINAL_STATES else "yellow"
            bar = ProgressBar(picture.row_count, count, _BAR_WIDTH, complete_style=style, finished_style=style)
            table.add_row(Text(state, style if count else "dim"), meaning, str(count), bar)
    table.add_row()
    came_in = f"{picture.reports_in} reports, {picture.messages_in} messages came in"
    table.add_row(Text(f"{elapsed_s:.1f} s", "bold"), "final", str(picture.final_count), came_in)
    return table
