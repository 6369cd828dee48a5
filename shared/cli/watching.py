"""`submissions watch`: changes of state and verdict as they come, from the feed.

The feed is read on from five minutes before its end, because several workers write to it, and what was seen is left
out: the ids of those five minutes are all that is kept, however long it runs. Changes from before the command started
are not shown, but for `--since`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import click

from ..domain import keys
from ..ports import Entity
from .listing import for_table
from .moments import MOMENT
from .output import TYPED, Column, Output, table, width
from .selection import Wanted, narrowed, read_filters, with_filters
from .showing import time_of

if TYPE_CHECKING:
    from ..adapters.storage import AzureTable
    from .__main__ import Session

OVERLAP = timedelta(minutes=5)
"""How far behind newer rows one may appear on a screen; a program reads on from further back (docs/pipelines.md)."""
LOOK_BACK = 3 * OVERLAP
"""From where a quiet feed is read again, so that this machine's clock may be ten minutes ahead of the app's."""
TSV_COLUMNS: Final = tuple(
    Column(field=name, heading=name)
    for name in (
        *("At", "SubmissionId", "OutcomePartition", "PreviousState", "Event", "StateReason", "Kind", "Category"),
        *("Verdict", "Agreement", "Reporter", "RequestedBy", "Recipient", "Sender", "Subject", "Url", "FileName"),
    )
)
TABLE_COLUMNS: Final = (
    Column(field="Time", heading="TIME", size=8),
    Column(field="Id", heading="ID", size=12),
    Column(field="Step", heading="CHANGE", size=23),
    Column(field="Told", heading="WHY", size=15, from_width=70),
    Column(field="Kind", heading="KIND", size=5, from_width=100),
    Column(field="Category", heading="CLAIM", size=8, from_width=100),
    Column(field="By", heading="BY", share=2, from_width=120),
    Column(field="Item", heading="ITEM", share=3),
)


@click.command("watch")
@with_filters
@click.option("--since", type=MOMENT, help="Begin with the changes since then: 10m, 24h, a day. Else from now on.")
@click.option("--every", "every_s", type=click.FloatRange(0.2, 3_600), default=5.0, help="Seconds between looks.")
@click.option("--for", "for_s", type=click.FloatRange(0), metavar="SECONDS", help="End after so long. Else Ctrl-C.")
@click.pass_obj
def watch_changes(
    session: Session, /, since: datetime | None, every_s: float, for_s: float | None, **filters: Any
) -> None:
    """Watch changes of state and verdict as they come.

    Filters look at each row as it stands after its change. JSON is a line for each change, with every column of it.

    \b
    Examples:
      submissions watch
      submissions watch --verdict malicious --since 1h
      submissions watch --state failed --state rejected --for 600 --output json
    """  # noqa: D301 - \b keeps click from joining the lines
    tail = Tail(since, read_filters(filters))
    asyncio.run(_watch(session, tail, every_s, for_s))


class Tail:
    """The end of the feed: hands out each row once."""

    def __init__(self, since: datetime | None, wanted: Sequence[Wanted]) -> None:
        self._hides = since is None
        self._from = since or datetime.now(UTC) - LOOK_BACK
        self._wanted = wanted
        self._seen: set[str] = set()

    async def read(self, log: AzureTable) -> AsyncIterator[Entity]:
        """The rows that came since the last call, ascending by key; those of the first call only with `since`."""
        hides, self._hides = self._hides, False
        from_key = _key(self._from)
        begin = "PartitionKey ge @day and RowKey ge @from_key"
        query, values = narrowed(begin, {"day": keys.day(self._from), "from_key": from_key}, self._wanted)
        async for row in log.search(query, values):
            key = str(row.entity["RowKey"])
            if not all(one.fits(row.entity) for one in self._wanted):
                continue
            if key not in self._seen:
                self._seen.add(key)
                self._from = max(self._from, time_of(row.entity) - OVERLAP)
                if not hides:
                    yield row.entity
        self._from = max(self._from, datetime.now(UTC) - LOOK_BACK)  # quiet hours are not read again and again
        self._seen = {key for key in self._seen if key >= _key(self._from)}


def _key(at: datetime) -> str:
    return f"{keys.epoch_ms(at):013d}"


async def _watch(session: Session, tail: Tail, every_s: float, for_s: float | None) -> None:
    async with session.connect() as connection:
        log = connection.table("outcomelog")
        screen = Screen(session.output)
        end_s = None if for_s is None else asyncio.get_running_loop().time() + for_s
        with screen.live():
            while True:
                async for event in tail.read(log):
                    screen.show(event)
                screen.tell_look(datetime.now(UTC))
                left_s = every_s if end_s is None else min(every_s, end_s - asyncio.get_running_loop().time())
                if left_s <= 0:
                    return
                await asyncio.sleep(left_s)


class Screen:
    """Where changes appear: lines that scroll above one that says how it goes, or plain lines without a terminal."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._count = 0
        self._console: Any = output.console() if output.form == "table" else None
        self._live: Any = None

    def live(self) -> Any:
        """The `with` block in which the screen is live."""
        if self._console is None:
            return nullcontext()
        self._console.print(table(TABLE_COLUMNS, [], is_fixed=True))
        if not self._output.is_live:
            return nullcontext()
        from rich.live import Live  # noqa: PLC0415 - for terminals only

        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        return self._live

    def show(self, event: Entity) -> None:
        """Show one change."""
        self._count += 1
        if self._console is None:
            self._output.show_line(TSV_COLUMNS, {"At": time_of(event), **event})
        else:
            self._console.width = width()
            self._console.print(table(TABLE_COLUMNS, [_for_table(event)], is_fixed=True, has_head=False))

    def tell_look(self, at: datetime) -> None:
        """Say that the feed was read; on a terminal only."""
        if self._live is not None:
            line = f"{self._count} changes, last look {at:%H:%M:%S} UTC, Ctrl-C ends it"
            self._console.width = width()  # the terminal may have another size by now
            self._live.update(line[: width() - TYPED], refresh=True)


def _for_table(event: Entity) -> dict[str, object]:
    before = event.get("PreviousState")
    return {
        **for_table({**event, "RowKey": event["SubmissionId"]}),
        "Time": f"{time_of(event):%H:%M:%S}",
        "Step": f"{before} → {event['Event']}" if before and before != event["Event"] else event["Event"],
        "Told": event.get("Verdict") or event.get("StateReason"),
    }
