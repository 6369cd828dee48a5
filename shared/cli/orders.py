"""One run of `submit`: everything is checked, then told, then sent, then followed if that was asked for.

The invariant: nothing is sent before each request has been checked and each refusal was told. A file is read twice, so
that its size costs no memory beyond the ids; what only the second reading refuses is told as well. However a run ends,
what it sent is shown.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from shutil import copyfileobj
from typing import IO, Any

import click

from ..adapters.system_clock import SystemClock
from ..domain.model import Outcome, State
from ..domain.text import clean
from .connection import Connection
from .errors import CommandError, ExitCode
from .following import Follower
from .gauges import gauge, live_line
from .output import Column, Output, Record, tell
from .request_files import UnreadableFile, read_drafts
from .requests import Checked, Draft, Examiner, Ready, Refused, Repeated
from .sending import Fate, Sender, Sent, send_all

Drafts = Callable[[], Iterator[Draft | Refused]]
"""All drafts from the first one on, as often as it is called."""
Connecting = Callable[[], AbstractAsyncContextManager[Connection]]
"""Opens the data account for an `async with` block."""

_IDS = (
    Column(field="SubmissionId", heading="SUBMISSION"),
    Column(field="RequestId", heading="REQUEST", from_width=120),
)
_COLUMNS = (*_IDS, Column(field="Result", heading="RESULT"), Column(field="Place", heading="FROM", share=1))
_FOLLOWED = (
    *_IDS,
    Column(field="State", heading="STATE"),
    Column(field="Verdict", heading="VERDICT"),
    Column(field="StateReason", heading="REASON", share=1),
    Column(field="Place", heading="FROM", share=1),
)
_BAD_ENDS = frozenset({State.REJECTED, State.FAILED, State.EXPIRED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be done with the drafts; `wait_s` is None where nothing is followed."""

    kind: str
    defaults: Mapping[str, Any]
    is_dry_run: bool
    all_or_nothing: bool
    again: bool
    wait_s: float | None
    is_refanging: bool = False


@dataclass(slots=True)
class Tally:
    """What became of the requests so far: the places that were refused, what is sent, and how their rows stand."""

    refused: set[str] = field(default_factory=set)
    ready: int = 0
    repeated: int = 0
    sent: list[Sent] = field(default_factory=list)
    is_all_sent: bool = False
    rows: dict[str, Outcome] = field(default_factory=dict)

    def refuse(self, refused: Refused) -> None:
        """Count a refusal and tell it, once."""
        if refused.place not in self.refused:
            self.refused.add(refused.place)
            tell(f"{refused.place}: {refused.detail}")

    @property
    def code(self) -> ExitCode:
        """What the process ends with, unless something else went wrong."""
        has_bad_end = any(row.state in _BAD_ENDS for row in self.rows.values())
        return ExitCode.PARTLY_DONE if self.refused or has_bad_end else ExitCode.DONE


@contextmanager
def open_drafts(file: str) -> Iterator[Drafts]:
    """The drafts in a file, or in standard input where it is `-`; one that cannot be read twice is copied first.

    Raises `CommandError` where it is no file of requests.
    """
    with click.open_file(file, "rb") as source, tempfile.TemporaryFile() as copy:
        readable: IO[bytes] = source
        if not source.seekable():
            copyfileobj(source, copy)
            readable = copy
        folder = Path() if file == "-" else Path(file).parent
        try:
            yield lambda: read_drafts(readable, folder)
        except UnreadableFile as error:
            raise CommandError(f"{file}: {error}", ExitCode.WRONG_USE) from None


def carry_out(order: Order, drafts: Drafts, output: Output, connect: Connecting) -> ExitCode:
    """Check everything, and send it unless the order says otherwise; returns the exit code."""
    tally = Tally()
    for one in _checked(order, drafts):
        _examine(one, tally)
    if order.is_dry_run:
        ready = (_planned(one) for one in _checked(order, drafts) if isinstance(one, Ready))
        output.show_records(_COLUMNS, ready)
        tell(f"dry run, nothing was sent: {tally.ready} would be sent, {len(tally.refused)} refused")
    elif tally.refused and order.all_or_nothing:
        tell(f"nothing was sent, because {len(tally.refused)} of {tally.ready + len(tally.refused)} were refused")
    elif tally.ready:
        return asyncio.run(_send(order, drafts, tally, output, connect))
    else:
        tell(f"nothing to send: {len(tally.refused)} refused")
    return tally.code


def _checked(order: Order, drafts: Drafts) -> Iterator[Checked]:
    examiner = Examiner(order.kind, order.defaults, SystemClock().now(), order.is_refanging)
    return examiner.check_all(drafts())


def _examine(one: Checked, tally: Tally) -> None:
    """Count what was checked, and tell what the operator should know of it before anything is sent."""
    if isinstance(one, Ready):
        tally.ready += 1
        if one.recipient is not None:
            tell(f"{one.place}: recipient {one.recipient}, as the mail's own headers say")
        if one.renamed is not None:
            tell(f"{one.place}: sent as {one.renamed}, without what hides or turns in its name")
        if one.refanged is not None:
            tell(f"{one.place}: refanged, {clean(one.refanged)}")
    elif isinstance(one, Repeated):
        tally.repeated += 1
        tell(f"{one.place}: the same request as {one.first}, which is sent once")
    else:
        tally.refuse(one)


async def _send(order: Order, drafts: Drafts, tally: Tally, output: Output, connect: Connecting) -> ExitCode:
    """Send what was checked, and follow it if so ordered; whatever ends it, what was sent is shown."""
    try:
        async with connect() as connection:
            await _send_each(order, drafts, tally, connection, is_coloured=output.is_coloured)
            if order.wait_s is None or await _follow(order.wait_s, tally, connection, is_coloured=output.is_coloured):
                return tally.code
            silent = "" if tally.rows else "; the app has taken none of them in: is it running?"
            tell(f"time ran out before all of them were final{silent}")
            tell("the same command again waits on and sends nothing twice")
            return ExitCode.TIMED_OUT
    finally:
        _show(order, tally, output)


async def _send_each(order: Order, drafts: Drafts, tally: Tally, connection: Connection, *, is_coloured: bool) -> None:
    uploads, queue = connection.container("submission-content"), connection.queue("manual-submissions")
    sender = Sender(queue, uploads, SystemClock(), again=order.again)
    late: list[Refused] = []  # told when the bar is gone
    try:
        with gauge("sending", tally.ready, is_coloured=is_coloured) as advance:

            def take(fate: Fate) -> None:
                if isinstance(fate, Sent):
                    tally.sent.append(fate)
                    advance()
                elif isinstance(fate, Refused) and fate.place not in tally.refused:
                    late.append(fate)

            await send_all(_checked(order, drafts), sender, take)
            tally.is_all_sent = True
    finally:
        for one in late:
            tally.refuse(one)


async def _follow(wait_s: float, tally: Tally, connection: Connection, *, is_coloured: bool) -> bool:
    """Whether every row became final in time."""
    follower = Follower(connection.table("outcomes"), SystemClock(), tally.rows)
    with live_line("waiting for the app", is_coloured=is_coloured) as change:
        return await follower.follow(tally.sent, wait_s, lambda: change(_standing(tally)))


def _standing(tally: Tally) -> str:
    counts = Counter(row.state.value for row in tally.rows.values())
    counts["not taken in yet"] = len(tally.sent) - len(tally.rows)
    return "waiting: " + ", ".join(f"{count} {name}" for name, count in counts.items() if count)


# --- What is shown --------------------------------------------------------------------------------------------------


def _show(order: Order, tally: Tally, output: Output) -> None:
    if tally.sent and order.wait_s is not None and tally.is_all_sent:
        output.show_records(_FOLLOWED, (_followed(one, tally) for one in tally.sent))
    elif tally.sent:
        output.show_records(_COLUMNS, map(_sent, tally.sent))
    new = sum(one.is_new for one in tally.sent)
    tell(f"{new} sent, {len(tally.sent) - new} sent before, {tally.repeated} repeated, {len(tally.refused)} refused")
    if not tally.is_all_sent:
        tell("stopped before the end; the same command again sends the rest and nothing twice")
    for row in tally.rows.values():
        if row.state in _BAD_ENDS:
            why = ": ".join(filter(None, (row.state_reason, row.state_detail)))
            tell(f"{row.key.submission_id}: {row.state} {why}")


def _planned(one: Ready) -> Record:
    return _record(one.submission_id, one.request_id, one.place, "would be sent")


def _sent(one: Sent) -> Record:
    return _record(one.submission_id, one.request_id, one.place, "sent" if one.is_new else "sent before")


def _record(submission_id: str, request_id: str, place: str, result: str) -> Record:
    return {"SubmissionId": submission_id, "RequestId": request_id, "Result": result, "Place": place}


def _followed(one: Sent, tally: Tally) -> Record:
    row = tally.rows.get(one.submission_id)
    return {
        **_sent(one),
        "State": row.state.value if row else None,
        "Verdict": row.verdict.value if row and row.verdict else None,
        "StateReason": row.state_reason if row else None,
    }
