"""`submissions erase`: have the app erase a person from every table and container.

The command only asks, by a row of the table `runstate`, to which administrators alone may write; the app does it, as
only there an open row can be finished first, and nobody needs a right to delete for it.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING, Final

import click

from ..codecs.rows import read_outcome
from ..domain.erasure import Mentions, Role, has_to_wait, is_of
from ..domain.text import is_address
from ..stores.erasures import COUNTED, Erasure, Erasures
from .errors import CommandError, ExitCode, TimedOutError
from .gauges import live_line
from .output import Column, tell
from .submit import Seconds

if TYPE_CHECKING:
    from ..adapters.storage import AzureTable
    from .__main__ import Session

WAIT_S = 7_200.0
_LOOK_EVERY_S = 5.0
_ALL: Final = "~"
_ROWS_AT_ONCE = 1_000
_PREVIEW: Final = (
    Column(field="Rows", heading="ROWS", share=1),
    Column(field="Count", heading="COUNT"),
    Column(field="Becomes", heading="WHAT BECOMES OF THEM", share=2),
)
_PREVIEW_TSV: Final = tuple(Column(field=name, heading=name) for name in ("Rows", "Count", "Becomes"))
_DONE: Final = (Column(field="Place", heading="PLACE"), Column(field="Erased", heading="ERASED"))
_KINDS: Final = {
    "theirs": ("about the person", "emptied, with their events and blobs"),
    "waiting": ("about the person or naming them, open or settled within a day", "finished first, then as the others"),
    "naming": ("about others, naming the person", "the address is taken out"),
}


@click.command("erase")
@click.option("--reporter", metavar="ADDRESS", help="Whoever reported.")
@click.option("--recipient", metavar="ADDRESS", help="Whoever the mail was for.")
@click.option("--dry-run", is_flag=True, help="Show what would be erased; ask for nothing.")
@click.option("--yes", is_flag=True, help="Do not ask me.")
@click.option(
    "--wait",
    "wait_s",
    type=Seconds(min=0),
    is_flag=False,
    flag_value=WAIT_S,
    metavar="[SECONDS]",
    help=f"Wait until it is done, {WAIT_S:.0f} seconds unless said otherwise: --wait=60, or put it last.",
)
@click.pass_obj
def erase(
    session: Session, /, reporter: str | None, recipient: str | None, *, dry_run: bool, yes: bool, wait_s: float | None
) -> None:
    """Have the app erase a person from every table and container.

    Rows in which they are the reporter or the recipient lose all that tells of them and of the mail, with their events
    and originals; other rows lose the address. Open rows are finished first. It takes an hour at least, and cannot be
    undone. What lies in mailboxes and at Microsoft is not touched. You need the rights of an administrator.

    \b
    Examples:
      submissions erase --reporter anna@contoso.com --dry-run
      submissions erase --recipient anna@contoso.com --yes --wait
    """  # noqa: D301 - \b keeps click from joining the lines
    address, role = reporter or recipient, Role.REPORTER if reporter else Role.RECIPIENT
    if address is None or (reporter and recipient):
        raise click.UsageError("whom? Give --reporter ADDRESS or --recipient ADDRESS")
    if not is_address(address):
        raise click.UsageError("that is no mail address")
    request = Erasure(address=address, role=role, asked_at=datetime.now(UTC))
    asyncio.run(_erase(session, request, is_dry_run=dry_run, is_agreed=yes, wait_s=wait_s))


async def _erase(
    session: Session, request: Erasure, *, is_dry_run: bool, is_agreed: bool, wait_s: float | None
) -> None:
    async with session.connect() as connection:
        counts = await _counted(connection.table("outcomes"), request)
        columns = _PREVIEW if session.output.form == "table" else _PREVIEW_TSV
        session.output.show_records(columns, [_previewed(kind, counts) for kind in _KINDS])
        if is_dry_run:
            return
        _agree(is_agreed=is_agreed)
        erasures = Erasures(connection.table("runstate"))
        await erasures.ask(request)
        tell("The app is asked to erase them; it begins within five minutes and is done an hour later at the earliest.")
        if wait_s is not None:
            await _wait(session, erasures, request, wait_s)


async def _counted(outcomes: AzureTable, request: Erasure) -> Counter[str]:
    """How many rows are of each kind of `_KINDS`; every row is read for it."""
    mentions, now, place = Mentions(request.address), datetime.now(UTC), ("", "")
    counts: Counter[str] = Counter()
    while rows := await outcomes.behind(place, _ALL, _ROWS_AT_ONCE):
        for row in rows:
            if mentions.are_in_any(row.entity):
                outcome = read_outcome(row.entity)
                of_person = "theirs" if is_of(outcome, request.address, request.role) else "naming"
                counts["waiting" if has_to_wait(outcome, now) else of_person] += 1
        place = str(rows[-1].entity["PartitionKey"]), str(rows[-1].entity["RowKey"])
    return counts


def _previewed(kind: str, counts: Mapping[str, int]) -> dict[str, object]:
    rows, becomes = _KINDS[kind]
    return {"Rows": rows, "Count": counts[kind], "Becomes": becomes}


def _agree(*, is_agreed: bool) -> None:
    """Go on only where somebody said yes."""
    if is_agreed:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise CommandError("nothing was asked for: give --yes, as nobody can be asked here", ExitCode.WRONG_USE)
    if not click.confirm("Erase them? It cannot be undone.", err=True):
        raise CommandError("nothing was asked for")


async def _wait(session: Session, erasures: Erasures, request: Erasure, wait_s: float) -> None:
    """Wait until the app is done, then show what it erased."""
    end_s, last = monotonic() + wait_s, request
    with live_line("waiting for the app", is_coloured=session.output.is_coloured) as say:
        while (standing := await erasures.standing(request.request_id)) is not None:
            last = standing
            if standing.refusal is not None:
                raise CommandError(f"the app does not do it: {standing.refusal}")
            say(f"{sum(standing.erased.values())} rows and blobs are erased")
            if (left_s := end_s - monotonic()) <= 0:
                raise TimedOutError("it is not done yet; the app goes on with it")
            await asyncio.sleep(min(_LOOK_EVERY_S, left_s))
    session.output.show_records(_DONE, [{"Place": name, "Erased": last.erased.get(name, 0)} for name in COUNTED])
